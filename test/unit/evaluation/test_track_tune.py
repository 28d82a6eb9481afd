"""The search of the tracker's settings: what it finds, that it is the same again, that it goes on where it was cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.evaluation.kitti_config import config_path, load_kitti_config, read_settings
from perception_platform.evaluation.kitti_files import write_tracks
from perception_platform.evaluation.track_tune import KNOBS, TrialLog, search
from test.unit.evaluation.boxes import boxes

FRAMES = 30
START = read_settings(config_path("Car"))


def silent(_: str) -> None:
    """Nobody listens."""


def nearer(_: str, settings: dict[str, Any]) -> float | None:
    """The score is best with a survival of 50 s and a trust of 1 s; a growth below 0.2 s is impossible."""
    tracker = settings["tracker"]
    off = np.log(tracker["survival_s"] / 50) ** 2 + np.log(tracker["trust_s"] / 1.0) ** 2
    return None if tracker["grow_s"] < 0.2 else float(-off)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sequences, each with a car that drives past at a speed of its own, and false boxes."""
    rng = np.random.default_rng(1)
    for name in ("labels", "calib", "ego", "detections/Car"):
        (tmp_path / name).mkdir(parents=True)
    names = ("0000", "0001")
    (tmp_path / "seqmap.txt").write_text("".join(f"{n} empty 000000 {FRAMES:06d}\n" for n in names))
    for speed, name in zip((0.3, 0.5), names, strict=True):
        (tmp_path / "calib" / f"{name}.txt").write_text("P2: 720 0 610 45 0 720 173 0.2 0 0 1 0.003\n")
        (tmp_path / "ego" / f"{name}.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * FRAMES)
        truth = boxes([(i, 0, -6 + speed * i) for i in range(FRAMES)])
        write_tracks(tmp_path / "labels" / f"{name}.txt", truth, "Car")
        lines = []
        for i in range(FRAMES):
            x, z = -6 + speed * i + rng.normal(0, 0.05), 20 + rng.normal(0, 0.05)
            if i % 4:
                lines.append(f"{i},2,500,100,600,180,5.0,1.5,1.8,4.0,{x:.3f},1.6,{z:.3f},0.0,0.0")
            lines.append(f"{i},2,900,100,990,180,2.5,1.5,1.8,4.0,{rng.uniform(8, 12):.3f},1.6,25,0.0,0.0")
        (tmp_path / "detections" / "Car" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def tune(folder: Path, out: str, *more: str) -> Any:
    parts = [(f"--{name}", f"{folder}/{name}") for name in ("detections", "calib", "labels", "ego")]
    files = ["--frames", f"{folder}/seqmap.txt", "--out", f"{folder}/{out}"]
    return CliRunner().invoke(app, ["track", "tune", *sum(parts, ()), *files, *more])


def test_the_search_finds_what_is_better_and_changes_nothing_else() -> None:
    found = search(START, nearer, 300, 0, silent)
    assert found["tracker"]["survival_s"] == pytest.approx(50, rel=0.15)
    assert found["tracker"]["trust_s"] == pytest.approx(1.0, rel=0.15)
    for name in ("survival_s", "trust_s"):
        found["tracker"][name] = START["tracker"][name]
    assert found == START


def test_the_same_seed_tries_the_same_and_another_one_something_else() -> None:
    def tried(seed: int, trials: int) -> list[str]:
        names: list[str] = []
        search(START, lambda name, s: names.append(name) or nearer(name, s), trials, seed, silent)  # type: ignore[func-returns-value]
        return names

    assert tried(3, 40) == tried(3, 40)
    assert tried(3, 60)[: len(tried(3, 40))] == tried(3, 40)
    assert tried(3, 40) != tried(4, 40)


def test_every_setting_that_is_searched_is_one_of_the_trackers_and_within_its_bounds() -> None:
    for category in ("Car", "Pedestrian", "Cyclist"):
        config = load_kitti_config(category)
        tracker = config.tracker_config(category)
        for knob, (low, high) in KNOBS.items():
            part, name = knob.split(".")
            value = getattr(
                {"motion": config.motion, "tracker": tracker, "output": config.output}[part], name
            )
            assert value == 0 or low <= value <= high, (category, knob, value)


def test_what_is_found_is_written_and_judged_on_what_was_left_out(folder: Path) -> None:
    poor = {**START, "output": {**START["output"], "hold_s": 0.1}}
    (folder / "poor.yaml").write_text(yaml.safe_dump(poor))
    how = ("--start", f"{folder}/poor.yaml", "--trials", "22", "--seed", "1")  # a turn of each setting
    result = tune(folder, "tuned.yaml", *how)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    score = {
        n: report[n]["samota"] + 0.1 * (report[n]["mota"] + report[n]["motp"]) for n in ("start", "tuned")
    }
    assert score["tuned"] > score["start"]
    assert set(report["left_out"]) == {"samota", "mota", "motp", "switches"}
    written = yaml.safe_load((folder / "tuned.yaml").read_text())
    assert load_kitti_config("Car", path=folder / "tuned.yaml").tracker == written["tracker"]
    changed = {k: v for k, (_, v) in report["changed"].items()}
    assert changed
    for knob, value in changed.items():
        part, name = knob.split(".")
        assert written[part][name] == value != poor[part][name]
    assert "[without 0001, " in result.stderr


def test_a_search_that_was_cut_short_goes_on_and_ends_alike(folder: Path) -> None:
    whole = tune(folder, "whole.yaml", "--trials", "6", "--no-leave-one-out")
    cut = tune(folder, "cut.yaml", "--trials", "3", "--no-leave-one-out")
    assert whole.exit_code == cut.exit_code == 0
    log = folder / "cut.yaml.trials.jsonl"
    log.write_text(log.read_text()[:-7])  # in the middle of a line
    known = len(log.read_text().splitlines()) - 1
    again = tune(folder, "cut.yaml", "--trials", "6", "--no-leave-one-out")
    assert again.exit_code == 0
    assert known == 4  # the line that was cut, the two trials before it and the start
    assert (folder / "cut.yaml").read_bytes() == (folder / "whole.yaml").read_bytes()
    assert log.read_bytes() == (folder / "whole.yaml.trials.jsonl").read_bytes()


def test_trials_that_were_made_are_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    assert TrialLog(path, {"seed": 1}).score("a", lambda: 0.5) == 0.5
    assert TrialLog(path, {"seed": 1}).score("a", lambda: pytest.fail("made again")) == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"about": {"seed": 2}}\n', "another search"),
        ("", "another search"),
        ('{"about": {"seed": 1}}\n{"trial": "a"}\n', "line 2"),
        ('{"about": {"seed": 1}}\nnonsense\n', "line 2"),
    ],
)
def test_trials_of_another_search_are_not_taken_for_its_own(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        TrialLog(path, {"seed": 1})


def test_what_cannot_be_searched_is_named(folder: Path) -> None:
    (folder / "seqmap.txt").write_text(f"0000 empty 000000 {FRAMES:06d}\n")
    alone = tune(folder, "tuned.yaml")
    assert alone.exit_code != 0
    assert "--leave-one-out" in str(alone.exception) + alone.output
    (folder / "wrong.yaml").write_text("version: 1\n")
    wrong = tune(folder, "tuned.yaml", "--start", f"{folder}/wrong.yaml", "--no-leave-one-out")
    assert wrong.exit_code != 0
    assert "wrong.yaml" in str(wrong.exception) + wrong.output
    with pytest.raises(ValueError, match="start"):
        search(START, lambda _name, _settings: None, 1, 0, silent)
    assert tune(folder, "tuned.yaml", "--category", "Tram").exit_code != 0
