#pragma once
namespace CLHEP {

class Hep3Vector {
 public:
  Hep3Vector() = default;
  Hep3Vector(double x, double y, double z) : fX(x), fY(y), fZ(z) {}
  double x() const { return fX; }
  double y() const { return fY; }
  double z() const { return fZ; }

 private:
  double fX = 0.0, fY = 0.0, fZ = 0.0;
};

}  // namespace CLHEP

using G4ThreeVector = CLHEP::Hep3Vector;
