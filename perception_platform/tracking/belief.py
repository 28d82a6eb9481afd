"""Whether there is an object at all, and of which class: probabilities, moved by evidence per time, not per frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.tracking.config import TrackerConfig

_CLASSES = len(ObjectClass)
_UNKNOWN_TRUST = 0.3  # "no name found" is weak evidence against every name
_LEAST_TRUST = 0.2  # more than 1 / classes: the weakest name still is likelier than the others
_MOST_TRUST = 0.9


def confidence(scores: Array, num_points: Ints, config: TrackerConfig) -> Array:
    """(M,) how sure it is that something is there, whatever its name: by score, or by the lidar points on it."""
    return np.maximum(scores, -np.expm1(-num_points / config.sure_points))


def existence_after(
    existence: Array, seen: npt.NDArray[np.bool_], sureness: Array, dt_s: float, config: TrackerConfig
) -> Array:
    """Probability of existence after one look.

    Bayes' rule on the odds: a hit multiplies them by how much likelier it is of an object than of clutter, a miss
    by the same of being missed (Musicki, Evans and Stankovic, Integrated probabilistic data association, 1994).
    Looks in quick succession are not independent, so less than ``evidence_s`` apart they count in part.

    Args:
        existence: (N,) probabilities before it, aged already.
        seen: (N,) which were detected.
        sureness: (N,) confidence of those detections; anything where not seen.
        dt_s: time since the last look.
        config: probabilities of detection and clutter.
    """
    weight = min(dt_s / config.evidence_s, 1.0)
    hit = 1 + (config.detection_probability / config.clutter_probability - 1) * sureness
    miss = (1 - config.detection_probability) / (1 - config.clutter_probability)
    odds = existence / (1 - existence) * np.where(seen, hit, miss) ** weight
    return np.minimum(odds / (1 + odds), config.max_existence)


def class_likelihoods(class_ids: Ints, scores: Array) -> Array:
    """(M, classes) likelihood of each true class given the class a detector named and its score."""
    trust = np.where(class_ids == ObjectClass.UNKNOWN, _UNKNOWN_TRUST, scores)
    trust = np.clip(trust, _LEAST_TRUST, _MOST_TRUST)
    likelihoods = np.repeat((1 - trust)[:, None] / (_CLASSES - 1), _CLASSES, axis=1)
    likelihoods[np.arange(len(class_ids)), class_ids] = trust
    return likelihoods


def class_votes(votes: Array, likelihoods: Array, dt_s: float, config: TrackerConfig) -> Array:
    """(N, classes) class probabilities after one more vote; old votes fade with ``class_memory_s``."""
    fading = -np.expm1(-dt_s / config.class_memory_s)
    posterior = ((1 - fading) * votes + fading / _CLASSES) * likelihoods ** min(dt_s / config.evidence_s, 1.0)
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))
