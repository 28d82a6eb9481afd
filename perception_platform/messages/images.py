"""Image and CameraInfo from and to Image and CameraModel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import CameraModel, Image
from perception_platform.messages.fields import Make, raw_bytes, set_array, set_header, time_ns


@dataclass(frozen=True, slots=True)
class _Encoding:
    """Bytes a pixel and the name of OpenCV's conversion to BGR; none for what is BGR already."""

    channels: int
    conversion: str = ""


# ROS names a Bayer pattern by its first two pixels, OpenCV by the second row's second and third.
ENCODINGS = {
    "bgr8": _Encoding(3),
    "8UC3": _Encoding(3),
    "rgb8": _Encoding(3, "COLOR_RGB2BGR"),
    "bgra8": _Encoding(4, "COLOR_BGRA2BGR"),
    "rgba8": _Encoding(4, "COLOR_RGBA2BGR"),
    "mono8": _Encoding(1, "COLOR_GRAY2BGR"),
    "8UC1": _Encoding(1, "COLOR_GRAY2BGR"),
    "yuv422": _Encoding(2, "COLOR_YUV2BGR_UYVY"),
    "uyvy": _Encoding(2, "COLOR_YUV2BGR_UYVY"),
    "yuv422_yuy2": _Encoding(2, "COLOR_YUV2BGR_YUY2"),
    "yuyv": _Encoding(2, "COLOR_YUV2BGR_YUY2"),
    "bayer_rggb8": _Encoding(1, "COLOR_BayerBG2BGR"),
    "bayer_bggr8": _Encoding(1, "COLOR_BayerRG2BGR"),
    "bayer_gbrg8": _Encoding(1, "COLOR_BayerGR2BGR"),
    "bayer_grbg8": _Encoding(1, "COLOR_BayerGB2BGR"),
}


def image_from_msg(msg: Any, sensor: str) -> Image:
    """An Image of any 8-bit encoding as BGR.

    Raises:
        InputError: names the sensor and the field if the encoding is unknown or sizes disagree.
    """
    encoding = ENCODINGS.get(msg.encoding)
    if encoding is None:
        raise InputError(sensor, f"{msg.encoding!r} is not one of {', '.join(ENCODINGS)}", "encoding")
    pixels = _pixels(msg, encoding.channels, sensor)
    bgr = _to_bgr(pixels, encoding.conversion, sensor) if encoding.conversion else pixels
    return Image(time_ns(msg.header.stamp, sensor), msg.header.frame_id, sensor, bgr)


def image_to_msg(image: Image, make: Make) -> Any:
    """A bgr8 Image."""
    height, width, channels = image.bgr.shape
    msg = make("sensor_msgs/msg/Image")
    set_header(msg, image.t_ns, image.frame_id)
    msg.height, msg.width, msg.encoding = height, width, "bgr8"
    msg.is_bigendian, msg.step = 0, width * channels
    set_array(msg, "data", image.bgr.reshape(-1))
    return msg


def camera_model_from_msg(msg: Any, sensor: str) -> CameraModel:
    """A CameraInfo as a pinhole model with plumb-bob distortion.

    Raises:
        InputError: if it is uncalibrated, not finite or of another distortion model.
    """
    matrix = np.asarray(msg.k, dtype=np.float64).reshape(3, 3)
    distortion = np.asarray(msg.d, dtype=np.float64)
    if not (np.isfinite(matrix).all() and np.isfinite(distortion).all()):
        raise InputError(sensor, "not finite", "k, d")
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise InputError(sensor, f"focal lengths {matrix[0, 0]:g}, {matrix[1, 1]:g}: uncalibrated", "k")
    if msg.width <= 0 or msg.height <= 0:
        raise InputError(sensor, f"{msg.width} x {msg.height}", "width, height")
    if distortion.any() and (msg.distortion_model != "plumb_bob" or len(distortion) not in (4, 5)):
        problem = (
            f"{msg.distortion_model!r} with {len(distortion)} values; plumb_bob with 4 or 5 is understood"
        )
        raise InputError(sensor, problem, "distortion_model")
    five = np.zeros(5)
    five[: min(5, len(distortion))] = distortion[:5]
    return CameraModel(int(msg.width), int(msg.height), matrix, five)


def camera_info_to_msg(camera: CameraModel, t_ns: int, frame_id: str, make: Make) -> Any:
    """A CameraInfo; its projection matrix is that of the rectified image."""
    msg = make("sensor_msgs/msg/CameraInfo")
    set_header(msg, t_ns, frame_id)
    msg.width, msg.height, msg.distortion_model = camera.width_px, camera.height_px, "plumb_bob"
    set_array(msg, "d", camera.distortion)
    set_array(msg, "k", camera.matrix.reshape(-1))
    set_array(msg, "r", np.eye(3).reshape(-1))
    set_array(msg, "p", np.hstack([camera.matrix, np.zeros((3, 1))]).reshape(-1))
    return msg


def _pixels(msg: Any, channels: int, sensor: str) -> npt.NDArray[np.uint8]:
    """(H, W, channels), or (H, W) for one, as a view where the rows have no padding."""
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    if height <= 0 or width <= 0:
        raise InputError(sensor, f"{width} x {height}", "width, height")
    if step < width * channels:
        raise InputError(sensor, f"{step} bytes cannot hold {width} pixels of {channels}", "step")
    data = raw_bytes(msg.data)
    if len(data) != height * step:
        raise InputError(
            sensor, f"{len(data)} bytes, but {height} rows of {step} take {height * step}", "data"
        )
    rows = np.ascontiguousarray(data.reshape(height, step)[:, : width * channels])
    return rows if channels == 1 else rows.reshape(height, width, channels)


def _to_bgr(pixels: npt.NDArray[np.uint8], conversion: str, sensor: str) -> npt.NDArray[np.uint8]:
    # Here, because the gate's process decodes messages, too, and never an image.
    import cv2

    try:
        return np.asarray(cv2.cvtColor(pixels, getattr(cv2, conversion)), dtype=np.uint8)
    except cv2.error as error:
        height, width = pixels.shape[:2]
        raise InputError(
            sensor, f"{width} x {height} is impossible in this encoding", "width, height"
        ) from error
