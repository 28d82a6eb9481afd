"""The model card: what a network was trained on and how, what it was measured to do, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perception_platform.training.loop import Outcome, Plan


def write_card(
    folder: Path,
    title: str,
    *,
    command: str,
    plan: Plan,
    outcome: Outcome,
    digest: str,
    data: Sequence[str],
    limits: Sequence[str],
    figures: Mapping[str, Any],
) -> Path:
    """Write ``CARD.md`` beside a bundle.

    Args:
        folder: the bundle's.
        title: of the model.
        command: that makes it again.
        plan: how it was trained.
        outcome: how that went.
        digest: SHA-256 of the weights.
        data: lines about what it was trained and validated on, with licences.
        limits: lines about what it is not for.
        figures: by name, of the bundle as it is shipped.
    """
    settings = ", ".join(f"{k} {v}" for k, v in asdict(plan).items() if v is not None)
    lines = [f"# {title}", "", f"Weights: SHA-256 `{digest}`.", "", "## Made by", "", f"`{command}`", ""]
    lines += [f"{settings}. {outcome.epochs} epochs, {outcome.seconds:.0f} s on {outcome.device};"]
    lines += [
        f"{outcome.ended}; the best validation was after epoch {outcome.best_epoch}.",
        "",
        "## Data",
        "",
    ]
    lines += [f"- {line}" for line in data]
    lines += ["", "## Figures", "", "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {_said(value)} |" for name, value in figures.items()]
    lines += ["", "## Limits", "", *(f"- {line}" for line in limits), ""]
    path = folder / "CARD.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
