"""Made-up sweeps as files: written by several processes, read into memory whole, changed at random for each batch."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.perception.bird_view import ANSWER_M, ANSWERS, BITS, CELLS, HALF_M, Heights, raster
from perception_platform.training.lidar_worlds import WORLDS_APART, Example, make_example

MOST_OBJECTS = 40
SHARD = 64
_BINS = 720  # of azimuth, in which the farthest return says how far one can see
_BEYOND_M = 0.6
_MADE_UP = 2e-4  # most of a sweep's bits that noise sets


def generate(folder: Path, examples: int, seed: int, workers: int, quiet: bool = False) -> None:
    """Write shards of examples; those that are there already are kept.

    Raises:
        InputError: if the folder holds shards of another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "seed.txt"
    if mark.exists() and mark.read_text(encoding="utf-8").strip() != str(seed):
        raise InputError(
            folder, f"holds examples of seed {mark.read_text(encoding='utf-8').strip()}, not {seed}"
        )
    mark.write_text(f"{seed}\n", encoding="utf-8")
    shards = [i for i in range(-(-examples // SHARD)) if not (folder / f"{i:05d}.npz").exists()]
    work = partial(_write_shard, folder, seed)
    bar = tqdm(total=len(shards), unit="shard", desc=folder.name, disable=quiet or not shards)
    if workers <= 1:
        for shard in shards:
            work(shard)
            bar.update()
    else:
        spawned = multiprocessing.get_context("spawn")  # compiled loops and torch do not survive a fork
        with ProcessPoolExecutor(workers, mp_context=spawned) as pool:
            for _ in pool.map(work, shards):
                bar.update()
    bar.close()


def _write_shard(folder: Path, seed: int, shard: int) -> None:
    rows = [_row(make_example(seed * WORLDS_APART + shard * SHARD + i)) for i in range(SHARD)]
    part = folder / f"{shard:05d}.part.npz"
    stacked: dict[str, Any] = {name: np.stack([r[name] for r in rows]) for name in rows[0]}
    np.savez_compressed(part, **stacked)
    part.replace(folder / f"{shard:05d}.npz")


def _row(example: Example) -> dict[str, npt.NDArray[np.generic]]:
    boxes = np.zeros((MOST_OBJECTS, 9), dtype=np.float32)
    classes = np.full(MOST_OBJECTS, -1, dtype=np.int8)
    count = min(len(example.truth.boxes), MOST_OBJECTS)
    boxes[:count, :7] = example.truth.boxes[:count]
    boxes[:count, 7:] = example.truth.velocities_mps[:count]
    classes[:count] = example.truth.classes[:count]
    occupied = occupancy(example.outlines)
    return {
        "bits": raster(example.sweep, example.earlier),
        "boxes": boxes,
        "classes": classes,
        "occupied": np.packbits(occupied),
        "visible": np.packbits(visible(example.sweep)),
    }


def _middles_m() -> tuple[Array, Array]:
    along = (np.arange(ANSWERS) + 0.5) * ANSWER_M - HALF_M
    return np.meshgrid(along, along)


def occupancy(outlines: Array) -> npt.NDArray[np.bool_]:
    """(ANSWERS, ANSWERS) which cells one of K outlines (x, y, length, width, heading) covers, even in part."""
    x, y = _middles_m()
    covered = np.zeros((ANSWERS, ANSWERS), dtype=np.bool_)
    for cx, cy, length, width, yaw in outlines:
        reach = np.hypot(length, width) / 2 + ANSWER_M
        columns = slice(
            *np.clip(((np.array([cx - reach, cx + reach]) + HALF_M) / ANSWER_M).astype(int), 0, ANSWERS)
        )
        rows = slice(
            *np.clip(((np.array([cy - reach, cy + reach]) + HALF_M) / ANSWER_M).astype(int), 0, ANSWERS)
        )
        u, v = x[rows, columns] - cx, y[rows, columns] - cy
        along, across = u * np.cos(yaw) + v * np.sin(yaw), v * np.cos(yaw) - u * np.sin(yaw)
        half = ANSWER_M / 2
        covered[rows, columns] |= (np.abs(along) <= length / 2 + half) & (np.abs(across) <= width / 2 + half)
    return covered


def visible(sweep: Heights) -> npt.NDArray[np.bool_]:
    """(ANSWERS, ANSWERS) which cells lie before the farthest return in their direction, or just behind it."""
    x, y = _middles_m()
    turn = np.arctan2(sweep.xyz_m[:, 1], sweep.xyz_m[:, 0])
    farthest = np.zeros(_BINS)
    np.maximum.at(farthest, _bin(turn), np.hypot(sweep.xyz_m[:, 0], sweep.xyz_m[:, 1]))
    return np.asarray(np.hypot(x, y) <= farthest[_bin(np.arctan2(y, x))] + _BEYOND_M)


def _bin(angle_rad: Array) -> npt.NDArray[np.int64]:
    return np.minimum(((angle_rad + np.pi) / (2 * np.pi) * _BINS).astype(np.int64), _BINS - 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """B examples on a device.

    Attributes:
        planes: (B, BITS, CELLS, CELLS) bytes.
        boxes: (B, M, 9) centre, size, heading, velocity.
        classes: (B, M), -1 for none.
        occupied: (B, ANSWERS, ANSWERS) of 0 and 1.
        visible: the same, where that may be asked.
    """

    planes: Tensor
    boxes: Tensor
    classes: Tensor
    occupied: Tensor
    visible: Tensor


class Sweeps:
    """All examples of a folder, on one device."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Read them.

        Raises:
            InputError: if there are none, or one can't be read.
        """
        paths = sorted(p for p in folder.glob("*.npz") if ".part" not in p.name)
        if not paths:
            raise InputError(folder, "no examples; train lidar writes them")
        parts: list[dict[str, npt.NDArray[np.generic]]] = []
        for path in paths:
            try:
                with np.load(path) as arrays:
                    parts.append(dict(arrays))
            except (OSError, ValueError) as error:
                raise InputError(path, f"can't be read: {error}; remove it, and it is made again") from error
        joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        self._bits = torch.from_numpy(joined["bits"].view(np.int16)).to(device)
        self._boxes = torch.from_numpy(joined["boxes"]).to(device)
        self._classes = torch.from_numpy(joined["classes"]).long().to(device)
        self._occupied = torch.from_numpy(joined["occupied"]).to(device)
        self._visible = torch.from_numpy(joined["visible"]).to(device)

    def __len__(self) -> int:
        return len(self._bits)

    def batch(self, rows: Tensor) -> Batch:
        """Some of them, as they are."""
        shift = torch.arange(BITS, device=self._bits.device, dtype=torch.int16)
        # The bits of a cell side by side in memory, as convolutions are quickest.
        planes = ((self._bits[rows][..., None] >> shift) & 1).to(torch.uint8).permute(0, 3, 1, 2)
        return Batch(
            planes,
            self._boxes[rows],
            self._classes[rows],
            _unpacked(self._occupied[rows]),
            _unpacked(self._visible[rows]),
        )

    def augmented(self, rows: Tensor, rng: torch.Generator) -> Batch:
        """Some of them, mirrored and turned alike, with cells lost and made up."""
        device = rows.device
        batch = self.batch(rows)

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=rng, device=device)

        across, along, swapped = (draw(3) < 0.5).tolist()
        batch = _swapped(batch) if swapped else batch
        batch = _mirrored(batch, -2) if across else batch
        batch = _mirrored(batch, -1) if along else batch
        lost = draw(len(rows), 1, CELLS, CELLS) < 0.3 * draw(len(rows), 1, 1, 1)
        planes = batch.planes * ~lost
        # Few are made up: drawing where they are is quicker than a number for each cell.
        most = int(_MADE_UP * planes.numel())
        sweep, *where = (torch.randint(n, (most,), generator=rng, device=device) for n in planes.shape)
        kept = draw(most) < draw(len(rows))[sweep]
        planes[(sweep[kept], *(at[kept] for at in where))] = 1
        return Batch(planes, batch.boxes, batch.classes, batch.occupied, batch.visible)


def _unpacked(bits: Tensor) -> Tensor:
    shift = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    return ((bits[..., None] >> shift) & 1).reshape(len(bits), ANSWERS, ANSWERS).float()


def _mirrored(batch: Batch, axis: int) -> Batch:
    """Mirrored: along x (axis -1, the columns), or along y."""
    boxes = batch.boxes.clone()
    if axis == -1:
        boxes[..., 0], boxes[..., 7] = -boxes[..., 0], -boxes[..., 7]
        boxes[..., 6] = np.pi - boxes[..., 6]
    else:
        boxes[..., 1], boxes[..., 8] = -boxes[..., 1], -boxes[..., 8]
        boxes[..., 6] = -boxes[..., 6]
    return Batch(
        batch.planes.flip(axis), boxes, batch.classes, batch.occupied.flip(axis), batch.visible.flip(axis)
    )


def _swapped(batch: Batch) -> Batch:
    """x and y exchanged."""
    order = torch.tensor([1, 0, 2, 3, 4, 5, 6, 8, 7], device=batch.boxes.device)
    boxes = batch.boxes[..., order].clone()
    boxes[..., 6] = np.pi / 2 - boxes[..., 6]
    return Batch(
        batch.planes.transpose(-1, -2), boxes, batch.classes, batch.occupied.transpose(-1, -2),
        batch.visible.transpose(-1, -2),
    )  # fmt: skip
