"""From images to a detector's folder: trained, exported, measured by the runtime that will run it, described."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_platform.evaluation.camera_report import evaluate_camera
from perception_platform.training.camera import CameraSettings, CameraTask, start_network, write_bundle
from perception_platform.training.card import write_card
from perception_platform.training.loop import Plan, fit, load_best


@dataclass(frozen=True, slots=True)
class CameraRun:
    """Where, on what, from what, for which classes, under which name; images in a step.

    Attributes:
        about: lines for the card about the data and the start: whose they are, and under which licence.
    """

    out: Path
    data: Path
    start: Path
    names: tuple[str, ...]
    model_id: str
    batch: int
    about: tuple[str, ...] = ()


def train_camera(run: CameraRun, plan: Plan) -> Path:
    """Do it all; returns the model's folder. An earlier training in the same folder goes on."""
    task = CameraTask(CameraSettings(run.data, run.names, run.start, run.batch), plan)
    before = task.validate(task.network.to(task.val.images.device))
    outcome = fit(task, plan, run.out)
    network = start_network(run.start, run.names)
    trained = load_best(network, run.out)
    folder = run.out / "model"
    digest = write_bundle(network, run.names, run.model_id, folder)
    report, _ = evaluate_camera(folder, run.data / "images" / "val", run.data / "labels" / "val", run.names)
    figures: dict[str, Any] = {f"validation in training: {k}": v for k, v in trained.items()}
    figures |= {f"before training: {k}": v for k, v in before.items()}
    for name, judged in report["classes"].items():
        figures[f"{name}: AP at IoU 0.5 / 0.5 to 0.95"] = f"{judged['ap50']:.3f} / {judged['ap']:.3f}"
        found, precision = judged["recall"], judged["precision"]
        figures[f"{name}: found at the threshold"] = f"{found['count']} of {found['of']}"
        figures[f"{name}: right of what it says"] = f"{precision['count']} of {precision['of']}"
    (run.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    command = (
        f"perception-platform train camera --out DIR --data FOLDER --start {run.start.name} "
        f"--names {','.join(run.names)} --model-id {run.model_id} --epochs {plan.epochs} "
        f"--batch {run.batch} --learning-rate {plan.learning_rate:g} --seed {plan.seed}"
    )
    start_digest = hashlib.sha256(run.start.read_bytes()).hexdigest()
    write_card(
        folder,
        f"Camera detector: {', '.join(run.names)}",
        command=command + (f" --minutes {plan.minutes:g}" if plan.minutes else ""),
        plan=plan,
        outcome=outcome,
        digest=digest,
        data=[
            f"{len(task.train)} images to train and {len(task.val)} to validate, from `--data`.",
            f"Begun from {run.start.name} (SHA-256 `{start_digest}`).",
            "The validation images chose the epoch: figures on them are a little too good.",
            *run.about,
        ],
        limits=[
            "Still pictures of one data set: measure it on your own cameras before you use it.",
            "Who it does not see is still an obstacle of the lidar path: it names, it never clears.",
        ],
        figures=figures,
    )
    return folder
