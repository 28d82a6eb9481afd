"""The lidar path held against labels: what counts as found, what as ground, and what bad files lead to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.evaluation.lidar_baseline import baseline_finder
from perception_platform.evaluation.lidar_bench import bench_lidar
from perception_platform.evaluation.lidar_conditions import CONDITIONS, Condition
from perception_platform.evaluation.lidar_frames import read_camera_from_lidar, read_frames, read_labels
from perception_platform.evaluation.lidar_measures import (
    Boxes,
    binomial_bounds,
    corridor_end_m,
    covering,
    ground_in_corridor,
    near_side,
    nearest_range_m,
    pieces_of,
)
from perception_platform.evaluation.lidar_report import Limits, evaluate_lidar, geometric_finder, lidar_of
from perception_platform.evaluation.phantoms import evaluate_phantoms
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import CAR_SIZE_M, HDL64_RAD, PERSON_SIZE_M, Solid, sweep

REPOSITORY = Path(__file__).resolve().parents[3]
VAN = load_robot("delivery_van")
LIDAR = lidar_of(VAN, None)
MOUNTING = LIDAR.mounting.transform()
# The lidar's x is the camera's z, its y the camera's -x: headings are the same angle, turned by a quarter and negative.
CALIBRATION = "R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
CAR = Solid(12.0, 1.0, CAR_SIZE_M, 0.3)
PERSON = Solid(8.0, -3.0, PERSON_SIZE_M)


def label(kind: str, solid: Solid) -> str:
    x, y, bottom = solid.x_m - MOUNTING.translation_m[0], solid.y_m, -MOUNTING.translation_m[2]
    length, width, height = solid.size_m
    heading = -solid.yaw_rad - np.pi / 2
    return f"{kind} 0 0 0 0 0 0 0 {height} {width} {length} {-y} {-bottom} {x} {heading}\n"


def write_frame(folder: Path, labels: str, solids: list[Solid], name: str = "000001") -> Path:
    for part in ("velodyne", "label_2", "calib"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    xyz_m = sweep(solids, MOUNTING, "velodyne", HDL64_RAD, 900).xyz_m
    np.pad(xyz_m, ((0, 0), (0, 1))).tofile(folder / "velodyne" / f"{name}.bin")
    (folder / "label_2" / f"{name}.txt").write_text(labels)
    (folder / "calib" / f"{name}.txt").write_text(CALIBRATION)
    return folder


@pytest.fixture
def street(tmp_path: Path) -> Path:
    labels = (
        label("Car", CAR) + label("Pedestrian", PERSON) + "DontCare -1 -1 -10 0 0 9 9 -1 -1 -1 -1 -1 -1 -1\n"
    )
    return write_frame(tmp_path, labels, [CAR, PERSON])


def test_labels_come_into_the_lidars_frame(street: Path) -> None:
    frame = next(read_frames(street, "velodyne"))
    assert list(frame.labels.types) == ["Car", "Pedestrian"]
    in_base = MOUNTING.apply(frame.labels.centers_m)
    assert in_base == pytest.approx(np.array([[12.0, 1.0, 0.75], [8.0, -3.0, 0.875]]), abs=1e-6)
    assert frame.labels.yaws_rad == pytest.approx([0.3, 0.0], abs=1e-6)
    assert frame.labels.sizes_m[0] == pytest.approx(CAR_SIZE_M)


def test_what_is_there_is_found_where_it_is(street: Path) -> None:
    report = evaluate_lidar(street, VAN, LIDAR, Limits())
    assert (report["objects"]["found"], report["objects"]["labelled"]) == (2, 2)
    assert (report["people"]["found"], report["people"]["labelled"]) == (1, 1)
    assert report["near_side_error_m"]["median"] < 0.1
    assert report["ground"]["called_obstacle"] == 0
    assert report["ground"]["points"] > 100
    assert report["missed"] == []


def test_what_nobody_found_is_missed(street: Path) -> None:
    nothing = Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    report = evaluate_lidar(street, VAN, LIDAR, Limits(), lambda cloud: (nothing, np.zeros((0, 3))))
    assert report["objects"]["found"] == 0
    assert report["objects"]["interval_95"][1] < 1.0
    assert [o["type"] for o in report["missed"]] == ["Car", "Pedestrian"]
    assert report["near_side_error_m"]["median"] is None


def test_ground_called_obstacle_is_counted(street: Path) -> None:
    nothing = Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    report = evaluate_lidar(street, VAN, LIDAR, Limits(), lambda cloud: (nothing, cloud.xyz_m.astype(float)))
    assert report["ground"]["share"] == 1.0


def test_only_what_is_near_and_seen_counts(street: Path) -> None:
    assert evaluate_lidar(street, VAN, LIDAR, Limits(range_m=10.0))["objects"]["labelled"] == 1
    assert evaluate_lidar(street, VAN, LIDAR, Limits(people_range_m=5.0))["people"]["labelled"] == 0
    assert evaluate_lidar(street, VAN, LIDAR, Limits(min_points=10**6))["objects"]["recall"] is None


def test_a_box_covers_a_near_side_only_if_it_holds_half_of_it() -> None:
    label_box = Boxes(np.array([[10.0, 0.0, 0.0]]), np.array([[4.0, 2.0, 1.6]]), np.zeros(1))
    y = np.linspace(-1, 1, 101)
    points_m = np.column_stack([np.full(101, 8.0), y, np.full(101, 0.2)])
    side_m = near_side(points_m, label_box, 0)
    assert len(side_m) == 101
    for width_m, found in ((2.0, 0), (1.2, 0), (0.6, None)):
        box = Boxes(np.array([[8.5, 0.0, 0.0]]), np.array([[1.0, width_m, 1.6]]), np.zeros(1))
        assert covering(side_m, box) == found
    assert nearest_range_m(label_box, 0) == pytest.approx(8.0)


def test_the_corridor_ends_at_the_first_object_in_it() -> None:
    cars = Boxes(np.array([[20.0, 0.5, 0], [9.0, 5.0, 0]]), np.tile([4.0, 2.0, 1.5], (2, 1)), np.zeros(2))
    assert corridor_end_m(cars, 3.0, 30.0, 1.0) == pytest.approx(18.0)
    assert corridor_end_m(cars, 3.0, 30.0, 4.5) == pytest.approx(7.0)


def test_ground_is_the_plane_that_most_agree_on() -> None:
    rng = np.random.default_rng(0)
    road = np.column_stack([rng.uniform(3, 11, 400), rng.uniform(-1, 1, 400), rng.normal(-1.7, 0.02, 400)])
    kerb = road[:80] + np.array([0.0, 0.0, 0.25])
    in_corridor, ground = ground_in_corridor(np.vstack([road, kerb]), 3.0, 11.0, 1.0, 0)
    assert in_corridor.all()
    assert ground[:400].all()
    assert not ground[400:].any()


def test_bounds_are_exact() -> None:
    """Against the closed forms for none and all, and a value of Clopper and Pearson's table."""
    assert binomial_bounds(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert binomial_bounds(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    assert binomial_bounds(8, 10) == (pytest.approx(0.4439, abs=1e-4), pytest.approx(0.9748, abs=1e-4))
    assert binomial_bounds(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Car 0 0 0\n", "line 1: 4 fields in place of 15"),
        ("Car 0 0 0 0 0 0 0 1 1 x 0 0 0 0\n", "line 1: could not convert"),
        ("Car 0 0 0 0 0 0 0 1 1 nan 0 0 0 0\n", "line 1: a number is not finite"),
        ("Car 0 0 0 0 0 0 0 1 1 0 0 0 0 0\n", "size is not positive"),
    ],
)
def test_bad_labels_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "000001.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_labels(path, MOUNTING)


def test_bad_folders_and_calibrations_are_named(street: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame in both"):
        next(read_frames(tmp_path / "elsewhere", "velodyne"))
    (street / "calib" / "000001.txt").write_text("R0_rect: 1 0 0 0 1 0 0 0 1\n")
    with pytest.raises(InputError, match="Tr_velo_to_cam: has no such 12 numbers"):
        read_camera_from_lidar(street / "calib" / "000001.txt")
    with pytest.raises(InputError, match="name one of its lidars: velodyne"):
        lidar_of(VAN, "roof")


def test_the_command_writes_what_it_shows(street: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "lidar.json"
    result = CliRunner().invoke(app, ["evaluate", "lidar", "--frames", str(street), "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["objects"]["found"] == 2
    assert "ground called obstacle: 0 of" in result.output


@pytest.mark.slow
def test_the_baseline_finds_what_stands_alone(street: Path) -> None:
    report = evaluate_lidar(street, VAN, LIDAR, Limits(), baseline_finder(VAN, LIDAR, 0))
    assert report["objects"]["found"] == 2


def test_cuts_and_merges_are_counted(street: Path) -> None:
    """The car in two halves; the person in a box with as much of something else."""
    frame = next(read_frames(street, "velodyne"))
    points_m = frame.cloud.xyz_m.astype(np.float64)
    car, whole = frame.labels, frame.labels.sizes_m[:1]
    c, s = np.cos(car.yaws_rad[0]), np.sin(car.yaws_rad[0])
    quarter_m = 0.25 * car.sizes_m[0, 1] * np.array([-s, c, 0.0])
    halves = Boxes(
        np.stack([car.centers_m[0] - quarter_m, car.centers_m[0] + quarter_m]),
        np.repeat(whole * [1.0, 0.5, 1.0], 2, axis=0),
        np.repeat(car.yaws_rad[:1], 2),
    )
    assert pieces_of(points_m, car, 0, halves, 0) == (2, pytest.approx(1.0))
    one = Boxes(car.centers_m[:1], whole, car.yaws_rad[:1])
    assert pieces_of(points_m, car, 0, one, 0) == (1, pytest.approx(1.0))
    both = Boxes(np.array([[9.5, -1.0, -0.9]]), np.array([[9.0, 7.0, 2.0]]), np.zeros(1))
    boxes, share = pieces_of(points_m, car, 1, both, 0)
    assert boxes == 1
    assert share < 0.5


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_under_harder_conditions_the_labels_still_hold(street: Path, condition: Condition) -> None:
    report = evaluate_lidar(street, VAN, LIDAR, Limits(), condition=condition)
    assert report["objects"]["found"] == report["objects"]["labelled"] >= 1
    assert report["condition"]["name"] == condition.name
    if condition.backscatter:
        assert report["drops"]["points"] > 100
        assert report["drops"]["sweeps_with_phantom"] == 0
    again = evaluate_lidar(street, VAN, LIDAR, Limits(), condition=condition)
    assert again == report


def test_drops_that_stay_are_phantoms(street: Path) -> None:
    """The sweeps have no intensities of their own below the filter's limit, so without it all drops count."""
    plain = geometric_finder(VAN, LIDAR, GeometryParams(backscatter=None))
    drops = evaluate_lidar(street, VAN, LIDAR, Limits(), plain, Condition(backscatter=0.1))["drops"]
    assert drops["sweeps_with_phantom"] == 1
    assert drops["called_obstacle"] > 0.5 * drops["points"]


def test_a_free_way_has_no_phantom_and_a_person_on_it_is_one(street: Path, tmp_path: Path) -> None:
    free = evaluate_phantoms(street / "velodyne", VAN, LIDAR, 3.0, GeometryParams())
    assert (free["sweeps"], free["with_phantom"], free["points"]) == (1, 0, 0)
    blocked = write_frame(tmp_path / "blocked", "", [Solid(6.0, 0.0, PERSON_SIZE_M)])
    assert evaluate_phantoms(blocked / "velodyne", VAN, LIDAR, 3.0, GeometryParams())["with_phantom"] == 1
    with pytest.raises(InputError, match=r"holds no file that ends in \.bin, \.pcd, \.csv"):
        evaluate_phantoms(blocked / "calib", VAN, LIDAR, 3.0, GeometryParams())


def test_real_fog_stops_nobody(shared_data: Path, tmp_path: Path) -> None:
    robot, out = str(REPOSITORY / "test" / "robots" / "radiate_van.yaml"), tmp_path / "fog.json"
    sweeps = str(shared_data / "fog" / "velo_lidar")
    result = CliRunner().invoke(
        app, ["evaluate", "phantoms", sweeps, "--robot", robot, "--free-m", "20", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert (report["sweeps"], report["with_phantom"]) == (20, 0)


@pytest.mark.slow
def test_the_bench_times_both_on_the_same_sweeps(street: Path) -> None:
    report = bench_lidar(street, VAN, LIDAR, samples=3, baseline_samples=1, seed=0)
    assert report["geometric"]["samples"] == 3
    assert report["geometric"]["objects"]["found"] == report["baseline"]["objects"]["found"] == 2
    ratio = report["baseline"]["cpu_p50_ms"] / report["geometric"]["cpu_p50_ms"]
    assert report["times_faster"] == pytest.approx(ratio, abs=0.1)
    assert [row["condition"] for row in report["conditions"]] == [c.name for c in CONDITIONS]
    assert all(row["geometric"]["objects"]["recall"] == 1.0 for row in report["conditions"])
