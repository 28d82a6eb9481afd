"""Training the bird's-eye-view network on made-up sweeps: targets, losses and how well it finds what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from perception_platform.evaluation.camera_measures import average_precision
from perception_platform.perception.bird_view import ANSWER_M, ANSWERS, CLASSES, HALF_M, boxes_of
from perception_platform.training.lidar_data import Batch, Sweeps
from perception_platform.training.lidar_network import BirdViewNetwork, Deployed
from perception_platform.training.loop import Plan, choose_device

_WEIGHT_REGRESSED, _WEIGHT_OCCUPIED, _WEIGHT_EMBEDDING = 1.0, 2.0, 0.02
# How the ten regressed values count: offsets, height, size, heading, velocity.
_SHARES = (1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0, 1.0, 0.2, 0.2)
_NARROWEST_CELLS, _OF_SIZE = 0.7, 0.18
_LEAST_SCORE = 0.05
_NEAR_M = {"person": 0.5, "cyclist": 1.0, "car": 1.0, "truck": 2.0, "forklift": 1.0}


@dataclass(frozen=True, slots=True)
class LidarSettings:
    """Folders with made-up sweeps to train on and to validate on, and how many make a step."""

    train: Path
    val: Path
    batch: int = 32


class LidarTask:
    """See ``loop.Task``."""

    def __init__(self, settings: LidarSettings, plan: Plan) -> None:
        """Read the sweeps.

        Raises:
            InputError: names what is missing.
        """
        torch.manual_seed(plan.seed)
        self.network: torch.nn.Module = BirdViewNetwork()
        self._device = choose_device(plan.device)
        self._settings, self._seed = settings, plan.seed
        self._train, self._val = Sweeps(settings.train, self._device), Sweeps(settings.val, self._device)
        along = (torch.arange(ANSWERS, device=self._device) + 0.5) * ANSWER_M - HALF_M
        self._along_m = along

    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, len(self._train) // self._settings.batch)

    def batches(self, epoch: int) -> Iterator[Any]:
        """The sweeps in another order each epoch, mirrored and thinned at random."""
        rng = torch.Generator(self._device).manual_seed(self._seed * 1_000_003 + epoch)
        order = torch.randperm(len(self._train), generator=rng, device=self._device)
        for step in range(self.steps()):
            rows = order[step * self._settings.batch : (step + 1) * self._settings.batch]
            yield self._train.augmented(rows, rng)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """What a batch costs.

        Penalty-reduced focal loss of the class maps (CornerNet, Law and Deng 2018; CenterPoint, Yin et al. 2021), L1 of
        what is regressed at the centres, cross entropy of occupancy where something could be seen.

        The embedding learns to tell how many objects of each class there are, and how much is occupied.
        """
        logits, regressed, occupied, embedding = (t.float() for t in self.network(batch.planes))
        heat, wanted, at, real = self._targets(batch)
        score = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
        peak = heat > 0.999
        focal = torch.where(
            peak, (1 - score) ** 2 * -torch.log(score), (1 - heat) ** 4 * score**2 * -torch.log(1 - score)
        )
        objects = real.sum().clamp(min=1)
        found = regressed.flatten(2).gather(2, at[:, None].expand(-1, regressed.shape[1], -1)).transpose(1, 2)
        shares = torch.tensor(_SHARES, device=found.device)
        apart = (
            functional.smooth_l1_loss(found, wanted, reduction="none", beta=0.1) * shares * real[..., None]
        )
        entropy = functional.binary_cross_entropy_with_logits(
            occupied[:, 0], batch.occupied, reduction="none"
        )
        counts = functional.one_hot(batch.classes.clamp(min=0), len(CLASSES)) * real[..., None]
        told = torch.cat([torch.log1p(counts.sum(1).float()), batch.occupied.mean((1, 2))[:, None] * 10], 1)
        return {
            "class": focal.sum() / objects,
            "box": _WEIGHT_REGRESSED * apart.sum() / objects,
            "occupied": _WEIGHT_OCCUPIED * (entropy * batch.visible).sum() / batch.visible.sum().clamp(min=1),
            "embedding": _WEIGHT_EMBEDDING * (embedding[:, : told.shape[1]] - told).square().sum(1).mean(),
        }

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Heat maps (B, C, H, W), what is regressed (B, M, 10), at which cell (B, M), and which objects are real."""
        boxes = batch.boxes
        inside = (boxes[..., :2].abs() < HALF_M).all(-1)
        real = (batch.classes >= 0) & inside
        at_cells = (boxes[..., :2] + HALF_M) / ANSWER_M
        cell = at_cells.long().clamp(0, ANSWERS - 1)
        spread = (boxes[..., 3:5].amin(-1) * _OF_SIZE / ANSWER_M + _NARROWEST_CELLS) * ANSWER_M
        middle_m = (cell + 0.5) * ANSWER_M - HALF_M
        dx = torch.exp(-0.5 * ((self._along_m - middle_m[..., :1]) / spread[..., None]) ** 2)
        dy = torch.exp(-0.5 * ((self._along_m - middle_m[..., 1:]) / spread[..., None]) ** 2)
        heat = torch.zeros(len(boxes), len(CLASSES), ANSWERS, ANSWERS, device=boxes.device)
        for c in range(len(CLASSES)):
            of_class = (real & (batch.classes == c))[..., None]
            rows = int(of_class.sum(1).max())
            if rows:
                order = (~of_class[..., 0]).to(torch.int8).sort(dim=1, stable=True).indices[:, :rows, None]
                x = (dx * of_class).gather(1, order.expand(-1, -1, ANSWERS))
                y = (dy * of_class).gather(1, order.expand(-1, -1, ANSWERS))
                heat[:, c] = (y[..., :, None] * x[..., None, :]).amax(1)
        wanted = torch.cat(
            [
                at_cells - cell - 0.5, boxes[..., 2:3], torch.log(boxes[..., 3:6].clamp(min=0.05)),
                torch.sin(boxes[..., 6:7]), torch.cos(boxes[..., 6:7]), boxes[..., 7:9],
            ],
            -1,
        )  # fmt: skip
        return heat, wanted, cell[..., 1] * ANSWERS + cell[..., 0], real

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Average precision of each class by the distance of centres, and how well occupancy is told."""
        return validate(Deployed(network).eval(), self._val, self._settings.batch, self._device)


def validate(deployed: torch.nn.Module, sweeps: Sweeps, size: int, device: torch.device) -> dict[str, float]:
    """Average precision of each class by the distance of centres, and how often occupancy is told right.

    Args:
        deployed: gives what ``lidar_network.Deployed`` does.
        sweeps: that it was not trained on.
        size: sweeps in a batch.
        device: of both.
    """
    with torch.no_grad():
        scores: list[list[float]] = [[] for _ in CLASSES]
        right: list[list[bool]] = [[] for _ in CLASSES]
        labels = [0] * len(CLASSES)
        told = seen = 0.0
        for begin in range(0, len(sweeps), size):
            rows = torch.arange(begin, min(begin + size, len(sweeps)), device=device)
            batch = sweeps.batch(rows)
            answers = [a.float() for a in deployed(batch.planes)]
            told += float((((answers[2][:, 0] > 0.5) == (batch.occupied > 0.5)) * batch.visible).sum())
            seen += float(batch.visible.sum())
            arrays = [a.cpu().numpy() for a in answers]
            boxes, classes = batch.boxes.cpu().numpy(), batch.classes.cpu().numpy()
            for i in range(len(rows)):
                found = boxes_of(arrays[0][i], arrays[1][i], arrays[3][i], _LEAST_SCORE)
                for c, name in enumerate(CLASSES):
                    mine = found.class_ids == int(name)
                    hits = matched(
                        found.centers_m[mine, :2],
                        boxes[i][classes[i] == c][:, :2],
                        _NEAR_M[name.name.lower()],
                    )
                    scores[c] += found.scores[mine].tolist()
                    right[c] += hits
                    labels[c] += int((classes[i] == c).sum())
        figures = {
            f"{name.name.lower()}_ap": average_precision(
                np.array(scores[c]), np.array(right[c], dtype=np.bool_), labels[c]
            )
            for c, name in enumerate(CLASSES)
        }
        figures["score"] = float(np.nanmean(list(figures.values())))
        return figures | {"occupancy_accuracy": told / max(seen, 1.0)}


def matched(centers_m: Any, labels_m: Any, near_m: float) -> list[bool]:
    """Whether each of N centres, surest first, has a label of its own within a distance."""
    free = np.ones(len(labels_m), dtype=np.bool_)
    hits = []
    for center in centers_m:
        apart = (
            np.where(free, np.linalg.norm(labels_m - center, axis=1), np.inf)
            if len(labels_m)
            else np.zeros(0)
        )
        best = int(apart.argmin()) if len(apart) else -1
        hit = best >= 0 and apart[best] <= near_m
        if hit:
            free[best] = False
        hits.append(bool(hit))
    return hits
