"""What the tests of sensing share: a clock that doesn't wait, and sensors of a robot file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perception_platform.core.time import from_s
from perception_platform.robot.sensors import Camera, Lidar

START_NS = 1_700_000_000_000_000_000


class FakeClock:
    """Waiting takes no time here, but this clock moves on by it."""

    def __init__(self) -> None:
        self.t_ns = START_NS
        self.waits_s: list[float] = []
        self.stopped = False

    def now_ns(self) -> int:
        return self.t_ns

    def wait_s(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        self.t_ns += max(0, from_s(duration_s))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_camera() -> Callable[..., Camera]:
    def build(driver: dict[str, Any] | None = None, **intrinsics: Any) -> Camera:
        size = {"width_px": 64, "height_px": 48, "fx_px": 60.0, "fy_px": 60.0, "cx_px": 31.5, "cy_px": 23.5}
        return Camera.model_validate(
            {
                "name": "camera_front",
                "kind": "camera",
                "rate_hz": 10,
                "mounting": {"xyz_m": [0, 0, 1]},
                "required": False,
                "driver": driver or {"type": "external"},
                "intrinsics": size | intrinsics,
            }
        )

    return build


@pytest.fixture
def make_lidar() -> Callable[..., Lidar]:
    def build(driver: dict[str, Any] | None = None) -> Lidar:
        return Lidar.model_validate(
            {
                "name": "lidar_top",
                "kind": "lidar",
                "rate_hz": 10,
                "mounting": {"xyz_m": [0, 0, 1]},
                "driver": driver or {"type": "external"},
                "beams": 16,
            }
        )

    return build
