"""How far a detector's scores are what they say, and the fit that makes them so; written into ``model.yaml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from scipy.optimize import minimize

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.perception.score_calibration import ScoreCalibration, calibrate, logit

Method = Literal["temperature", "isotonic"]
Flags = npt.NDArray[np.bool_]

MOST_BINS, LEAST_IN_BIN = 10, 20  # fewer boxes in a bin would be noise that looks like an error
FEWEST = 40  # boxes, right and wrong ones together, below which nothing is fitted
_FOLDS = 5
_LEAST_SIGMA = 0.005
# Images beyond the middle 98 % by more than a tenth of its width are out of the domain.
_RANGE_QUANTILES, _RANGE_MARGIN = (0.01, 0.99), 0.1


def reliability(scores: Array, right: Flags, bins: int | None = None) -> list[dict[str, Any]]:
    """Mean score and share of right boxes in bins of as many boxes each, lowest scores first.

    Ten bins, or fewer, so that each has 20 boxes, if their number is left out.
    """
    bins = bins or int(np.clip(len(scores) // LEAST_IN_BIN, 1, MOST_BINS))
    order = np.argsort(scores, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    return [
        {"boxes": len(p), "score": float(scores[p].mean()), "right": float(right[p].mean())} for p in parts
    ]


def calibration_error(scores: Array, right: Flags, bins: int | None = None) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017) over bins of equal numbers.

    Returns:
        Mean absolute difference of score and share of right boxes; NaN without boxes.
    """
    rows = reliability(scores, right, bins)
    weight = np.array([r["boxes"] for r in rows], dtype=np.float64)
    gaps = np.array([abs(r["score"] - r["right"]) for r in rows])
    return float((weight * gaps).sum() / weight.sum()) if len(rows) else float("nan")


def fit_scores(method: Method, scores: Array, right: Flags, fewest: int = FEWEST) -> dict[str, Any]:
    """What ``ScoreCalibration`` says of scores, by method.

    Args:
        method: how.
        scores: (N,) of the network.
        right: (N,) whether a box was right.
        fewest: boxes below which nothing is fitted.

    Raises:
        InputError: if the boxes are too few, or all right, or all wrong.
    """
    if len(scores) < fewest or right.all() or not right.any():
        raise InputError(
            "--calibrate",
            f"{len(scores)} boxes, {int(right.sum())} of them right; needs {fewest} with both kinds",
        )
    return _temperature(scores, right) if method == "temperature" else _isotonic(scores, right)


def _temperature(scores: Array, right: Flags) -> dict[str, Any]:
    """Temperature and shift of greatest likelihood."""
    x = logit(scores)

    def loss(parameters: Array) -> float:
        z = x / np.exp(parameters[0]) + parameters[1]
        return float(np.logaddexp(0.0, np.where(right, -z, z)).mean())

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
    return {
        "method": "temperature",
        "temperature": round(float(np.exp(np.clip(best.x[0], -3, 3))), 4),
        "bias": round(float(best.x[1]), 4),
    }


def _isotonic(scores: Array, right: Flags) -> dict[str, Any]:
    """The rising steps nearest to the answers, by pooling neighbours that fall; a point in the middle of each."""
    order = np.argsort(scores, kind="stable")
    blocks: list[tuple[float, float, int]] = []  # sums of answers and scores, number
    for score, answer in zip(scores[order], right[order], strict=True):
        block = (float(answer), float(score), 1)
        while blocks and blocks[-1][0] * block[2] >= block[0] * blocks[-1][2]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    answers, raw, number = np.array(blocks).T
    return {
        "method": "isotonic",
        "raw": np.maximum.accumulate(np.round(raw / number, 4)).tolist(),
        "calibrated": np.round(answers / number, 4).tolist(),
    }


def held_out(method: Method, scores: Array, right: Flags, image: Ints) -> Array:
    """(N,) calibrated scores, each by a fit on the images of the other folds.

    Raises:
        InputError: as ``fit_scores``.
    """
    result = np.empty_like(scores)
    for fold in range(_FOLDS):
        test = image % _FOLDS == fold
        if test.any():
            fitted = fit_scores(method, scores[~test], right[~test], FEWEST // 2)
            unknown = 0.0  # the error, which this is for
            result[test] = calibrate(scores[test], ScoreCalibration(**fitted, error=unknown))
    return result


def side_sigmas(errors: Array) -> list[float]:
    """Root mean square errors of the four sides of the right boxes among (N, 4), as shares of their height."""
    right = errors[np.isfinite(errors).all(axis=1)]
    if len(right) == 0:
        raise InputError("--calibrate", "no box is right, so nothing is known of their sides")
    return [round(max(float(s), _LEAST_SIGMA), 4) for s in np.sqrt((right**2).mean(axis=0))]


def image_range(measures: list[dict[str, float]]) -> dict[str, list[float]]:
    """By measure, the range of the images and a margin."""
    ranges = {}
    for name in measures[0]:
        low, high = np.quantile([m[name] for m in measures], _RANGE_QUANTILES)
        margin = _RANGE_MARGIN * (high - low)
        ranges[name] = [round(float(low - margin), 3), round(float(high + margin), 3)]
    return ranges


def write_calibration(folder: Path, calibration: dict[str, Any]) -> None:
    """Put a calibration into a model's file, in the place of an earlier one; the rest stays as it is, comments too.

    Raises:
        InputError: if the file cannot be read or written.
    """
    path = folder / "model.yaml"
    block = yaml.safe_dump({"calibration": calibration}, sort_keys=False, default_flow_style=None, width=110)
    try:
        text = path.read_text(encoding="utf-8")
        kept = re.sub(r"^calibration:.*\n(?:[ \t].*\n|\n)*", "", text.rstrip() + "\n", flags=re.MULTILINE)
        path.write_text(kept + block, encoding="utf-8")
    except OSError as error:
        raise InputError(path, f"can't be changed: {error.strerror}") from error
