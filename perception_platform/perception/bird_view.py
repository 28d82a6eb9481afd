"""A sweep seen from above, as a lidar network takes it, and its answers as boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.core.sensor_data import Points
from perception_platform.inference.backend import Tensor
from perception_platform.runtime.compiled import compiled

Raster = npt.NDArray[np.uint16]

# The grid lies around the robot's base frame; an answer's cell is as large as two of it each way.
HALF_M, CELL_M = 32.0, 0.2
CELLS = round(2 * HALF_M / CELL_M)
ANSWER_M = 2 * CELL_M
ANSWERS = CELLS // 2
# Heights above the ground between which points set a bit, m: ten layers of the sweep, two of the one before.
LAYERS_M = (-0.3, 0.15, 0.35, 0.6, 0.9, 1.2, 1.5, 1.8, 2.2, 2.8, 3.6)
EARLIER_M = (0.15, 1.0, 2.2)
BITS = len(LAYERS_M) - 1 + len(EARLIER_M) - 1
CLASSES = (ObjectClass.PERSON, ObjectClass.CYCLIST, ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.FORKLIFT)
# Of an answer: offset of the centre (x, y, cells), height of the centre, m, logarithms of length, width and height, m,
# sine and cosine of the heading, velocity as seen from the robot (x, y, m/s, if sweeps are PERIOD_S apart).
REGRESSED = 10
PERIOD_S = 0.1
EMBEDDING = 64


@compiled("void(float32[:,::1], float32[::1], float32[::1], int64, uint16[:,::1])")
def _set_bits(xyz_m: Points, height_m: Points, edges_m: Points, first_bit: int, raster: Raster) -> None:
    cells = raster.shape[0]
    for i in range(xyz_m.shape[0]):
        column = int(np.floor((xyz_m[i, 0] + HALF_M) / CELL_M))
        row = int(np.floor((xyz_m[i, 1] + HALF_M) / CELL_M))
        if column < 0 or column >= cells or row < 0 or row >= cells:
            continue
        for layer in range(edges_m.shape[0] - 1):
            if height_m[i] > edges_m[layer] and height_m[i] <= edges_m[layer + 1]:
                raster[row, column] |= np.uint16(1 << (first_bit + layer))
                break


@dataclass(frozen=True, slots=True)
class Heights:
    """Points (N, 3) in the base frame, m, and their (N,) heights above the ground, m."""

    xyz_m: Points
    height_m: Points


def raster(sweep: Heights, earlier: Heights) -> Raster:
    """(CELLS, CELLS) bits of each cell, rows along y and columns along x.

    Args:
        sweep: the newest.
        earlier: the one before it, in the base frame of its own time: what moved with the robot stays in its place.
    """
    bits = np.zeros((CELLS, CELLS), dtype=np.uint16)
    _set_bits(sweep.xyz_m, sweep.height_m, np.array(LAYERS_M, np.float32), 0, bits)
    _set_bits(earlier.xyz_m, earlier.height_m, np.array(EARLIER_M, np.float32), len(LAYERS_M) - 1, bits)
    return bits


def nothing_from_above() -> BirdView:
    """A view of a sweep without a point, to warm up with."""
    return BirdView(np.zeros((CELLS, CELLS), dtype=np.uint16))


def planes(bits: Raster) -> Tensor:
    """(1, BITS, CELLS, CELLS) the network's input: a byte for each bit."""
    return np.stack([(bits >> b) & 1 for b in range(BITS)]).astype(np.uint8)[None]


@dataclass(frozen=True, slots=True)
class BirdView:
    """A sweep from above, (CELLS, CELLS) bits, and how long after the one before it was taken, s."""

    bits: Raster
    period_s: float = PERIOD_S


@dataclass(frozen=True, slots=True)
class LearnedBoxes:
    """N boxes that the network is sure enough of, surest first, in the base frame.

    Attributes:
        centers_m: (N, 3).
        sizes_m: (N, 3) length, width, height.
        yaws_rad: (N,) headings.
        class_ids: (N,) values of ObjectClass.
        scores: (N,) 0 to 1.
        velocities_mps: (N, 2) as seen from the robot.
        embedding: (EMBEDDING,) what the whole sweep looked like to the network.
    """

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    class_ids: Ints
    scores: Array
    velocities_mps: Array
    embedding: Array

    def __len__(self) -> int:
        return len(self.scores)


def boxes_of(
    peaks: Tensor, regressed: Tensor, embedding: Tensor, threshold: float, period_s: float = PERIOD_S
) -> LearnedBoxes:
    """Boxes from the network's answers.

    Args:
        peaks: (len(CLASSES), ANSWERS, ANSWERS) scores, 0 where a neighbour is surer.
        regressed: (REGRESSED, ANSWERS, ANSWERS).
        embedding: (EMBEDDING,).
        threshold: the least score.
        period_s: between the two sweeps.
    """
    classes, rows, columns = np.nonzero(peaks >= threshold)
    scores = peaks[classes, rows, columns].astype(np.float64)
    order = np.lexsort((columns, rows, -scores))
    classes, rows, columns, scores = classes[order], rows[order], columns[order], scores[order]
    of = regressed[:, rows, columns].astype(np.float64)
    at_m = (np.stack([columns, rows]) + 0.5 + of[:2]) * ANSWER_M - HALF_M
    return LearnedBoxes(
        np.column_stack([at_m.T, of[2]]),
        np.exp(np.clip(of[3:6], -3.0, 3.5)).T,
        np.arctan2(of[6], of[7]),
        np.array([int(c) for c in CLASSES])[classes],
        scores,
        of[8:10].T * (PERIOD_S / period_s),
        np.asarray(embedding, dtype=np.float64),
    )
