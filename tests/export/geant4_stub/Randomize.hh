#pragma once
double StubUniform();
#define G4UniformRand() StubUniform()
