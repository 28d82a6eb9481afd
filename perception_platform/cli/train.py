"""``perception-platform train``: networks of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_platform.core.errors import InputError

_commands = typer.Typer(
    help="Train networks and write the folders that the perception layer loads. Needs make setup WITH=training.",
    no_args_is_help=True,
)

Out = Annotated[
    Path, typer.Option(help="Folder for checkpoints, logs and the model; an earlier run there goes on.")
]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="End after so long, with what is best by then.")]
Seed = Annotated[int, typer.Option(min=0, help="Of weights, order, augmentation and made-up data.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: the GPU where there is one.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="train")


@_commands.callback()
def group() -> None:
    """Train networks and write the folders that the perception layer loads. Needs make setup WITH=training."""
    try:
        import onnx  # noqa: F401
        import tensorboard  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(
            "train", f"needs {error.name}, which is not installed: make setup WITH=training"
        ) from error


@_commands.command()
def lidar(
    out: Out,
    examples: Annotated[int, typer.Option(min=64, help="Made-up sweeps to train on.")] = 4096,
    validation: Annotated[int, typer.Option(min=64, help="Made-up sweeps to validate on.")] = 512,
    epochs: Annotated[int, typer.Option(min=1, help="Rounds through them.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Sweeps in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="The highest.")] = 2e-3,
    minutes: Minutes = None,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that make sweeps.")] = 2,
) -> None:
    """Train the bird's-eye-view network on sweeps of made-up streets and warehouses, and export it.

    Writes OUT/data (the sweeps), OUT/model (model.yaml, ONNX, golden outputs, CARD.md) and OUT/figures.json.
    docs/training.md says what it is good for.
    """
    from perception_platform.training.lidar_run import LidarRun, train_lidar
    from perception_platform.training.loop import Plan

    plan = Plan(
        epochs, learning_rate, minutes=minutes, seed=seed, device=device, validate_every=max(1, epochs // 30)
    )
    print(train_lidar(LidarRun(out, examples, validation, batch, workers), plan))


@_commands.command()
def camera(
    out: Out,
    data: Annotated[
        Path,
        typer.Option(help="Folder with images/train, images/val, labels/train, labels/val, YOLO's format."),
    ],
    start: Annotated[
        Path, typer.Option(help="PicoDet-S 416 with COCO's classes, as ONNX: where training begins.")
    ],
    about: Annotated[
        list[str] | None,
        typer.Option(help="A line for the card: whose data, which licence. May be given again."),
    ] = None,
    names: Annotated[str, typer.Option(help="Class of each label index, with commas.")] = "forklift,person",
    model_id: Annotated[str, typer.Option(help="Name and version of the model.")] = "forklift_person@1",
    epochs: Annotated[int, typer.Option(min=1, help="Rounds through the images.")] = 60,
    batch: Annotated[int, typer.Option(min=1, help="Images in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="The highest.")] = 5e-4,
    minutes: Minutes = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Fine-tune a detector for people and forklifts from one that knows COCO's classes, and export it.

    Writes OUT/model (model.yaml, ONNX, golden outputs, CARD.md) and OUT/figures.json.
    """
    from perception_platform.training.camera_run import CameraRun, train_camera
    from perception_platform.training.loop import Plan

    wanted = tuple(n for n in names.split(",") if n)
    plan = Plan(
        epochs, learning_rate, minutes=minutes, seed=seed, device=device, validate_every=max(1, epochs // 40)
    )
    print(train_camera(CameraRun(out, data, start, wanted, model_id, batch, tuple(about or ())), plan))
