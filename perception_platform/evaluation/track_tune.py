"""The search that chooses a category's settings of the tracker by labels: config/tracking/kitti_<category>.yaml."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform
from perception_platform.evaluation import clear_mot
from perception_platform.evaluation.clear_mot import MotScores, mot_scores, pair_sequence
from perception_platform.evaluation.kitti_config import (
    config_path,
    kitti_config,
    load_kitti_config,
    read_settings,
)
from perception_platform.evaluation.kitti_files import (
    KittiBoxes,
    read_detections,
    read_poses,
    read_projection,
    read_sequences,
    read_tracks,
)
from perception_platform.evaluation.kitti_run import track_sequence
from perception_platform.tracking.tracker import Tracker

# What is searched, and between which bounds, on a scale of ratios. The detector's part is fitted (`track fit-scores`),
# and the sigmas that decide whether covariances are honest do not follow from these metrics: neither is searched.
KNOBS: dict[str, tuple[float, float]] = {
    "motion.first_speed_mps": (0.5, 20.0),
    "motion.moving_prior": (0.1, 0.95),
    "motion.stands_for_s": (0.5, 60.0),
    "motion.moves_for_s": (0.5, 200.0),
    "motion.moving_odds_per_look": (1.5, 1000.0),
    "tracker.confident_from": (0.01, 0.9),
    "tracker.overlap_weight": (0.1, 30.0),
    "tracker.new_object_density_pm2": (1e-5, 0.1),
    "tracker.grow_s": (0.05, 5.0),
    "tracker.shrink_s": (0.05, 10.0),
    "tracker.height_s": (0.05, 2.0),
    "tracker.detection_probability": (0.3, 0.99),
    "tracker.clutter_probability": (0.01, 0.6),
    "tracker.birth_existence": (0.05, 0.9),
    "tracker.report_existence": (0.001, 0.6),
    "tracker.delete_existence": (1e-4, 0.3),
    "tracker.yaw_change_rad": (0.05, 3.0),
    "tracker.survival_s": (1.0, 100.0),
    "tracker.hidden_hold_s": (0.1, 5.0),
    "tracker.trust_s": (0.05, 5.0),
    "output.hold_s": (0.1, 5.0),
    "output.hold_confidence": (0.005, 0.6),
}
_LEAST_OVERLAP = 0.25
_FIRST_STEP, _LEAST_STEP, _MOST_STEP = 0.15, 0.03, 0.5
_ON_SUCCESS, _ON_FAILURE = 1.5, 0.8

Settings = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Drive:
    """One sequence: what the tracker gets, and the labels."""

    frames: int
    boxes: KittiBoxes
    labels: KittiBoxes
    projection: Array
    poses: list[Transform] | None


class Drives:
    """The sequences of a category that settings are judged on."""

    def __init__(
        self,
        category: str,
        detections_dir: Path,
        calib_dir: Path,
        labels_dir: Path,
        seqmap: Path,
        ego_dir: Path | None,
    ) -> None:
        """Read them.

        Raises:
            InputError: naming what is missing or malformed.
        """
        self.category, self.with_ego = category, ego_dir is not None
        self._drives = {
            name: _Drive(
                count,
                read_detections(detections_dir / category / f"{name}.txt", count),
                read_tracks(labels_dir / f"{name}.txt", count),
                read_projection(calib_dir / f"{name}.txt"),
                None if ego_dir is None else read_poses(ego_dir / f"{name}.txt", count),
            )
            for name, count in read_sequences(seqmap).items()
        }
        self.names = tuple(self._drives)

    def run(self, settings: Settings, names: Iterable[str]) -> list[clear_mot.Sequence]:
        """The tracker with these settings on some of them, beside the labels.

        Raises:
            ValidationError: if the tracker does not take the settings.
        """
        config, category = kitti_config(settings, self.category, self.with_ego), self.category
        sequences = []
        for name in names:
            d, tracker = self._drives[name], Tracker(config.tracker_config(category))
            how = (category, config.detector, config.output, d.projection, d.poses)
            boxes = track_sequence(tracker, d.boxes, d.frames, *how).boxes
            sequences.append(pair_sequence(d.labels, boxes, category.lower(), _LEAST_OVERLAP))
        return sequences


class TrialLog:
    """What every trial scored, a line of JSON each: a search that was cut short goes on from there."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Open it, or begin it.

        Args:
            path: of the file.
            about: what the search depends on: what is there has to be of the same.

        Raises:
            InputError: if it is of another search, or not readable.
        """
        self._path = path
        self._known: dict[str, float | None] = {}
        head = json.dumps({"about": about}, sort_keys=True)
        if path.exists():
            self._read(head)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(head + "\n", encoding="utf-8")

    def _read(self, head: str) -> None:
        text = self._path.read_text(encoding="utf-8")
        first, *lines = text.splitlines() or [""]
        if first != head:
            raise InputError(self._path, "is of another search: move it away, or name another --out")
        whole = lines if text.endswith("\n") else lines[:-1]  # the last one may have been cut short
        for number, line in enumerate(whole, start=2):
            try:
                entry = json.loads(line)
                self._known[entry["trial"]] = entry["score"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(self._path, f"line {number} is no trial: {error}") from error
        self._path.write_text("".join(f"{line}\n" for line in (first, *whole)), encoding="utf-8")

    def score(self, trial: str, work: Callable[[], float | None]) -> float | None:
        """What the trial of that name scored, now or before; None where its settings are impossible."""
        if trial not in self._known:
            self._known[trial] = work()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"trial": trial, "score": self._known[trial]}) + "\n")
        return self._known[trial]


def search(
    start: Settings, judge: Callable[[str, Settings], float | None], trials: int, seed: int, say: Say
) -> Settings:
    """Change one setting at a time and keep what is better.

    Settings take turns in an order that is drawn anew each round. Each is moved by a normal step on its scale, which
    widens when that helped and narrows when it did not (Rechenberg's rule, a coordinate at a time).

    Args:
        start: settings to begin with; of ``KNOBS``, those that it names are searched.
        judge: score of the trial of that name with those settings, higher is better; None where they are impossible.
        trials: how many to try besides the start. More of them with the same seed begin with the same ones.
        seed: of the order and the steps.
        say: told of each trial.

    Returns:
        The best settings found.

    Raises:
        ValueError: if the start is impossible.
    """
    rng = np.random.default_rng(seed)
    best, knobs = start, [knob for knob in KNOBS if _value(start, knob) is not None]
    steps: dict[str, float] = dict.fromkeys(knobs, _FIRST_STEP)
    turns: list[str] = []
    top = judge("start", start)
    if top is None:
        raise ValueError("a search cannot start from settings that are impossible")
    say(f"start: {top:.4f}")
    for trial in range(1, trials + 1):
        turns = turns or rng.permutation(knobs).tolist()
        knob, draw = turns.pop(), float(rng.normal())
        old = float(_value(best, knob))
        new = _moved(old, draw * steps[knob], *KNOBS[knob])
        score = judge(f"{trial} {knob} {new!r}", _with(best, knob, new)) if new != old else None
        better = score is not None and score > top
        steps[knob] = float(
            np.clip(steps[knob] * (_ON_SUCCESS if better else _ON_FAILURE), _LEAST_STEP, _MOST_STEP)
        )
        outcome = "at its bound" if new == old else "not possible"
        if score is not None:
            outcome = f"{score:.4f}{', better' if better else ''}"
        say(f"{trial}/{trials}: {knob} {old:g} -> {new:g}: {outcome}; best {max(top, score or top):.4f}")
        if score is not None and better:
            best, top = _with(best, knob, new), score
    return best


def tune(
    drives: Drives, start: Path | None, out: Path, trials: int, seed: int, leave_out: bool, say: Say
) -> dict[str, Any]:
    """Search settings on all sequences, and again on all but each, to see what they are worth on what they never saw.

    Args:
        drives: the sequences.
        start: settings to begin with; the package's own if None.
        out: file for the best ones, YAML. Trials are kept beside it, in ``<out>.trials.jsonl``.
        trials: of each search.
        seed: of each search.
        leave_out: whether to search on all but each sequence, too.
        say: told of the progress.

    Returns:
        Metrics of the start and of the settings found, on all sequences and, by settings that were searched without
        it, on each left-out one, all of these together.

    Raises:
        InputError: naming what cannot be used.
    """
    path = start or config_path(drives.category)
    load_kitti_config(drives.category, drives.with_ego, path)
    settings = read_settings(path)
    if leave_out and len(drives.names) < 2:
        raise InputError("--leave-one-out", f"needs two sequences, there is {len(drives.names)}")
    about = {"category": drives.category, "seed": seed, "start": settings, "sequences": drives.names}
    log = TrialLog(out.with_name(out.name + ".trials.jsonl"), {**about, "with_ego": drives.with_ego})
    names = drives.names
    best = _searched(drives, names, "all", settings, log, trials, seed, say)
    report: dict[str, Any] = {
        **{key: about[key] for key in ("category", "seed")},
        "trials": trials,
        "changed": {
            k: [_value(settings, k), _value(best, k)] for k in KNOBS if _value(settings, k) != _value(best, k)
        },
        "start": _figures(drives.run(settings, names)),
        "tuned": _figures(drives.run(best, names)),
    }
    if leave_out:
        left_out: list[clear_mot.Sequence] = []
        for name in names:
            others = tuple(other for other in names if other != name)
            found = _searched(drives, others, f"without {name}", settings, log, trials, seed, say)
            left_out += drives.run(found, [name])
        report["left_out"] = _figures(left_out)
    _write(out, best, report, path)
    return report


def _searched(
    drives: Drives,
    names: tuple[str, ...],
    what: str,
    start: Settings,
    log: TrialLog,
    trials: int,
    seed: int,
    say: Say,
) -> Settings:
    began = time.monotonic()

    def judge(trial: str, settings: Settings) -> float | None:
        return log.score(f"{what}: {trial}", lambda: _score(drives, settings, names))

    return search(
        start, judge, trials, seed, lambda line: say(f"[{what}, {time.monotonic() - began:.0f} s] {line}")
    )


def _score(drives: Drives, settings: Settings, names: Iterable[str]) -> float | None:
    """What is maximised: sAMOTA first; MOTA and MOTP tell apart what is alike there."""
    try:
        scores = mot_scores(drives.run(settings, names))
    except ValidationError:
        return None
    return scores.samota + 0.1 * (scores.mota + scores.motp)


def _figures(sequences: list[clear_mot.Sequence]) -> dict[str, float]:
    scores: MotScores = mot_scores(sequences)
    shown = {"samota": scores.samota, "mota": scores.mota, "motp": scores.motp}
    return {**{name: round(value, 5) for name, value in shown.items()}, "switches": scores.switches}


def _value(settings: Settings, knob: str) -> Any:
    part, name = knob.split(".")
    return settings.get(part, {}).get(name)


def _with(settings: Settings, knob: str, value: float) -> Settings:
    part, name = knob.split(".")
    changed = deepcopy(settings)
    changed[part][name] = value
    return changed


def _moved(value: float, step: float, low: float, high: float) -> float:
    """The value so much further between its bounds, as a share of the ratio between them, to three digits."""
    where = np.log(max(value, low) / low) / np.log(high / low) + step
    return float(f"{low * (high / low) ** float(np.clip(where, 0, 1)):.3g}")


def _write(out: Path, settings: Settings, report: Mapping[str, Any], start: Path) -> None:
    figures = {name: report[name] for name in ("start", "tuned", "left_out") if name in report}
    how = f"seed {report['seed']}, {report['trials']} trials, from {start.name}"
    head = [
        f"# {report['category']}: `perception-platform track tune`, {how}",
        *(f"# {name}: {json.dumps(value)}" for name, value in figures.items()),
    ]
    text = yaml.safe_dump(settings, sort_keys=False)
    out.write_text("\n".join(head) + "\n" + text, encoding="utf-8")
