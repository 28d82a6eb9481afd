"""What lidar heads call a road user, held against worlds whose truth is known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.evaluation.calibration import calibration_error, write_calibration
from perception_platform.evaluation.learned_lidar import lidar_head
from perception_platform.perception.naming import ROAD_USERS, SCORE_ERROR, SHAPES, name_by_shape, shapes_of
from perception_platform.perception.score_calibration import ScoreCalibration, calibrate
from perception_platform.robot.load import load_robot, share_dir
from perception_platform.training.lidar_evaluation import (
    Labelled,
    Named,
    describe,
    evaluate_in_worlds,
    fit,
    names_in_sweeps,
    recall_by_range,
)

MODEL = share_dir() / "config" / "models" / "bev_lidar"
ROBOT = load_robot("delivery_van")
OTHER_SEED = 5  # the likelihoods of shapes were taken from worlds of seed 2


@pytest.fixture(scope="module")
def judged() -> tuple[Named, Labelled]:
    return evaluate_in_worlds(ROBOT, 150, OTHER_SEED, None)["geometric"]


@pytest.fixture
def shapes(judged: tuple[Named, Labelled]) -> Named:
    return judged[0]


@pytest.mark.slow
def test_what_stands_near_is_found_and_a_thing_without_boxes_is_not(judged: tuple[Named, Labelled]) -> None:
    _, labelled = judged
    rows = recall_by_range(labelled)
    assert sum(row["found"]["trials"] for row in rows) == len(labelled.found) > 500
    near = [row for row in rows if row["to_m"] <= 15.0]
    assert all(row["found"]["rate"] > 0.95 for row in near)
    assert all(row["named"]["events"] <= row["found"]["events"] for row in rows)
    blind = replace(labelled, found=np.zeros_like(labelled.found))
    assert all(row["found"]["events"] == 0 for row in recall_by_range(blind))


@pytest.mark.slow
def test_scores_of_shapes_are_what_they_say_in_worlds_they_were_not_taken_from(shapes: Named) -> None:
    assert len(shapes.scores) > 500
    assert set(np.unique(shapes.class_ids).tolist()) >= {int(ObjectClass.PERSON), int(ObjectClass.CAR)}
    assert calibration_error(shapes.scores, shapes.right) < SCORE_ERROR + 0.04
    surer = replace(shapes, scores=np.minimum(shapes.scores + 0.2, 1.0))
    assert calibration_error(surer.scores, surer.right) > SCORE_ERROR + 0.08


@pytest.mark.slow
def test_the_share_of_each_shape_is_that_of_the_table(shapes: Named) -> None:
    told = describe(shapes)
    rows = [row for row in told["shapes"] if row["right"]["trials"] >= 30]
    assert len(rows) >= 4
    for row in rows:
        stated = row["score"]
        assert row["right"]["at_least"] - 0.05 <= stated <= row["right"]["at_most"] + 0.05, row
    assert sum(row["right"]["trials"] for row in told["shapes"]) == told["boxes"] == len(shapes.scores)


@pytest.mark.slow
def test_a_network_s_scores_are_fitted_and_its_file_says_so(tmp_path: Path) -> None:
    shipped = lidar_head(MODEL)
    assert shipped.assurance.calibration == "temperature", "fitted to real sweeps: docs/perception.md"
    head = shipped.uncalibrated()
    assert head.assurance.calibration == "none"
    found = evaluate_in_worlds(ROBOT, 60, OTHER_SEED, head)["learned"][0]
    fitted = fit(found, "temperature", "made-up worlds")
    assert fitted["error"] < calibration_error(found.scores, found.right)
    assert fitted["fitted_on"] == f"{len(found.scores)} boxes in {found.worlds.max() + 1} made-up worlds"
    for file in MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_calibration(tmp_path, fitted)
    again = lidar_head(tmp_path)
    assert again.assurance.calibration == "temperature"
    assert again.assurance.calibration_error == fitted["error"]
    scored = evaluate_in_worlds(ROBOT, 5, OTHER_SEED, again)["learned"][0].scores
    raw = found.scores[found.worlds < 5]
    assert scored == pytest.approx(calibrate(raw, ScoreCalibration(**fitted)))
    assert np.abs(scored - raw).max() > 0.05
    fresh = evaluate_in_worlds(ROBOT, 5, OTHER_SEED, again.uncalibrated())["learned"][0].scores
    assert fresh == pytest.approx(raw)


@pytest.mark.slow
def test_the_command_reports_draws_and_calibrates(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    arguments = [
        "evaluate",
        "lidar-heads",
        "--worlds",
        "20",
        "--seed",
        str(OTHER_SEED),
        "--model",
        str(model),
    ]
    out = ["--json", str(tmp_path / "heads.json"), "--plot", str(tmp_path / "heads.png")]
    result = CliRunner().invoke(app, [*arguments, *out, "--calibrate", "temperature"])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "heads.json").read_text())
    assert set(report["recall"]) == {"geometric", "learned"}
    assert report["fitted"] == yaml.safe_load((model / "model.yaml").read_text())["calibration"]
    assert (tmp_path / "heads.png").stat().st_size > 10_000
    calibrated = (model / "model.yaml").read_bytes()
    assert CliRunner().invoke(app, [*arguments, "--calibrate", "temperature"]).exit_code == 0
    assert (model / "model.yaml").read_bytes() == calibrated, "it is fitted to the network's own scores"
    without = CliRunner().invoke(app, ["evaluate", "lidar-heads", "--calibrate", "temperature"])
    assert without.exit_code == 2


def test_too_few_boxes_fit_nothing() -> None:
    rows = np.zeros(10, dtype=np.int64)
    few = Named(rows + 1, np.linspace(0.1, 0.9, 10), np.arange(10) > 4, np.arange(10), rows - 1)
    with pytest.raises(InputError, match="boxes, 4 of them right; needs"):
        fit(few, "temperature", "real sweeps")


def test_a_name_tells_which_shape_gave_it() -> None:
    sizes_m = np.array([[0.5, 0.5], [4.5, 1.8], [1.8, 0.15], [0.1, 0.1], [20.0, 0.4]])
    top_m = np.array([1.7, 1.5, 1.5, 0.4, 3.0])
    points = np.array([3, 400, 40, 40, 900])
    ids, scores = name_by_shape(sizes_m, top_m, np.zeros(5), points, np.zeros(5, dtype=np.bool_))
    rows = shapes_of(ids, scores, points)
    assert rows.tolist() == [6, 3, 2, -1, 0]
    assert [SHAPES[row].object_class for row in rows[:3]] == [
        ObjectClass.PERSON,
        ObjectClass.CAR,
        ObjectClass.CAR,
    ]
    assert len({(shape.object_class, shape.likelihood) for shape in SHAPES}) == len(SHAPES)


def test_real_sweeps_are_judged_where_their_camera_sees(shared_data: Path) -> None:
    found = names_in_sweeps(shared_data / "kitti_object", ROBOT, ROBOT.lidars[0], None)["geometric"]
    assert np.isin(found.class_ids, [int(c) for c in ROAD_USERS]).all()
    cars = found.class_ids == int(ObjectClass.CAR)
    assert found.right[cars].sum() >= 10
    assert not found.right.all()
