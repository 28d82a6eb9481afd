"""Range and PolygonStamped as obstacle points, and the conversion of every kind of source."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perception_platform.bags.types import blank
from perception_platform.core.errors import FrameError, InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.messages.clouds import cloud_to_msg
from perception_platform.messages.obstacles import polygon_to_cloud, range_to_cloud
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.ros.inputs import SOURCES

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=3, nanosec=5), frame_id="sonar")


def reading(range_m: float, **changed: Any) -> SimpleNamespace:
    fields = {"field_of_view": 0.4, "min_range": 0.2, "max_range": 4.0, "range": range_m, "header": HEADER}
    return SimpleNamespace(**fields | changed)


def polygon(*corners: tuple[float, float, float]) -> SimpleNamespace:
    points = [SimpleNamespace(x=x, y=y, z=z) for x, y, z in corners]
    return SimpleNamespace(header=HEADER, polygon=SimpleNamespace(points=points))


def test_a_range_is_an_arc_at_its_distance() -> None:
    cloud = range_to_cloud(reading(2.0), "sonar")
    assert cloud.t_ns == 3_000_000_005
    assert np.linalg.norm(cloud.xyz_m, axis=1) == pytest.approx(2.0, abs=1e-6)
    azimuth = np.arctan2(cloud.xyz_m[:, 1], cloud.xyz_m[:, 0])
    assert (azimuth.min(), azimuth.max()) == (pytest.approx(-0.2), pytest.approx(0.2))
    assert len(cloud) >= 7, "enough for every rule that asks for several points"


@pytest.mark.parametrize(
    ("range_m", "changed", "at_m"),
    [
        (math.inf, {}, None),
        (4.1, {}, None),
        (-math.inf, {}, 0.2),
        (0.05, {}, 0.2),
        (-math.inf, {"min_range": 0.5, "max_range": 0.5}, 0.5),
        (math.inf, {"min_range": 0.5, "max_range": 0.5}, None),
        (1.0, {"field_of_view": 0.0}, 1.0),
    ],
)
def test_what_was_not_measured_is_nothing_and_what_is_too_near_is_there(
    range_m: float, changed: dict[str, float], at_m: float | None
) -> None:
    xyz_m = range_to_cloud(reading(range_m, **changed), "sonar").xyz_m
    if at_m is None:
        assert len(xyz_m) == 0
    else:
        assert np.linalg.norm(xyz_m, axis=1) == pytest.approx(at_m, abs=1e-6)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (reading(math.nan), "sonar: range"),
        (reading(1.0, max_range=math.inf), "max_range"),
        (reading(1.0, field_of_view=7.0), "field_of_view"),
        (reading(1.0, min_range=5.0), "field_of_view"),
    ],
)
def test_a_malformed_range_names_its_field(message: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        range_to_cloud(message, "sonar")


def test_a_polygon_is_points_along_its_edges() -> None:
    xyz_m = polygon_to_cloud(polygon((1, 0, 0.5), (2, 0, 0.5), (2, 1, 0.5)), "hole").xyz_m
    assert {(1.0, 0.0), (2.0, 0.0), (2.0, 1.0)} <= {(float(x), float(y)) for x, y, _ in xyz_m}
    gaps_m = np.linalg.norm(np.diff(xyz_m, axis=0), axis=1)
    assert gaps_m.max() <= 0.0501
    assert len(polygon_to_cloud(polygon(), "hole")) == 0


@pytest.mark.parametrize("corners", [((math.nan, 0, 0),), ((0, 0, 0), (1e6, 0, 0))])
def test_a_malformed_polygon_is_refused(corners: tuple[tuple[float, float, float], ...]) -> None:
    with pytest.raises(InputError, match="hole"):
        polygon_to_cloud(polygon(*corners), "hole")


def header(frame_id: str) -> SimpleNamespace:
    return SimpleNamespace(stamp=HEADER.stamp, frame_id=frame_id)


def with_sources(**fields: Any) -> Robot:
    """The AMR with a source of each other kind behind, looking back."""
    file = load_robot("amr").model_dump(mode="json")
    behind = {"xyz_m": [-0.45, 0.0, 0.3], "rpy_deg": [0.0, 0.0, 180.0]}
    external = {"rate_hz": 10, "mounting": behind, "driver": {"type": "external"}, "required": False}
    file["sensors"] += [{"name": k, "kind": k, **external, **fields} for k in ("range", "cloud", "polygon")]
    return Robot.model_validate(file)


def test_every_source_ends_up_in_the_base_frame() -> None:
    robot = with_sources()
    assert [s.name for s in robot.sources] == ["scan_front", "range", "cloud", "polygon"]
    assert {s.kind for s in robot.sources} == set(SOURCES)
    cloud = SOURCES["range"](reading(2.0, header=header("range")), "range", robot)
    assert cloud.frame_id == "base_link"
    assert cloud.xyz_m[:, 0].min() == pytest.approx(-2.45, abs=1e-3)
    assert cloud.xyz_m[:, 2] == pytest.approx(0.3)


def scan(frame_id: str) -> SimpleNamespace:
    angles = {"angle_min": 0.0, "angle_max": 0.1, "angle_increment": 0.1, "time_increment": 0.0}
    reach = {"range_min": 0.1, "range_max": 9.0, "ranges": [2.0, 2.0], "intensities": []}
    return SimpleNamespace(header=header(frame_id), **angles, **reach)


def cloud_msg(frame_id: str) -> Any:
    points = PointCloud(5, frame_id, "cloud", np.ones((3, 3), dtype=np.float32))
    return cloud_to_msg(points, blank)


def outline(frame_id: str) -> SimpleNamespace:
    return SimpleNamespace(header=header(frame_id), polygon=polygon((1, 0, 0), (2, 0, 0)).polygon)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("scan", "scan_front", scan),
        ("range", "range", lambda frame_id: reading(2.0, header=header(frame_id))),
        ("cloud", "cloud", cloud_msg),
        ("polygon", "polygon", outline),
    ],
)
def test_a_source_in_another_frame_than_its_own_is_refused(
    kind: str, name: str, message: Callable[[str], Any]
) -> None:
    robot = with_sources()
    assert len(SOURCES[kind](message(name), name, robot)) > 0
    for frame_id in ("laser_link", "", "base_link", f"/{name}"):
        with pytest.raises(FrameError) as caught:
            SOURCES[kind](message(frame_id), name, robot)
        assert (caught.value.source, caught.value.where) == (f"/{name}/{kind}", "header.frame_id")
        assert f"{frame_id!r} instead of {name!r}" in str(caught.value)


def test_the_robot_file_may_give_a_source_another_frame() -> None:
    robot = with_sources(frame_id="amr/sonar_link")
    assert robot.source("range").frame == "amr/sonar_link"
    assert len(SOURCES["range"](reading(2.0, header=header("amr/sonar_link")), "range", robot)) > 0
    with pytest.raises(FrameError):
        SOURCES["range"](reading(2.0, header=header("range")), "range", robot)
