"""Images of any encoding: our own conversion for the usual ones, cv_bridge for the rest where a robot has it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image
from perception_platform.messages.fields import time_ns
from perception_platform.messages.images import ENCODINGS, image_from_msg


def decode_image(msg: Any, sensor: str) -> Image:
    """A sensor_msgs Image as BGR.

    Raises:
        InputError: names the sensor and the field if sizes disagree or nobody here knows the encoding.
    """
    if msg.encoding in ENCODINGS:
        return image_from_msg(msg, sensor)
    bridge = _cv_bridge()
    if bridge is None:
        raise InputError(
            sensor, f"{msg.encoding!r} needs cv_bridge; without it: {', '.join(ENCODINGS)}", "encoding"
        )
    try:
        bgr = bridge.imgmsg_to_cv2(msg, desired_encoding="bgr8")
    except Exception as error:  # its own error type, OpenCV's and numpy's, by what is wrong with the message
        raise InputError(sensor, f"cv_bridge: {error}", f"encoding {msg.encoding!r}") from error
    return Image(time_ns(msg.header.stamp, sensor), msg.header.frame_id, sensor, bgr)


@cache
def _cv_bridge() -> Any | None:
    try:
        return import_module("cv_bridge").CvBridge()
    except ImportError:
        return None
