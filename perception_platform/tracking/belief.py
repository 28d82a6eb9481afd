"""Whether there is an object at all, and of which class: probabilities, moved by evidence per time, not per frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.runtime.compiled import compiled
from perception_platform.tracking.config import TrackerConfig

_CLASSES = len(ObjectClass)
_UNKNOWN = int(ObjectClass.UNKNOWN)
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
    likelier = config.detection_probability / config.clutter_probability
    miss = (1 - config.detection_probability) / (1 - config.clutter_probability)
    weight = min(dt_s / config.evidence_s, 1.0)
    return np.asarray(_after(existence, seen, sureness, likelier, miss, weight, config.max_existence))


def class_likelihoods(class_ids: Ints, scores: Array) -> Array:
    """(M, classes) likelihood of each true class given the class a detector named and its score."""
    return np.asarray(_likelihoods(class_ids, scores))


def class_votes(votes: Array, likelihoods: Array, dt_s: float, config: TrackerConfig) -> Array:
    """(N, classes) class probabilities after one more vote; old votes fade with ``class_memory_s``."""
    fading = -np.expm1(-dt_s / config.class_memory_s)
    return np.asarray(_voted(votes, likelihoods, fading, min(dt_s / config.evidence_s, 1.0)))


@compiled("f8[::1](f8[:], b1[::1], f8[::1], f8, f8, f8, f8)")
def _after(
    existence: Array,
    seen: npt.NDArray[np.bool_],
    sureness: Array,
    likelier: float,
    miss: float,
    weight: float,
    most: float,
) -> Array:
    out = np.empty(len(existence))
    for k in range(len(existence)):
        factor = 1 + (likelier - 1) * sureness[k] if seen[k] else miss
        odds = existence[k] / (1 - existence[k]) * factor**weight
        out[k] = min(odds / (1 + odds), most)
    return out


@compiled("f8[:,::1](i8[::1], f8[::1])")
def _likelihoods(class_ids: Ints, scores: Array) -> Array:
    out = np.empty((len(class_ids), _CLASSES))
    for k in range(len(class_ids)):
        trust = _UNKNOWN_TRUST if class_ids[k] == _UNKNOWN else scores[k]
        trust = min(max(trust, _LEAST_TRUST), _MOST_TRUST)
        out[k] = (1 - trust) / (_CLASSES - 1)
        out[k, class_ids[k]] = trust
    return out


@compiled("f8[:,::1](f8[:,:], f8[:,::1], f8, f8)")
def _voted(votes: Array, likelihoods: Array, fading: float, weight: float) -> Array:
    out = np.empty(votes.shape)
    for k in range(len(votes)):
        total = 0.0
        for c in range(_CLASSES):
            out[k, c] = ((1 - fading) * votes[k, c] + fading / _CLASSES) * likelihoods[k, c] ** weight
            total += out[k, c]
        out[k] /= total
    return out
