"""How loops over points are compiled: as all loops are."""

from perception_platform.runtime.compiled import compiled

__all__ = ["compiled"]
