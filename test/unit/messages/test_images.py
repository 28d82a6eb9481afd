"""Images in every encoding that cameras here send, and malformed ones."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from perception_platform.bags.types import blank
from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import CameraModel, Image
from perception_platform.messages.sensors import (
    camera_info_to_msg,
    camera_model_from_msg,
    image_from_msg,
    image_to_msg,
)

BGR = (30, 120, 210)
FLAT = np.full((4, 6, 3), BGR, dtype=np.uint8)


def msg_of(encoding: str, pixels: Any, padding: int = 0) -> Any:
    rows = np.asarray(pixels, np.uint8).reshape(4, -1)
    msg = blank("sensor_msgs/msg/Image")
    msg.header.stamp.sec, msg.header.frame_id = 7, "camera"
    msg.height, msg.width, msg.encoding = 4, 6, encoding
    msg.step = rows.shape[1] + padding
    msg.data = np.pad(rows, ((0, 0), (0, padding))).reshape(-1)
    return msg


def mosaic(pattern: str) -> Any:
    """The flat colour as a Bayer sensor sees it; the pattern names its first two rows' pixels."""
    value = dict(zip("bgr", BGR, strict=True))
    tile = np.array([value[c] for c in pattern], dtype=np.uint8).reshape(2, 2)
    return np.tile(tile, (2, 3))


ENCODED = {
    "bgr8": FLAT,
    "8UC3": FLAT,
    "rgb8": FLAT[..., ::-1],
    "bgra8": np.dstack([FLAT, np.full((4, 6), 255, np.uint8)]),
    "rgba8": np.dstack([FLAT[..., ::-1], np.full((4, 6), 255, np.uint8)]),
    **{f"bayer_{p}8": mosaic(p) for p in ("rggb", "bggr", "gbrg", "grbg")},
}


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("padding", [0, 3])
def test_colours_survive(encoding: str, padding: int) -> None:
    image = image_from_msg(msg_of(encoding, ENCODED[encoding], padding), "front")
    np.testing.assert_array_equal(image.bgr, FLAT)
    assert (image.sensor, image.frame_id, image.t_ns) == ("front", "camera", 7_000_000_000)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey(encoding: str) -> None:
    grey = np.arange(24).reshape(4, 6)
    bgr = image_from_msg(msg_of(encoding, grey), "front").bgr
    np.testing.assert_array_equal(bgr, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("encoding", "luma_at"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)]
)
def test_half_resolution_colour(encoding: str, luma_at: int) -> None:
    y, u, v = cv2.cvtColor(FLAT, cv2.COLOR_BGR2YUV)[0, 0]
    # OpenCV's BGR2YUV has the full range, video the studio's: only the order of bytes is looked at here.
    pair = [y, u, y, v] if luma_at == 0 else [u, y, v, y]
    bgr = image_from_msg(msg_of(encoding, np.tile(pair, (4, 3))), "front").bgr.astype(int)
    assert np.abs(bgr - FLAT).max() < 45
    assert (bgr[..., 2] > bgr[..., 1]).all()
    assert (bgr[..., 1] > bgr[..., 0]).all()


def test_round_trip() -> None:
    bgr = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    back = image_from_msg(image_to_msg(Image(123, "camera", "front", bgr), blank), "front")
    np.testing.assert_array_equal(back.bgr, bgr)
    assert back.t_ns == 123


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"encoding": "32FC1"}, "encoding"),
        ({"encoding": ""}, "encoding"),
        ({"step": 17}, "step"),
        ({"step": 19}, "data"),
        ({"height": 5}, "data"),
        ({"width": 7}, "step"),
        ({"width": 0}, "width, height"),
        ({"data": np.zeros(71, np.uint8)}, "data"),
    ],
)
def test_a_malformed_image_is_refused_by_name(values: dict[str, Any], where: str) -> None:
    msg = msg_of("bgr8", FLAT)
    for name, value in values.items():
        setattr(msg, name, value)
    with pytest.raises(InputError) as caught:
        image_from_msg(msg, "front")
    assert (caught.value.source, caught.value.where) == ("front", where)


def test_a_width_that_the_encoding_cannot_have() -> None:
    msg = blank("sensor_msgs/msg/Image")
    msg.height, msg.width, msg.encoding, msg.step = 2, 3, "yuyv", 6
    msg.data = np.zeros(12, np.uint8)
    with pytest.raises(InputError, match="front: width, height: 3 x 2 is impossible"):
        image_from_msg(msg, "front")


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"k": np.zeros(9)}, "k"),
        ({"k": np.full(9, np.nan)}, "k, d"),
        ({"width": 0}, "width, height"),
        ({"d": np.ones(8), "distortion_model": "rational_polynomial"}, "distortion_model"),
    ],
)
def test_a_malformed_camera_model_is_refused_by_name(values: dict[str, Any], where: str) -> None:
    camera = CameraModel(6, 4, np.diag([5.0, 5.0, 1.0]))
    msg = camera_info_to_msg(camera, 1, "camera", blank)
    for name, value in values.items():
        setattr(msg, name, value)
    with pytest.raises(InputError) as caught:
        camera_model_from_msg(msg, "front")
    assert caught.value.where == where
