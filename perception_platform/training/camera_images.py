"""Labelled images for training: held on the device as bytes, and changed there at random for each batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass
from perception_platform.evaluation.camera_labels import read_labels

MOST_BOXES = 40
_GREY = 114.0 / 255.0
_LEAST_LEFT = 0.3  # of a box that the edge cuts; what is cut further is no example
_LEAST_PX = 4.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Images and their boxes on one device.

    Attributes:
        images: (N, 3, S, S) bytes, red first.
        boxes_px: (N, MOST_BOXES, 4) x1 y1 x2 y2; zeros beyond the last.
        classes: (N, MOST_BOXES) index of the class, -1 beyond the last.
    """

    images: Tensor
    boxes_px: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        return Examples(self.images.to(device), self.boxes_px.to(device), self.classes.to(device))


def read_examples(folder: Path, part: str, names: list[str], side_px: int) -> Examples:
    """``images/PART`` and ``labels/PART`` of a data set in YOLO's layout, squashed to squares.

    Args:
        folder: the data set.
        part: ``train`` or ``val``.
        names: class of each label index, as ``ObjectClass`` has them; their order is the network's.
        side_px: of the squares.

    Raises:
        InputError: names what is missing or wrong.
    """
    labelled = read_labels(folder / "images" / part, folder / "labels" / part, names)
    if not labelled:
        raise InputError(folder / "images" / part, "no image")
    ids = [int(ObjectClass[name.upper()]) for name in names]
    images = np.empty((len(labelled), 3, side_px, side_px), dtype=np.uint8)
    boxes_px = np.zeros((len(labelled), MOST_BOXES, 4), dtype=np.float32)
    classes = np.full((len(labelled), MOST_BOXES), -1, dtype=np.int64)
    for i, entry in enumerate(labelled):
        bgr, labels_px = entry.read()
        height_px, width_px = bgr.shape[:2]
        images[i] = cv2.resize(bgr, (side_px, side_px))[..., ::-1].transpose(2, 0, 1)
        scale = np.array([side_px / width_px, side_px / height_px] * 2)
        known = [j for j, c in enumerate(entry.class_ids) if int(c) in ids][:MOST_BOXES]
        boxes_px[i, : len(known)] = labels_px[known] * scale
        classes[i, : len(known)] = [ids.index(int(entry.class_ids[j])) for j in known]
    return Examples(torch.from_numpy(images), torch.from_numpy(boxes_px), torch.from_numpy(classes))


def augmented(
    examples: Examples, rows: Tensor, rng: torch.Generator, mosaic: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, S, S) of 0 to 1, boxes (B, M, 4) and classes (B, M), each image shifted, scaled and coloured.

    Args:
        examples: the images, on the device.
        rows: (B,) which of them.
        rng: of that device; the same state gives the same images.
        mosaic: share of batches in which four images lie together, half as large.
    """
    device, side = rows.device, examples.images.shape[-1]
    together = torch.rand((), generator=rng, device=device) < mosaic
    if together:
        others = torch.randint(len(examples), (len(rows), 3), generator=rng, device=device)
        canvas, boxes, classes = _four(examples, torch.cat([rows[:, None], others], dim=1))
        low, high = 0.45, 0.9
    else:
        canvas, boxes, classes = _one(examples, rows)
        low, high = 0.6, 1.5
    images, boxes, classes = _warped(canvas, boxes, classes, side, (low, high), rng)
    return _coloured(images, rng), boxes, classes


def _one(examples: Examples, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return examples.images[rows].float() / 255.0, examples.boxes_px[rows], examples.classes[rows]


def _four(examples: Examples, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Four images as the quarters of one that is twice as wide and high."""
    side = examples.images.shape[-1]
    quarter = examples.images[rows].float() / 255.0
    upper, lower = (
        torch.cat([quarter[:, 0], quarter[:, 1]], -1),
        torch.cat([quarter[:, 2], quarter[:, 3]], -1),
    )
    at = torch.tensor([[0, 0], [side, 0], [0, side], [side, side]], device=rows.device, dtype=torch.float32)
    boxes = examples.boxes_px[rows] + at.repeat(1, 2)[None, :, None]
    return torch.cat([upper, lower], -2), boxes.flatten(1, 2), examples.classes[rows].flatten(1)


def _warped(
    canvas: Tensor,
    boxes: Tensor,
    classes: Tensor,
    side: int,
    scales: tuple[float, float],
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Part of a canvas as a square of ``side`` pixels, maybe mirrored; boxes mostly outside are no longer any."""
    count, device, wide = len(canvas), canvas.device, canvas.shape[-1]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng, device=device)

    zoom, aspect = torch.exp(draw(float(np.log(scales[0])), float(np.log(scales[1])))), draw(0.85, 1.18)
    scale = torch.stack(
        [zoom * aspect.sqrt(), zoom / aspect.sqrt()], 1
    )  # pixels of the result for one of the canvas
    spare = (wide - side / scale) / 2
    middle = wide / 2 + torch.stack([draw(-1, 1), draw(-1, 1)], 1) * (spare.abs() + 0.1 * side / scale)
    mirrored = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = mirrored * side / scale[:, 0] / wide, side / scale[:, 1] / wide
    theta[:, :, 2] = middle * 2 / wide - 1
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    images = functional.grid_sample(canvas - _GREY, grid, align_corners=False) + _GREY
    corner = (boxes.reshape(count, -1, 2, 2) - middle[:, None, None]) * scale[:, None, None]
    corner[..., 0] *= mirrored[:, None, None]
    corner = corner + side / 2
    low, high = corner.amin(2), corner.amax(2)
    size = (high - low).clamp(min=1e-6)
    inside_low, inside_high = low.clamp(0, side), high.clamp(0, side)
    left = (inside_high - inside_low).clamp(min=0)
    kept = (classes >= 0) & (left.prod(-1) / size.prod(-1) > _LEAST_LEFT) & (left.amin(-1) > _LEAST_PX)
    boxes = torch.cat([inside_low, inside_high], -1) * kept[..., None]
    order = (~kept).to(torch.int8).sort(dim=1, stable=True).indices[:, :MOST_BOXES]
    classes = torch.where(kept, classes, -1).gather(1, order)
    return images, boxes.gather(1, order[..., None].expand(-1, -1, 4)), classes


def _coloured(images: Tensor, rng: torch.Generator) -> Tensor:
    """Other light, contrast and saturation; some grey, blurred or dark as at night."""
    count, device = len(images), images.device

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=rng, device=device))[:, None, None, None]

    grey = images.mean(1, keepdim=True)
    saturation = torch.where(draw(0, 1) < 0.1, torch.zeros_like(grey[:, :, :1, :1]), draw(0.6, 1.4))
    images = grey + (images - grey) * saturation
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * draw(0.7, 1.3)
    gain = torch.where(draw(0, 1) < 0.15, draw(0.15, 0.5), draw(0.7, 1.3))
    images = images * gain * (1 + 0.08 * (torch.rand(count, 3, 1, 1, generator=rng, device=device) - 0.5))
    blurred = functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    images = torch.where(draw(0, 1) < 0.15, blurred, images)
    noise = torch.randn(images.shape, generator=rng, device=device) * draw(0, 0.03)
    return (images + noise).clamp(0, 1)
