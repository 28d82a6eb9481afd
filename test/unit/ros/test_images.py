"""Images of encodings that only cv_bridge knows. It has no wheel, so a stand-in with its interface plays its part."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.ros import images
from perception_platform.ros.images import decode_image


def message(encoding: str) -> SimpleNamespace:
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id="camera_front")
    return SimpleNamespace(
        header=header, encoding=encoding, width=2, height=1, step=6, is_bigendian=0, data=bytes(range(6))
    )


class StandIn:
    def imgmsg_to_cv2(self, msg: Any, desired_encoding: str) -> np.ndarray:
        assert desired_encoding == "bgr8"
        if msg.encoding != "nv12":
            raise RuntimeError(f"[{msg.encoding}] is not a color format")
        return np.full((1, 2, 3), 7, dtype=np.uint8)


@pytest.fixture(params=[True, False], ids=["with", "without"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether cv_bridge is there."""
    stand_in = ModuleType("cv_bridge")
    stand_in.CvBridge = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", stand_in if request.param else None)
    images._cv_bridge.cache_clear()
    yield request.param
    images._cv_bridge.cache_clear()


def test_the_usual_encodings_need_nothing(installed: bool) -> None:
    assert decode_image(message("bgr8"), "camera_front").bgr.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_the_others_are_cv_bridges_or_refused_with_what_is_missing(installed: bool) -> None:
    if installed:
        image = decode_image(message("nv12"), "camera_front")
        assert (image.t_ns, image.frame_id, image.bgr.max()) == (10**9, "camera_front", 7)
    else:
        with pytest.raises(InputError, match=r"camera_front: encoding: 'nv12' needs cv_bridge"):
            decode_image(message("nv12"), "camera_front")


def test_what_nobody_knows_is_an_input_error(installed: bool) -> None:
    with pytest.raises(InputError, match="nonsense"):
        decode_image(message("nonsense"), "camera_front")
