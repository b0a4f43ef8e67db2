#pragma once
#include "G4TouchableHistory.hh"

#include <memory>

class G4TouchableHandle {
 public:
  G4TouchableHandle(G4VTouchable* touchable = nullptr) : fTouchable(touchable) {}
  G4VTouchable* operator()() const { return fTouchable.get(); }
  G4VTouchable* operator->() const { return fTouchable.get(); }

 private:
  std::shared_ptr<G4VTouchable> fTouchable;
};
