#pragma once
#include "G4ThreeVector.hh"
#include "globals.hh"

/// point -> M point + T
class G4AffineTransform {
 public:
  G4AffineTransform() = default;
  explicit G4AffineTransform(const G4ThreeVector& translation) : fT{translation.x(), translation.y(), translation.z()} {}

  double fM[3][3] = {{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}};
  double fT[3] = {0.0, 0.0, 0.0};

  G4AffineTransform Inverse() const {
    G4AffineTransform back;
    for (int i = 0; i < 3; ++i) {
      back.fT[i] = 0.0;
      for (int k = 0; k < 3; ++k) {
        back.fM[i][k] = fM[k][i];
        back.fT[i] -= fM[k][i] * fT[k];
      }
    }
    return back;
  }

  G4ThreeVector TransformAxis(const G4ThreeVector& a) const {
    return {fM[0][0] * a.x() + fM[0][1] * a.y() + fM[0][2] * a.z(), fM[1][0] * a.x() + fM[1][1] * a.y() + fM[1][2] * a.z(),
            fM[2][0] * a.x() + fM[2][1] * a.y() + fM[2][2] * a.z()};
  }

  G4ThreeVector TransformPoint(const G4ThreeVector& p) const {
    const G4ThreeVector turned = TransformAxis(p);
    return {turned.x() + fT[0], turned.y() + fT[1], turned.z() + fT[2]};
  }
};
