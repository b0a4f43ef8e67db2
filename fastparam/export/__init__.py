"""Export of tunes to other programs."""

from fastparam.export.geant4 import Exported, export_geant4

__all__ = ["Exported", "export_geant4"]
