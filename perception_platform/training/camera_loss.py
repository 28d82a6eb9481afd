"""What a detector on grids of cells is trained by: which cells answer for which box, and what each answer costs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_TOP_CELLS = 10
_IOU_POWER = 6.0
_WEIGHT_BOX, _WEIGHT_DISTRIBUTION = 2.0, 0.5


@dataclass(frozen=True, slots=True)
class Cells:
    """(A, 2) middles of all levels' cells, px, and their (A,) strides."""

    middles_px: Tensor
    strides_px: Tensor

    @classmethod
    def of(cls, side_px: int, strides: tuple[int, ...], offset: float, device: torch.device) -> Cells:
        """Row by row, finest level first."""
        middles, sizes = [], []
        for stride in strides:
            along = (torch.arange(-(-side_px // stride), device=device) + offset) * stride
            rows, columns = torch.meshgrid(along, along, indexing="ij")
            middles.append(torch.stack([columns, rows], -1).reshape(-1, 2))
            sizes.append(torch.full((len(along) ** 2,), float(stride), device=device))
        return cls(torch.cat(middles), torch.cat(sizes))


def boxes_of(distances: Tensor, cells: Cells) -> Tensor:
    """(B, A, 4) boxes from logits (B, A, 4 * bins): the means of four distributions over strides."""
    bins = distances.shape[-1] // 4
    share = distances.reshape(*distances.shape[:2], 4, bins).float().softmax(-1)
    sides = (share * torch.arange(bins, device=share.device)).sum(-1) * cells.strides_px[:, None]
    return torch.cat([cells.middles_px - sides[..., :2], cells.middles_px + sides[..., 2:]], -1)


def detection_loss(
    logits: Tensor, distances: Tensor, cells: Cells, boxes_px: Tensor, classes: Tensor
) -> dict[str, Tensor]:
    """Quality focal loss of the classes, generalised IoU and distribution focal loss of the boxes.

    Quality focal and distribution focal loss: Li et al., Generalized Focal Loss, 2020. Which cells answer:
    task-aligned, by score times IoU to the sixth (Feng et al., TOOD, 2021).

    Args:
        logits: (B, A, C).
        distances: (B, A, 4 * bins) logits.
        cells: the A cells.
        boxes_px: (B, M, 4) labels.
        classes: (B, M), -1 for none.
    """
    logits, distances = logits.float(), distances.float()
    predicted = boxes_of(distances, cells)
    with torch.no_grad():
        owner, quality = _assigned(logits.sigmoid(), predicted, cells, boxes_px, classes)
    positive = owner >= 0
    label = owner.clamp(min=0)
    target = torch.zeros_like(logits)
    kind = classes.gather(1, label).clamp(min=0)
    target.scatter_(2, kind[..., None], (quality * positive)[..., None])
    score = logits.sigmoid()
    focal = (
        functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        * (score - target).abs() ** 2
    )
    weight = (quality * positive)[positive]
    total = weight.sum().clamp(min=1.0)
    wanted = boxes_px.gather(1, label[..., None].expand(-1, -1, 4))[positive]
    overlap = _giou(predicted[positive], wanted)
    middles = cells.middles_px.expand(len(logits), -1, -1)[positive]
    strides = cells.strides_px.expand(len(logits), -1)[positive]
    apart = torch.cat([middles - wanted[:, :2], wanted[:, 2:] - middles], -1) / strides[:, None]
    return {
        "class": focal.sum() / total,
        "box": _WEIGHT_BOX * ((1 - overlap) * weight).sum() / total,
        "distribution": _WEIGHT_DISTRIBUTION * (_two_bins(distances[positive], apart) * weight).sum() / total,
    }


def _two_bins(logits: Tensor, apart: Tensor) -> Tensor:
    """(P,) cross entropy of four distributions with the two bins around each wanted distance, in strides."""
    bins = logits.shape[-1] // 4
    logs = logits.reshape(-1, 4, bins).log_softmax(-1)
    apart = apart.clamp(0, bins - 1 - 1e-3)
    low = apart.floor().long()
    upper_share = apart - low
    lower = logs.gather(-1, low[..., None])[..., 0] * (1 - upper_share)
    upper = logs.gather(-1, low[..., None] + 1)[..., 0] * upper_share
    return -(lower + upper).mean(-1)


def _assigned(
    scores: Tensor, predicted: Tensor, cells: Cells, boxes_px: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor]:
    """(B, A) label of each cell, -1 for none, and how good its answer should say that it is."""
    real = classes >= 0
    ious = _iou(boxes_px[:, :, None], predicted[:, None])  # (B, M, A)
    low, high = boxes_px[..., None, :2], boxes_px[..., None, 2:]
    inside = ((cells.middles_px > low) & (cells.middles_px < high)).all(-1) & real[..., None]
    of_class = scores.transpose(1, 2).gather(
        1, classes.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1])
    )
    fit = of_class * ious**_IOU_POWER * inside
    # A box that no cell fits yet, as at the start, is given those nearest to its middle.
    away = ((low + high) / 2 - cells.middles_px).square().sum(-1).sqrt() / (high - low).amax(-1).clamp(
        min=1.0
    )
    fit = torch.where(inside, fit + 1e-9 * (2 - away).clamp(min=0.01), torch.zeros_like(fit))
    best = fit.topk(_TOP_CELLS, dim=-1)
    chosen = torch.zeros_like(fit).scatter_(-1, best.indices, (best.values > 0).float()) > 0
    owned = torch.where(chosen, fit, torch.zeros_like(fit))
    value, owner = owned.max(dim=1)
    owner = torch.where(value > 0, owner, -1)
    # The best cell of a label is to say its IoU, the others in proportion.
    top_fit, top_iou = owned.amax(-1).clamp(min=1e-12), (ious * chosen).amax(-1)
    at = owner.clamp(min=0)
    quality = value / top_fit.gather(1, at) * top_iou.gather(1, at)
    return owner, quality.clamp(0, 1)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return common / (areas - common).clamp(min=1e-6)


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap less the share of the hull that neither fills (Rezatofighi et al., 2019)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - common
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    return common / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
