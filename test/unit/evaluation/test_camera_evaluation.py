"""Detectors held against labelled images: formats of labels, measures by hand, calibration and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.evaluation.calibration import (
    calibration_error,
    fit_scores,
    held_out,
    image_range,
    reliability,
    side_sigmas,
    write_calibration,
)
from perception_platform.evaluation.camera_bench import bench_camera
from perception_platform.evaluation.camera_labels import read_labels
from perception_platform.evaluation.camera_measures import Found, average_precision, judge, match
from perception_platform.evaluation.camera_report import evaluate_camera
from perception_platform.perception.detector_config import Calibration, load_detector_config
from perception_platform.perception.score_calibration import calibrate
from test.unit.perception.constant_models import constant_model
from test.unit.perception.test_decoders import CAR, PERSON, describe, yolov8

SIDE = 64


def picture(folder: Path, name: str, grey: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), np.full((SIDE, SIDE, 3), grey, np.uint8))


def yolo(index: int, box: np.ndarray) -> str:
    x, y, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    return f"{index} {x / SIDE} {y / SIDE} {w / SIDE} {h / SIDE}\n"


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """Two pictures: a person and a car as the constant detector finds them; and neither."""
    for name in ("a", "b"):
        picture(tmp_path / "images", name)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text(yolo(1, PERSON) + yolo(0, CAR + 1))
    (labels / "b.txt").write_text("")
    (labels / "classes.txt").write_text("car\nperson\n")
    family, outputs = yolov8()
    (tmp_path / "model").mkdir()
    constant_model(tmp_path / "model" / "tiny.onnx", outputs)
    (tmp_path / "model" / "model.yaml").write_text("# mine\n" + yaml.safe_dump(describe(family)))
    return tmp_path


def test_yolo_labels_are_shares_and_get_names_from_beside_them(street: Path) -> None:
    a, b = read_labels(street / "images", street / "labels")
    bgr, boxes = a.read()
    assert bgr.shape == (SIDE, SIDE, 3)
    assert boxes == pytest.approx(np.array([PERSON, CAR + 1]))
    assert a.class_ids.tolist() == [ObjectClass.PERSON, ObjectClass.CAR]
    assert len(b.boxes) == 0
    (street / "labels" / "classes.txt").unlink()
    (street / "data.yaml").write_text("names: [forklift, Tree]\n")
    a, _ = read_labels(street / "images", street / "labels")
    assert a.class_ids.tolist() == [-1, ObjectClass.FORKLIFT]
    a, _ = read_labels(street / "images", street / "labels", ("truck", "cyclist"))
    assert a.class_ids.tolist() == [ObjectClass.CYCLIST, ObjectClass.TRUCK]


def test_kitti_labels_are_pixels(street: Path) -> None:
    rest = " 1 1 1 0 0 9 0"
    (street / "labels" / "a.txt").write_text(
        f"Pedestrian 0 0 0 8 16 24 48{rest}\nVan 0 0 0 1 2 3 4{rest}\nDontCare -1 -1 -10 5 6 7 8{rest}\n"
    )
    a, _ = read_labels(street / "images", street / "labels")
    assert a.boxes[0].tolist() == PERSON.tolist()
    assert a.class_ids.tolist() == [ObjectClass.PERSON, ObjectClass.CAR, -1]


def test_coco_labels_are_corner_and_size(street: Path) -> None:
    data = {
        "images": [{"id": 7, "file_name": "sub/a.png"}, {"id": 8, "file_name": "gone.png"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 62, "name": "chair"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [8, 16, 16, 32]},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
            {"image_id": 7, "category_id": 62, "bbox": [0, 0, 5, 5]},
        ],
    }
    path = street / "instances.json"
    path.write_text(json.dumps(data))
    (a,) = read_labels(street / "images", path)
    assert a.boxes[0].tolist() == PERSON.tolist()
    assert a.class_ids.tolist() == [ObjectClass.PERSON, -1, -1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 0.5 0.5 0.1\n", "a.txt: line 1: 4 fields in place of 5"),
        ("\n1 0.5 0.5 0.1 0\n", "a.txt: line 2: no box"),
        ("1 0.5 nan 0.1 0.1\n", "a.txt: line 1: no box"),
        ("2 0.5 0.5 0.1 0.1\n", "a.txt: line 1: class 2, but there are names for 2"),
        ("Car 0 0 0 1 2 3 x 1 1 1 0 0 9 0\n", "a.txt: line 1: could not convert"),
    ],
)
def test_bad_labels_are_named(street: Path, text: str, problem: str) -> None:
    (street / "labels" / "a.txt").write_text(text)
    with pytest.raises(InputError, match=problem):
        read_labels(street / "images", street / "labels")


def test_bad_folders_are_named(street: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        read_labels(street / "labels", street / "labels")
    (street / "empty").mkdir()
    with pytest.raises(InputError, match="nothing says what the classes are"):
        read_labels(street / "images", street / "empty")
    (street / "bad.json").write_text('{"images": []}')
    with pytest.raises(InputError, match=r"bad\.json: is not in COCO's format"):
        read_labels(street / "images", street / "bad.json")
    (street / "images" / "a.png").write_bytes(b"nothing")
    a, _ = read_labels(street / "images", street / "labels")
    with pytest.raises(InputError, match="is no image that can be read"):
        a.read()


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def test_the_surest_takes_the_label_and_ignored_regions_judge_nothing() -> None:
    label, other, crowd = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 90, 90)
    found = Found(
        boxes((0, 0, 10, 9), (0, 0, 10, 10), (60, 60, 70, 70), (40, 0, 45, 5)),
        np.array([0.9, 0.8, 0.7, 0.6]),
        boxes(label, other),
        boxes(crowd),
    )
    matched = match([found])
    assert matched.scores.tolist() == [0.9, 0.8, 0.6], "the one in the crowd is not judged"
    assert matched.right[0].tolist() == [True, False, False]
    assert matched.right[-1].tolist() == [False, True, False], "at 0.95 only the exact box is right"
    assert matched.label_scores.tolist() == [0.9, 0.0]
    assert matched.errors[0] == pytest.approx([0, 0, 0, -1 / 9])


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of two labels: precision 1 up to recall 0.5, then 2/3: 51 and 50 of 101 recalls."""
    right = np.array([True, False, True])
    assert average_precision(np.array([0.9, 0.8, 0.7]), right, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(np.array([0.7, 0.8, 0.9]), right, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(np.array([0.9, 0.8, 0.7]), right, 4) == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0.0
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, bool), 0))


def test_recall_counts_by_size_at_the_threshold() -> None:
    small, large = (0, 0, 10, 10), (0, 0, 200, 200)
    images = [
        Found(boxes(small), np.array([0.9]), boxes(small), boxes()),
        Found(boxes(large), np.array([0.3]), boxes(large), boxes()),
    ]
    judged = judge(match(images), 0.5)
    assert judged["recall"]["count"] == 1
    assert judged["recall_by_size"]["small"]["share"] == 1.0
    assert judged["recall_by_size"]["large"]["share"] == 0.0
    assert judged["recall_by_size"]["medium"]["share"] is None
    assert judged["ap50"] == 1.0


def answers(seed: int = 0, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores of an over-sure detector: of what it calls p, sigmoid(logit(p) / 2 - 0.5) is right."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.4, 0.99, n)
    odds = np.log(scores / (1 - scores)) / 2 - 0.5
    return scores, rng.uniform(size=n) < 1 / (1 + np.exp(-odds))


def test_a_temperature_is_found_again() -> None:
    fitted = fit_scores("temperature", *answers())
    assert fitted["temperature"] == pytest.approx(2.0, abs=0.25)
    assert fitted["bias"] == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_a_fit_makes_scores_what_they_say_on_images_it_never_saw(method: Any) -> None:
    scores, right = answers()
    before = calibration_error(scores, right)
    fresh = held_out(method, scores, right, np.arange(len(scores)))
    assert before > 0.15
    assert calibration_error(fresh, right) < 0.04
    other_scores, other_right = answers(1)
    fitted = Calibration(**fit_scores(method, scores, right), error=0.0)
    assert calibration_error(calibrate(other_scores, fitted), other_right) < 0.05


def test_calibration_error_by_hand() -> None:
    """Two bins of two: 0.2 against 0.5 and 0.9 against 1."""
    scores, right = np.array([0.9, 0.1, 0.9, 0.3]), np.array([True, False, True, True])
    assert calibration_error(scores, right, bins=2) == pytest.approx((0.3 + 0.1) / 2)
    assert [b["boxes"] for b in reliability(scores, right, bins=2)] == [2, 2]
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_isotonic_pools_what_falls() -> None:
    scores = np.linspace(0.1, 0.9, 40)
    right = np.array([False] * 10 + [True] * 10 + [False] * 10 + [True] * 10)
    fitted = fit_scores("isotonic", scores, right)
    assert fitted["calibrated"] == [0.0, 0.5, 1.0]
    assert fitted["raw"][1] == pytest.approx(scores[10:30].mean(), abs=1e-4)


def test_too_few_boxes_are_not_fitted() -> None:
    with pytest.raises(InputError, match="10 boxes, 5 of them right"):
        fit_scores("temperature", np.full(10, 0.5), np.arange(10) % 2 == 0)
    with pytest.raises(InputError, match="no box is right"):
        side_sigmas(np.full((3, 4), np.nan))


def test_sides_and_domain_are_measured() -> None:
    errors = np.array([[0.3, 0.0, 0.0, -0.1], [-0.3, 0.0, 0.0, 0.1], [np.nan] * 4])
    assert side_sigmas(errors) == pytest.approx([0.3, 0.005, 0.005, 0.1])
    low, high = image_range([{"brightness": float(v)} for v in range(101)])["brightness"]
    assert (low, high) == pytest.approx((1 - 9.8, 99 + 9.8))


def test_a_calibration_is_written_beside_what_was_there(street: Path) -> None:
    folder = street / "model"
    for temperature in (1.5, 2.5):
        write_calibration(
            folder,
            {"method": "temperature", "error": 0.1, "temperature": temperature, "fitted_on": "40 boxes: few"},
        )
        text = (folder / "model.yaml").read_text()
        assert text.startswith("# mine\n")
        assert text.count("calibration:") == 1
        fitted = load_detector_config(folder).calibration
        assert fitted is not None
        assert fitted.temperature == temperature


def test_a_detector_is_judged_on_what_it_and_the_labels_know(street: Path) -> None:
    report, fitted = evaluate_camera(street / "model", street / "images", street / "labels")
    assert fitted is None
    assert report["images"] == 2
    person, car = report["classes"]["person"], report["classes"]["car"]
    assert (person["recall"]["count"], person["recall"]["of"]) == (1, 1)
    assert (person["precision"]["count"], person["precision"]["of"]) == (1, 2)
    assert person["ap50"] == 1.0, "of equal scores the first picture's comes first, as in COCO's own"
    assert car["recall"]["count"] == 1
    assert report["calibration"]["boxes"] == 4
    (street / "labels" / "classes.txt").write_text("forklift\ntree\n")
    report, _ = evaluate_camera(street / "model", street / "images", street / "labels")
    assert list(report["classes"]) == ["vehicle"], "what the model calls a car is a vehicle all the same"
    assert report["classes"]["vehicle"]["recall"]["count"] == 1
    (street / "labels" / "classes.txt").write_text("tree\nhouse\n")
    with pytest.raises(InputError, match="finds none of the classes that are labelled"):
        evaluate_camera(street / "model", street / "images", street / "labels")


@pytest.mark.slow
def test_the_command_calibrates_reports_and_draws(street: Path) -> None:
    for i in range(30):
        picture(street / "images", f"more{i}", grey=80 + i)
        (street / "labels" / f"more{i}.txt").write_text(yolo(1, PERSON) if i % 3 else "")
    out = street / "out"
    arguments = ["evaluate", "camera", "--model", str(street / "model"), "--images", str(street / "images")]
    arguments += ["--labels", str(street / "labels"), "--json", str(out / "r.json"), "--plots", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--calibrate", "isotonic"])
    assert result.exit_code == 0, result.output
    assert "32 images, 1.0 runs an image" in result.output
    assert (out / "camera_calibration.png").is_file()
    assert (out / "camera_precision.png").is_file()
    fitted = load_detector_config(street / "model").calibration
    assert fitted is not None
    assert "64 boxes" in fitted.fitted_on
    result = CliRunner().invoke(app, arguments)
    report = json.loads((out / "r.json").read_text())
    assert report["out_of_domain"]["count"] == 0
    calibration = report["calibration"]
    assert calibration["calibrated"]["expected_error"] < calibration["raw"]["expected_error"]


def test_a_model_that_fails_is_one_clear_line(street: Path) -> None:
    described = (street / "model" / "model.yaml").read_text().replace("yolov8", "yolox")
    (street / "model" / "model.yaml").write_text(described)
    with pytest.raises(InputError, match=r"model: a\.png: yolox: 7 cells"):
        evaluate_camera(street / "model", street / "images", street / "labels")
    with pytest.raises(InputError, match="yolox: 7 cells"):
        bench_camera(street / "model", None, samples=1)


def test_the_bench_takes_the_model_apart_from_the_rest(street: Path) -> None:
    report = bench_camera(street / "model", None, samples=5, cameras=2)
    assert report["samples"] == 5
    assert report["whole_ms"]["p50"] > report["model_ms"]["p50"] > 0
    assert report["overhead_share"] > 0
    assert report["sizes_px"] == ["1280x720"]
