#pragma once
// Names and signatures of Geant4, as far as exported code uses them, so that it compiles and runs without Geant4.
// What a test has to provide is declared as Stub...
#include <string>

using G4double = double;
using G4int = int;
using G4bool = bool;
using G4String = std::string;
