"""Existence and class probabilities: Bayes' rule by hand, and evidence per time instead of per frame."""

from __future__ import annotations

import numpy as np
import pytest

from perception_platform.core.objects import ObjectClass
from perception_platform.tracking.belief import class_likelihoods, class_votes, confidence, existence_after
from perception_platform.tracking.config import TrackerConfig

CONFIG = TrackerConfig()


def existence(before: float, seen: bool, dt_s: float, sureness: float = 1.0) -> float:
    return float(existence_after(np.array([before]), np.array([seen]), np.array([sureness]), dt_s, CONFIG)[0])


def test_hit_and_miss_follow_bayes_rule() -> None:
    d, c = CONFIG.detection_probability, CONFIG.clutter_probability
    assert existence(0.5, True, 0.1) == pytest.approx(d / (d + c))
    assert existence(0.5, False, 0.1) == pytest.approx((1 - d) / (1 - d + 1 - c))


def test_two_looks_within_the_evidence_time_count_as_one() -> None:
    assert existence(existence(0.3, True, 0.05), True, 0.05) == pytest.approx(existence(0.3, True, 0.1))


def test_a_rare_frame_counts_no_more_than_one_look() -> None:
    assert existence(0.9, False, 2.0) == pytest.approx(existence(0.9, False, 0.1))


def test_a_hit_without_any_confidence_says_nothing() -> None:
    assert existence(0.4, True, 0.1, sureness=0.0) == pytest.approx(0.4)


def test_no_track_is_ever_certain() -> None:
    p = 0.5
    for _ in range(100):
        p = existence(p, True, 0.1)
    assert p == CONFIG.max_existence < 1


def test_points_make_sure_that_something_is_there_whatever_its_name() -> None:
    sure = confidence(np.array([0.5, 0.5, 0.9]), np.array([0, 40, 0]), CONFIG)
    assert sure[0] == 0.5
    assert sure[1] > 0.99
    assert sure[2] == 0.9


def test_class_votes_sum_to_one_and_follow_the_majority() -> None:
    votes = np.full((1, len(ObjectClass)), 1 / len(ObjectClass))
    named = [ObjectClass.CAR, ObjectClass.CAR, ObjectClass.UNKNOWN, ObjectClass.TRUCK, ObjectClass.CAR]
    for c in named:
        votes = class_votes(votes, class_likelihoods(np.array([int(c)]), np.array([0.6])), 0.1, CONFIG)
        assert votes.sum() == pytest.approx(1)
    assert votes.argmax() == ObjectClass.CAR


def test_old_votes_fade() -> None:
    sure = np.zeros((1, len(ObjectClass)))
    sure[0, ObjectClass.CAR] = 1.0
    vote = class_likelihoods(np.array([int(ObjectClass.TRUCK)]), np.array([0.8]))
    soon, late = (class_votes(sure, vote, dt_s, CONFIG)[0, ObjectClass.TRUCK] for dt_s in (0.1, 30.0))
    assert soon < 0.2
    assert late > 0.5


def test_the_weakest_name_is_likelier_than_any_other() -> None:
    likelihoods = class_likelihoods(np.array([int(ObjectClass.CAR)]), np.array([0.01]))[0]
    assert likelihoods.argmax() == ObjectClass.CAR
