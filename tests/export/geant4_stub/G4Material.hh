#pragma once
#include "globals.hh"

#include <cstddef>
#include <vector>

class G4Element;

class G4Material {
 public:
  G4Material(const G4String& name, G4double x0) : fName(name), fX0(x0) {}
  void AddElement(const G4Element* element, G4double fraction) {
    fElements.push_back(element);
    fFractions.push_back(fraction);
  }
  const G4String& GetName() const { return fName; }
  std::size_t GetNumberOfElements() const { return fElements.size(); }
  const G4Element* GetElement(G4int k) const { return fElements[static_cast<std::size_t>(k)]; }
  const G4double* GetFractionVector() const { return fFractions.data(); }
  G4double GetRadlen() const { return fX0; }

 private:
  G4String fName;
  G4double fX0;
  std::vector<const G4Element*> fElements;
  std::vector<G4double> fFractions;
};
