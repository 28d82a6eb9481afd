"""Where in a camera's image the lidar's objects deserve a closer look."""

from __future__ import annotations

import numpy as np

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Detections, ObjectClass
from perception_platform.perception.fusion import project_boxes
from perception_platform.robot.sensors import Camera

# What may be a person, a vehicle or a part of one, m: longest side and height.
_LONGEST_M, _LOWEST_M, _HIGHEST_M = 8.0, 0.5, 4.0
# The whole image shows well enough what is higher in it than this share.
_PLAIN = 0.4


def asked_regions(detections: Detections, camera: Camera) -> Array:
    """(M, 4) boxes x1 y1 x2 y2 in a camera's image that its detector should look at closer, px.

    Args:
        detections: objects in the base frame, of the lidar or predicted tracks.
        camera: where it is and how it images.
    """
    model = camera.intrinsics.model()
    boxes_px = project_boxes(detections, camera.mounting.transform(), model)
    sizes_m = detections.sizes_m
    worth = (sizes_m[:, :2].max(axis=1, initial=0.0) <= _LONGEST_M) & (sizes_m[:, 2] >= _LOWEST_M)
    worth &= (sizes_m[:, 2] <= _HIGHEST_M) & (detections.class_ids != int(ObjectClass.STRUCTURE))
    worth &= boxes_px[:, 3] - boxes_px[:, 1] < _PLAIN * model.height_px  # NaN, out of view, is not
    return np.asarray(boxes_px[worth])
