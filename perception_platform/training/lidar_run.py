"""From nothing to a lidar model's folder: sweeps made, network trained, exported, measured, described."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.training.card import write_card
from perception_platform.training.lidar import LidarSettings, LidarTask, validate
from perception_platform.training.lidar_bundle import OnnxNetwork, export, quantise, write_bundle
from perception_platform.training.lidar_data import Sweeps, generate
from perception_platform.training.lidar_network import BirdViewNetwork
from perception_platform.training.loop import Plan, fit, load_best

MODEL_ID = "bev_lidar@1"
# Eight bits are shipped where they cost no more of the mean average precision than this.
_MOST_LOST = 0.02


@dataclass(frozen=True, slots=True)
class LidarRun:
    """Where, and how many sweeps of each kind; sweeps in a step; processes that make them."""

    out: Path
    examples: int
    validation: int
    batch: int
    workers: int


def train_lidar(run: LidarRun, plan: Plan) -> Path:
    """Do it all; returns the model's folder. What an earlier run in the same folder did is not done again."""
    train, val = run.out / "data" / "train", run.out / "data" / "val"
    generate(train, run.examples, plan.seed, run.workers)
    generate(val, run.validation, plan.seed + 1, run.workers)
    outcome = fit(LidarTask(LidarSettings(train, val, run.batch), plan), plan, run.out)
    network = BirdViewNetwork()
    figures = {f"32 bits on the training's device: {k}": v for k, v in load_best(network, run.out).items()}
    sweeps, cpu = Sweeps(val, torch.device("cpu")), torch.device("cpu")
    whole, small = run.out / "float.onnx", run.out / "int8.onnx"
    export(network, whole)
    quantise(whole, small, Sweeps(train, cpu))
    scores = {}
    for name, path in (("32 bits", whole), ("8 bits", small)):
        measured = validate(OnnxNetwork(load_onnx(path, MODEL_ID, 2)), sweeps, run.batch, cpu)
        figures |= {f"{name}: {k}": v for k, v in measured.items()}
        scores[name] = measured["score"]
    shipped = "8 bits" if scores["32 bits"] - scores["8 bits"] <= _MOST_LOST else "32 bits"
    folder = run.out / "model"
    digest = write_bundle(small if shipped == "8 bits" else whole, MODEL_ID, folder, sweeps)
    (run.out / "figures.json").write_text(
        json.dumps(figures | {"shipped": shipped}, indent=2) + "\n", encoding="utf-8"
    )
    command = (
        f"perception-platform train lidar --out DIR --examples {run.examples} --validation {run.validation} "
        f"--epochs {plan.epochs} --batch {run.batch} --seed {plan.seed}"
    )
    write_card(
        folder,
        "Bird's-eye-view lidar network",
        command=command + (f" --minutes {plan.minutes:g}" if plan.minutes else ""),
        plan=plan,
        outcome=outcome,
        digest=digest,
        data=[
            f"{run.examples} pairs of made-up sweeps of streets and warehouses (training/lidar_worlds.py), lidars "
            f"of 16 to 128 beams; {run.validation} other pairs to validate. No real sweep, no other data.",
        ],
        limits=[
            "It has seen no real lidar: docs/training.md gives what it finds on real sweeps.",
            "Objects within 32 m of the robot; people, cyclists, cars, trucks, forklifts.",
            "The velocity head and the embedding were measured on made-up sweeps alone.",
            "It may name and add objects; it takes none away: the geometric path decides what is in the way.",
        ],
        figures=figures | {"shipped": shipped},
    )
    return folder
