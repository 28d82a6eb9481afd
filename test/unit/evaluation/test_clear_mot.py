"""Metrics against cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.evaluation.clear_mot import (
    FN,
    FP,
    FRAGMENTS,
    LABELS,
    SWITCHES,
    TP,
    TP_COUNTED,
    best_pairs,
    mot_scores,
    pair_sequence,
    recall_thresholds,
)
from perception_platform.evaluation.kitti_files import KittiBoxes
from test.unit.evaluation.boxes import boxes, together

NOBODY = boxes([])


def counts(labels: KittiBoxes, results: KittiBoxes, threshold: float = -np.inf) -> list[int]:
    return pair_sequence(labels, results, "car", 0.25).counts(threshold).astype(int)[:-1].tolist()


def track(track_id: int, frames: range, x: float = 0.0) -> list[tuple[int, int, float]]:
    return [(frame, track_id, x) for frame in frames]


def test_a_perfect_result_scores_one_in_everything() -> None:
    labels = boxes(track(0, range(40)) + track(1, range(40), 9.0))
    scores = [0.9] * 40 + [0.8] * 40
    found = mot_scores(
        [
            pair_sequence(
                labels, boxes(track(5, range(40)) + track(6, range(40), 9.0), score=scores), "car", 0.7
            )
        ]
    )
    assert (found.samota, found.mota, found.recall, found.precision) == pytest.approx((1, 1, 1, 1))
    assert found.motp == pytest.approx(1)
    assert (found.switches, found.fragments, found.labels) == (0, 0, 80)


def test_misses_false_positives_a_switch_and_a_gap_are_counted() -> None:
    labels = boxes(track(0, range(10)))
    results = boxes([(0, 1, 0), (1, 1, 0), (2, 2, 0), (3, 2, 0), (6, 2, 0), (7, 2, 0), (7, 3, 30.0)])
    found = counts(labels, results)
    assert found[TP] == found[TP_COUNTED] == 6
    assert found[FN] == 4
    assert found[FP] == 1
    assert found[SWITCHES] == 1  # from 1 to 2 in frame 2
    assert found[FRAGMENTS] == 2  # at the switch, and when found again in frame 6
    assert found[LABELS] == 10


@pytest.mark.parametrize("ignored", [{"truncation": 1.0}, {"occlusion": 3.0}, {"kind": "van"}])
def test_labels_that_are_ignored_count_neither_found_nor_missed(ignored: dict[str, float]) -> None:
    labels = boxes(track(0, range(4)), **ignored)  # type: ignore[arg-type]
    missed, found = counts(labels, NOBODY), counts(labels, boxes(track(1, range(4))))
    assert missed[FN] == found[FP] == found[TP_COUNTED] == found[LABELS] == 0
    assert found[TP] == 4


def test_false_boxes_that_are_small_or_where_nobody_labelled_are_ignored() -> None:
    areas = boxes([(0, -1, 0.0)], kind="dontcare")
    assert counts(areas, boxes([(0, 1, 0.5)]))[FP] == 0
    assert counts(areas, boxes([(0, 1, 2.5)]))[FP] == 1
    assert counts(NOBODY, boxes([(0, 1, 0.0)], height_px=25.0))[FP] == 0
    assert counts(NOBODY, boxes([(0, 1, 0.0)], height_px=25.5))[FP] == 1


def test_a_trajectory_is_left_out_by_the_mean_of_its_scores() -> None:
    labels = boxes(track(0, range(2)))
    results = boxes(track(1, range(2)), score=[0.2, 0.6])
    assert counts(labels, results, 0.39)[TP] == 2
    assert counts(labels, results, 0.41)[TP] == 0


def test_half_recall_without_any_error_scores_half() -> None:
    # The recall points up to 1/2 are reached, each with scaled accuracy one; the others count nought.
    labels = boxes(track(0, range(100)) + track(1, range(100), 9.0))
    found = mot_scores([pair_sequence(labels, boxes(track(7, range(100))), "car", 0.25)])
    assert found.samota == pytest.approx(0.5, abs=1 / 40)
    assert found.mota == pytest.approx(0.5)


def test_false_positives_above_the_true_ones_cost_every_recall_point() -> None:
    labels = boxes(track(0, range(100)))
    results = together(boxes(track(1, range(100)), score=0.5), boxes(track(2, range(50), 30.0), score=0.9))
    found = mot_scores([pair_sequence(labels, results, "car", 0.25)])
    # All recall points have the one threshold that keeps both: errors 50 of 100, scaled by recall r and its allowance
    # (1 - r) for misses: 1 - (0.5 - (1 - r)) / r = 0.5 / r, at most 1.
    recalls = np.arange(1, 41) / 40
    assert found.samota == pytest.approx(np.minimum(0.5 / recalls, 1).mean(), abs=0.03)
    assert found.mota == pytest.approx(0.5)


def test_the_assignment_matches_as_many_as_it_can_and_then_overlaps_most() -> None:
    pairs = np.array([[0, 0], [0, 1], [1, 0]])
    frames = np.zeros(2, dtype=np.int64)
    assert best_pairs(pairs, np.array([0.9, 0.3, 0.3]), frames).tolist() == [1, 2]
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert best_pairs(square, np.array([0.9, 0.5, 0.5, 0.3]), frames).tolist() == [0, 3]


def test_thresholds_are_where_recall_comes_nearest_to_a_fortieth_more() -> None:
    scores = np.linspace(1.0, 0.0, 80)
    thresholds, recalls = recall_thresholds(scores, 80)
    assert recalls == pytest.approx(np.arange(1, len(recalls) + 1) / 40)
    assert thresholds[0] == scores[1]
    assert thresholds[19] == scores[39]


def test_without_labels_or_results_all_is_nought() -> None:
    for labels, results in ((NOBODY, NOBODY), (boxes([(0, 0, 0.0)]), NOBODY), (NOBODY, boxes([(0, 1, 0.0)]))):
        assert mot_scores([pair_sequence(labels, results, "car", 0.25)]).samota == 0
