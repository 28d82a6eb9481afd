"""People by their legs in a scan: made-up scans, and the recordings with labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.legs import confirm_people, find_people
from perception_platform.perception.load import load_graph
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, is_valid, nearest_to, sweep

AMR = load_robot("amr")
STEP_RAD = np.deg2rad(0.36)
RADIUS_M = 0.06


def scan(
    legs_m: list[tuple[float, float]], wall_x_m: float | None = 5.0, noise_m: float = 0.004
) -> PointCloud:
    """Round legs before a wall, seen from the origin; without a wall nothing else comes back."""
    azimuth = np.arange(-2.3, 2.3, STEP_RAD)
    ray = np.column_stack([np.cos(azimuth), np.sin(azimuth)])
    far_m = np.inf if wall_x_m is None else wall_x_m
    with np.errstate(divide="ignore"):
        range_m = np.where(ray[:, 0] > 0, far_m / np.maximum(ray[:, 0], 1e-9), np.inf)
    for leg in np.array(legs_m).reshape(-1, 2):
        along = ray @ leg
        beside_sq = leg @ leg - along**2
        hit = (along > 0) & (beside_sq < RADIUS_M**2)
        range_m = np.where(hit, along - np.sqrt(np.maximum(RADIUS_M**2 - beside_sq, 0.0)), range_m)
    back = range_m < 20.0
    noisy_m = range_m[back] + np.random.default_rng(0).normal(0.0, noise_m, int(back.sum()))
    xyz_m = np.column_stack([ray[back] * noisy_m[:, None], np.zeros(int(back.sum()))])
    return PointCloud(7, "base_link", "scan_front", xyz_m.astype(np.float32))


ORIGIN = np.zeros(3)


@pytest.mark.parametrize("range_m", [0.6, 1.5, 3.0, 4.5])
@pytest.mark.parametrize("wall_x_m", [5.5, None])
def test_two_legs_are_one_person_between_them(range_m: float, wall_x_m: float | None) -> None:
    found = find_people(scan([(range_m, 0.16), (range_m + 0.1, -0.16)], wall_x_m), ORIGIN)
    i = nearest_to(found, range_m + 0.05, 0.0)
    assert np.hypot(*(found.centers_m[i, :2] - [range_m + 0.05, 0.0])) < 0.1
    assert (found.class_ids[i], found.sensors[i]) == (ObjectClass.PERSON, SensorKind.SCAN)
    assert len(found) == 1
    assert is_valid(found)


def test_two_people_are_two_and_one_leg_before_the_other_is_one_less_surely() -> None:
    two = find_people(scan([(2.0, 0.8), (2.0, 1.1), (2.5, -0.8), (2.5, -1.1)]), ORIGIN)
    assert len(two) == 2
    one = find_people(scan([(2.0, 0.0)]), ORIGIN)
    assert len(one) == 1
    assert one.scores[0] < two.scores[0]


def test_walls_and_corners_are_nobody() -> None:
    assert len(find_people(scan([]), ORIGIN)) == 0


@settings(max_examples=15, deadline=None)
@given(turn_rad=st.floats(-np.pi, np.pi), seed=st.integers(0, 99))
def test_turning_a_scan_turns_the_people_and_order_does_not_matter(turn_rad: float, seed: int) -> None:
    """Also to behind a scanner that sees all around."""
    still = scan([(1.6, 0.3), (1.7, 0.0), (2.5, -1.2)], None, noise_m=0.0)
    turn = Transform.planar(0.0, 0.0, turn_rad)
    order = np.random.default_rng(seed).permutation(len(still))
    turned = replace(still, xyz_m=turn.apply(still.xyz_m).astype(np.float32)[order])
    a, b = find_people(still, ORIGIN), find_people(turned, ORIGIN)
    assert len(a) == len(b) == 2
    assert b.centers_m[:, :2] == pytest.approx(turn.apply(a.centers_m)[:, :2], abs=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.sampled_from([0.0, -0.0, 1e-30, 0.3, -2.0, 7.0, 1e9, np.nan, np.inf, -np.inf])] * 2),
        max_size=30,
    )
)
def test_any_points_are_survived(points: list[tuple[float, float]]) -> None:
    xyz_m = np.zeros((len(points), 3), dtype=np.float32)
    xyz_m[:, :2] = np.array(points, dtype=np.float32).reshape(-1, 2)
    assert is_valid(find_people(PointCloud(0, "base_link", "scan_front", xyz_m), ORIGIN))


def lidar_sees(*solids: Solid) -> PointCloud:
    return sweep(list(solids), AMR.sensor("lidar_top").mounting.transform(), "lidar_top")


def legs_at(x_m: float, y_m: float) -> PointCloud:
    at: Array = AMR.sensor("scan_front").mounting.transform().translation_m
    ahead = scan([(x_m - at[0], y_m + 0.15), (x_m - at[0], y_m - 0.15)])
    return replace(ahead, t_ns=0, xyz_m=(ahead.xyz_m + at).astype(np.float32))


def seen_with(scans: list[PointCloud], *solids: Solid) -> Detections:
    return load_graph(AMR).step(lidar_sees(*solids), scans=scans).detections


def test_legs_make_a_person_of_an_upper_body_that_is_all_a_lidar_sees() -> None:
    """Close by, the lowest beam of a lidar on top passes above the legs."""
    upper = Solid(2.0, 0.0, (0.3, 0.5, 0.75), bottom_m=1.0)
    alone, both = seen_with([], upper), seen_with([legs_at(2.0, 0.0)], upper)
    i, j = nearest_to(alone, 2.0, 0.0), nearest_to(both, 2.0, 0.0)
    assert alone.class_ids[i] == ObjectClass.UNKNOWN
    assert both.class_ids[j] == ObjectClass.PERSON
    assert both.sensors[j] == SensorKind.LIDAR | SensorKind.SCAN
    assert both.scores[j] > alone.scores[i]
    assert {s.sensor for s in both.lineage.sources} == {"lidar_top", "scan_front"}


def test_legs_without_a_body_above_and_old_scans_name_nothing() -> None:
    stool = Solid(2.5, 0.0, (0.4, 0.4, 0.6))
    assert ObjectClass.PERSON not in seen_with([legs_at(2.5, 0.0)], stool).class_ids
    upper, old = Solid(2.0, 0.0, (0.3, 0.5, 0.75), bottom_m=1.0), replace(legs_at(2.0, 0.0), t_ns=-(10**9))
    assert ObjectClass.PERSON not in seen_with([old], upper).class_ids


def test_nobody_and_nothing_are_confirmed_as_they_are() -> None:
    person = seen_with([], Solid(3.0, 0.0, PERSON_SIZE_M))
    assert confirm_people(person, Detections.empty(0, "base_link")) is person
    nothing = Detections.empty(0, "base_link")
    assert confirm_people(nothing, find_people(legs_at(2.0, 0.0), ORIGIN)) is nothing


@pytest.mark.slow
def test_people_of_the_recordings_are_found_and_followed(shared_data: Path, tmp_path: Path) -> None:
    bags = sorted((shared_data / "bags" / "laser_people").glob("positive_*.bag"))
    out = tmp_path / "scans.json"
    result = CliRunner().invoke(app, ["evaluate", "scans", *map(str, bags), "--json", str(out)])
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["scans"]["recall"] > 0.96
    assert report["tracks"]["recall"] > 0.98
    assert report["tracks"]["error_m"]["median"] < 0.06
    assert report["walking_tracks"]["precision"] > 0.6


def test_a_bag_without_labels_ends_with_one_line(shared_data: Path) -> None:
    bag = shared_data / "bags" / "nav2_turtlebot.mcap"
    result = CliRunner().invoke(app, ["evaluate", "scans", str(bag)])
    assert result.exit_code != 0
