"""Average precision and critical errors, held against cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.core.verdicts import Action
from perception_platform.evaluation.criticality import Error, Judge, Scene
from perception_platform.evaluation.detection import evaluate_detection
from perception_platform.evaluation.detection_ap import (
    distance_ap,
    kitti_ap,
    overlap_ap,
    rank,
    rank_by_distance,
    true_positive_errors,
)
from perception_platform.evaluation.kitti_files import KittiBoxes, read_objects
from perception_platform.evaluation.lidar_report import lidar_of
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.measures import required_decel_mps2
from perception_platform.robot.load import load_robot
from test.unit.evaluation.boxes import together
from test.unit.evaluation.test_lidar_evaluation import CALIBRATION, CAR, PERSON, label, write_frame
from test.unit.perception.sweeps import Solid

VAN = load_robot("delivery_van")
LIDAR = lidar_of(VAN, None)
PROJECTION = "P2: 721.5 0 609.6 0 0 721.5 172.9 0 0 0 1 0\n"


def boxes(rows: list[tuple[float, float, float]], kind: str = "car", frame: int = 0) -> KittiBoxes:
    """Cars at (x, z) with a score, one frame, 100 px high."""
    n = len(rows)
    x, z, score = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return KittiBoxes(
        frames=np.full(n, frame, dtype=np.int64),
        ids=np.full(n, -1, dtype=np.int64),
        types=np.array([kind] * n, dtype=np.str_),
        truncation=np.zeros(n),
        occlusion=np.zeros(n),
        boxes_px=np.tile([100.0, 100.0, 200.0, 200.0], (n, 1)),
        sizes_m=np.tile([1.5, 1.6, 4.0], (n, 1)),
        bottoms_m=np.column_stack([x, np.full(n, 1.6), z]),
        ry_rad=np.zeros(n),
        scores=score,
    )


TWO = boxes([(0, 10, 0), (0, 20, 0)])
FOUND_TWO_OF_THREE = boxes([(0, 10, 0.9), (30, 10, 0.8), (0, 20, 0.7)])


def test_a_perfect_detector_has_full_marks() -> None:
    assert distance_ap(
        rank_by_distance(TWO, replace(TWO, scores=np.array([0.5, 0.4])), 0.5)
    ) == pytest.approx(1.0)
    for difficulty in ("easy", "moderate", "hard"):
        assert kitti_ap(TWO, TWO, "car", difficulty) == pytest.approx(1.0)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right: precision 1 up to half the recall, 2/3 beyond."""
    assert kitti_ap(TWO, FOUND_TWO_OF_THREE, "car", "easy") == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    at = np.linspace(0.11, 1.0, 90)
    precision = np.where(at < 0.5, 1.0, 0.5 + (at - 0.5) / 0.5 * (2 / 3 - 0.5))
    expected = (precision - 0.1).mean() / 0.9
    assert distance_ap(rank_by_distance(TWO, FOUND_TWO_OF_THREE, 2.0)) == pytest.approx(expected)


def test_no_label_is_no_score_and_no_result_is_nought() -> None:
    assert kitti_ap(boxes([]), TWO, "car", "easy") is None
    assert distance_ap(rank_by_distance(boxes([]), TWO, 2.0)) is None
    assert kitti_ap(TWO, boxes([]), "car", "easy") == 0.0
    assert distance_ap(rank_by_distance(TWO, boxes([]), 2.0)) == 0.0
    assert true_positive_errors(TWO, boxes([]), rank_by_distance(TWO, boxes([]), 2.0)) is None


def test_a_label_is_found_once() -> None:
    twice = boxes([(0, 10, 0.9), (0, 10.1, 0.8)])
    ranked = rank_by_distance(TWO, twice, 2.0)
    assert ranked.label_rows.tolist() == [0, -1]


def test_the_nearest_free_label_is_taken_and_only_of_the_same_frame() -> None:
    labels = boxes([(0, 10, 0), (0, 11, 0)])
    assert rank_by_distance(labels, boxes([(0, 10.8, 0.9)]), 2.0).label_rows.tolist() == [1]
    assert rank_by_distance(labels, boxes([(0, 10, 0.9)], frame=1), 2.0).label_rows.tolist() == [-1]


@pytest.mark.parametrize(
    "change",
    [
        {"types": np.array(["van", "car"])},
        {"occlusion": np.array([3.0, 0.0])},
        {"truncation": np.array([0.6, 0.0])},
        {"boxes_px": np.array([[0.0, 0, 10, 20], [0, 0, 100, 100]])},
    ],
)
def test_what_neither_counts_nor_costs(change: dict[str, Any]) -> None:
    """The first label is a van, hidden, cut off or tiny: found or not, the score is that of the second."""
    labels = replace(TWO, **change)
    assert kitti_ap(labels, boxes([(0, 10, 0.9), (0, 20, 0.8)]), "car", "hard") == pytest.approx(1.0)
    assert kitti_ap(labels, boxes([(0, 20, 0.8)]), "car", "hard") == pytest.approx(1.0)
    assert kitti_ap(labels, boxes([(30, 10, 0.9), (0, 20, 0.8)]), "car", "hard") == pytest.approx(0.5)


def test_a_box_in_an_area_that_nobody_labelled_is_no_mistake() -> None:
    area = replace(boxes([(-1000, -1000, 0)], "dontcare"), boxes_px=np.array([[90.0, 90, 210, 210]]))
    elsewhere = replace(TWO, boxes_px=np.tile([400.0, 100, 500, 200], (2, 1)))
    labels = together(elsewhere, area)
    away, within = [400.0, 100.0, 500.0, 200.0], [100.0, 100.0, 200.0, 200.0]
    found = replace(FOUND_TWO_OF_THREE, boxes_px=np.array([away, within, away]))
    assert kitti_ap(labels, found, "car", "easy") == pytest.approx(1.0)


def test_overlap_has_to_be_enough() -> None:
    """4 m cars side by side along their length: 0.3 m of shift overlaps by 3.7 / 4.3, 1 m by 3 / 5."""
    label_box = boxes([(0, 10, 0)])
    assert kitti_ap(label_box, boxes([(0.3, 10, 0.9)]), "car", "easy") == 1.0
    assert kitti_ap(label_box, boxes([(1.0, 10, 0.9)]), "car", "easy") == 0.0


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_order_does_not_matter_and_a_mistake_never_helps(rows: list[tuple[int, bool]], random: Any) -> None:
    labels = boxes([(0, 10.0 * k, 0) for k in range(10)])
    scores = np.linspace(0.9, 0.1, len(rows))
    found = boxes([(0 if right else 50, 10.0 * k, s) for (k, right), s in zip(rows, scores, strict=True)])
    shuffled = found.select(np.array(random.sample(range(len(rows)), len(rows))))
    more = boxes([(50.0, 0.0, 0.95)])
    worse = together(found, more)
    for score in (
        lambda results: distance_ap(rank_by_distance(labels, results, 2.0)),
        lambda results: overlap_ap(rank_by_distance(labels, results, 2.0)),
    ):
        value = score(found)
        assert value is not None
        assert 0.0 <= value <= 1.0
        assert score(shuffled) == value
        assert score(worse) <= value + 1e-12


def test_ignored_labels_are_taken_last() -> None:
    pairs, closeness = np.array([[0, 0], [1, 0]]), np.array([0.9, 0.8])
    ranked = rank(np.array([0.5]), pairs, closeness, np.array([True, False]), np.array([False]))
    assert (ranked.label_rows.tolist(), ranked.labels) == ([1], 1)


def test_errors_of_what_was_found() -> None:
    found = replace(boxes([(0.3, 10.4, 0.9)]), ry_rad=np.array([0.2]), sizes_m=np.array([[1.5, 1.6, 2.0]]))
    errors = true_positive_errors(TWO, found, rank_by_distance(TWO, found, 2.0))
    assert errors == pytest.approx({"translation_m": 0.5, "scale": 0.5, "orientation_rad": 0.2})


CONFIG = RiskConfig.from_robot(VAN)
PERSON_SIZE_M = (0.6, 0.6, 1.75)


def standing(*places_m: tuple[float, float]) -> Scene:
    """People in the base frame."""
    n = len(places_m)
    centers_m = np.array([(x, y, 0.875) for x, y in places_m]).reshape(-1, 3)
    return Scene(centers_m, np.tile(PERSON_SIZE_M, (n, 1)), np.zeros(n), np.full(n, int(ObjectClass.PERSON)))


def only(judge: Judge, labels: Scene, results: Scene, pairs: dict[int, int]) -> Error:
    (error,) = judge.errors(labels, results, pairs)
    return error


def test_a_missed_person_in_the_path_is_critical_and_dangerous() -> None:
    error = only(Judge(CONFIG, 5.0), standing((10.0, 0.0)), standing(), {})
    assert (error.kind, error.critical, error.dangerous) == ("missed", True, True)
    assert error.wrong.action is Action.PROCEED
    gap_m = 10.0 - 0.3 - 3.65
    reaction_s = CONFIG.expected_latency_s + CONFIG.sweep_age_s + CONFIG.gate_period_s + CONFIG.reaction_s
    needed_mps2 = float(required_decel_mps2(5.0, 0.0, gap_m, reaction_s))
    assert error.required_decel_mps2 == pytest.approx(needed_mps2, rel=0.02)


@pytest.mark.parametrize("place", [(10.0, 6.0), (75.0, 0.0), (-8.0, 0.0)])
def test_a_missed_person_beside_far_ahead_or_behind_is_not(place: tuple[float, float]) -> None:
    error = only(Judge(CONFIG, 5.0), standing(place), standing(), {})
    assert (error.kind, error.critical, error.dangerous) == ("missed", False, False)


def test_the_same_error_may_be_critical_at_a_higher_speed_only() -> None:
    far = standing((25.0, 0.0))
    assert not only(Judge(CONFIG, 3.0), far, standing(), {}).critical
    assert only(Judge(CONFIG, 12.0), far, standing(), {}).critical


def test_a_phantom_in_the_path_is_critical_and_costs_speed() -> None:
    error = only(Judge(CONFIG, 5.0), standing(), standing((8.0, 0.0)), {})
    assert (error.kind, error.critical, error.dangerous) == ("phantom", True, False)
    assert error.lost_mps == 5.0
    assert not only(Judge(CONFIG, 5.0), standing(), standing((8.0, 5.0)), {}).critical


def test_a_box_a_little_off_is_not_critical_one_beside_the_path_is() -> None:
    there = standing((10.0, 0.5))
    assert not only(Judge(CONFIG, 5.0), there, standing((10.05, 0.55)), {0: 0}).critical
    error = only(Judge(CONFIG, 5.0), there, standing((10.0, 2.0)), {0: 0})
    assert (error.kind, error.dangerous) == ("displaced", True)


def test_missing_one_of_two_abreast_changes_nothing() -> None:
    errors = list(
        Judge(CONFIG, 5.0).errors(standing((10.0, 0.3), (10.0, -0.3)), standing((10.0, 0.3)), {0: 0})
    )
    assert [error.kind for error in errors] == ["displaced", "missed"]
    assert not any(error.critical for error in errors)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    folder = write_frame(tmp_path, label("Car", CAR) + label("Pedestrian", PERSON), [CAR, PERSON])
    (folder / "calib" / "000001.txt").write_text(CALIBRATION + PROJECTION)
    return folder


def test_our_lidar_path_on_a_street(street: Path) -> None:
    report = evaluate_detection(street, VAN, LIDAR, None, [5.0], 0.25, 0)
    assert report["categories"]["any"]["recall"]["rate"] == 1.0
    assert report["categories"]["car"]["labels"] == 1
    assert report["critical"]["at_5_mps"]["by_kind"]["missed"]["errors"] == 0


def test_a_detectors_files_are_held_against_labels(street: Path, tmp_path: Path) -> None:
    """The car found where it is, the person not, and somebody in the path who is not there."""
    results = tmp_path / "results"
    results.mkdir()
    ahead = Solid(5.5, 0.0, PERSON.size_m)
    lines = [label("Car", CAR).strip() + " 0.9\n", label("Pedestrian", ahead).strip() + " 0.6\n"]
    (results / "000001.txt").write_text("".join(lines))
    report = evaluate_detection(street, VAN, LIDAR, results, [2.0], 0.25, 0)
    assert report["categories"]["car"]["distance_ap"]["mean"] == pytest.approx(1.0)
    assert report["categories"]["pedestrian"]["distance_ap"]["2"] == 0.0
    kinds = report["critical"]["at_2_mps"]["by_kind"]
    assert {kind: found["errors"] for kind, found in kinds.items()} == {
        "missed": 1,
        "phantom": 1,
        "displaced": 1,
    }
    assert kinds["phantom"]["critical"] == 1
    assert report["critical"]["at_2_mps"]["dangerous"] == 0
    assert [e["kind"] for e in report["critical"]["at_2_mps"]["worst"]] == ["phantom"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Car 0 0 0\n", r"000001\.txt: line 1: 4 fields in place of 15 or 16"),
        ("Car 0 0 0 1 2 3 4 1 1 1 0 0 nan 0 0.5\n", r"000001\.txt: line 1: a number is not finite"),
    ],
)
def test_a_bad_result_file_is_named(street: Path, tmp_path: Path, text: str, says: str) -> None:
    results = tmp_path / "results"
    with pytest.raises(InputError, match="no such folder"):
        evaluate_detection(street, VAN, LIDAR, results, [5.0], 0.25, 0)
    results.mkdir()
    with pytest.raises(InputError, match=r"000001\.txt"):
        evaluate_detection(street, VAN, LIDAR, results, [5.0], 0.25, 0)
    (results / "000001.txt").write_text(text)
    with pytest.raises(InputError, match=says):
        evaluate_detection(street, VAN, LIDAR, results, [5.0], 0.25, 0)


@pytest.mark.slow
def test_real_sweeps(shared_data: Path, tmp_path: Path) -> None:
    frames = shared_data / "kitti_object"
    own = read_objects(frames / "label_2" / "000008.txt", 8)
    assert set(own.types.tolist()) == {"car", "dontcare"}
    arguments = ["evaluate", "detection", "--frames", str(frames), "--json", str(tmp_path / "out.json")]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "errors change what the robot does" in " ".join(found.output.split())
