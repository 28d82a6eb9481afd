"""Evaluation of a tracker's result files against labels: one table, with intervals by sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.evaluation import clear_mot, statistics
from perception_platform.evaluation.clear_mot import MotScores, mot_scores, pair_sequence
from perception_platform.evaluation.hota import CATEGORIES as HOTA_CATEGORIES
from perception_platform.evaluation.hota import hota
from perception_platform.evaluation.kitti_files import (
    CATEGORIES,
    KittiBoxes,
    above,
    read_poses,
    read_sequences,
    read_tracks,
)
from perception_platform.evaluation.kitti_run import ego_states, read_states
from perception_platform.evaluation.motion_errors import MotionErrors, label_states, motion_errors, summary

OVERLAPS = (0.25, 0.5, 0.7)


def evaluate_results(
    results_dir: Path,
    labels_dir: Path,
    seqmap: Path,
    ego_dir: Path | None = None,
    with_hota: bool = True,
    resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All metrics of all categories there are results of.

    Args:
        results_dir: holds ``<Category>/data/<seq>.txt`` and, for errors of motion, ``<Category>/states/<seq>.csv``;
            HOTA is worked out of ``<Category>/confident/<seq>.txt``, too, where there are any.
        labels_dir: holds ``<seq>.txt``.
        seqmap: names of the sequences.
        ego_dir: poses that the tracker was given; none if it was given none.
        with_hota: whether to ask TrackEval.
        resamples: of the sequences, for 95 % intervals; none at nought.
        seed: of the resampling.

    Raises:
        InputError: naming what is missing or malformed.
    """
    frames = read_sequences(seqmap)
    labels = {name: read_tracks(labels_dir / f"{name}.txt", count) for name, count in frames.items()}
    found = [c for c in CATEGORIES if (results_dir / c / "data").is_dir()]
    if not found:
        raise InputError(results_dir, "no results in it: expected <Category>/data/<seq>.txt")
    report: dict[str, Any] = {}
    for category in found:
        data_dir = results_dir / category / "data"
        results = {name: read_tracks(data_dir / f"{name}.txt", count) for name, count in frames.items()}
        report[category] = _category(results, labels, category, resamples, seed)
        if with_hota and category in HOTA_CATEGORIES:
            best = report[category]["iou_0.25"]["threshold"]
            report[category]["hota_all"] = hota(results, labels_dir, frames, category)
            confident = {name: above(boxes, best) for name, boxes in results.items()}
            report[category]["hota"] = hota(confident, labels_dir, frames, category)
            written = _confident(results_dir / category / "confident", frames)
            if written is not None:
                report[category]["hota_confident"] = hota(written, labels_dir, frames, category)
        states_dir = results_dir / category / "states"
        if states_dir.is_dir():
            motion = [
                _motion(states_dir, name, results[name], labels[name], category, frames[name], ego_dir)
                for name in frames
            ]
            report[category]["motion"] = summary(motion)
    return report


def _confident(folder: Path, frames: Mapping[str, int]) -> dict[str, KittiBoxes] | None:
    """The trajectories that the tracker itself is sure of, where it says which those are."""
    if not folder.is_dir():
        return None
    return {name: read_tracks(folder / f"{name}.txt", count) for name, count in frames.items()}


def _category(
    results: Mapping[str, KittiBoxes],
    labels: Mapping[str, KittiBoxes],
    category: str,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for least in OVERLAPS:
        sequences = [pair_sequence(labels[n], results[n], category.lower(), least) for n in results]
        scores: dict[str, Any] = asdict(mot_scores(sequences))
        if resamples:
            scores["interval_95"] = intervals(sequences, resamples, seed)
        report[f"iou_{least}"] = scores
    return report


def intervals(sequences: Sequence[clear_mot.Sequence], resamples: int, seed: int) -> dict[str, list[float]]:
    """95 % intervals by the bootstrap over sequences, since frames of one are not independent (Efron 1979)."""
    drawn: list[MotScores] = [
        mot_scores([sequences[row] for row in rows])
        for rows in statistics.resamples(len(sequences), resamples, seed)
    ]
    return {
        name: np.quantile([getattr(scores, name) for scores in drawn], [0.025, 0.975]).tolist()
        for name in ("samota", "amota", "mota", "motp")
    }


def _motion(
    states_dir: Path,
    name: str,
    results: KittiBoxes,
    labels: KittiBoxes,
    category: str,
    frames: int,
    ego_dir: Path | None,
) -> MotionErrors:
    states, cov = read_states(states_dir / f"{name}.csv", len(results))
    egos = ego_states(read_poses(ego_dir / f"{name}.txt", frames) if ego_dir else None, frames)
    own = labels.select((labels.types == category.lower()) & (labels.ids >= 0))
    pairs = clear_mot.matched_pairs(own, results, category.lower(), OVERLAPS[0])
    truth = label_states(own, egos)[pairs[:, 0]]
    return motion_errors(truth, states[pairs[:, 1]], cov[pairs[:, 1]], own.ids[pairs[:, 0]])
