"""``perception-platform models``: bring a detector along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from perception_platform.core.errors import InputError

_commands = typer.Typer(
    help="Bring a detector along: a folder with model.yaml and an ONNX file.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="models")


@_commands.callback()
def group() -> None:
    """Bring a detector along: a folder with model.yaml and an ONNX file."""


@_commands.command()
def probe(
    file: Annotated[Path, typer.Argument(help="ONNX file of a detector.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; model.yaml beside the ONNX file if left out.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Write over an earlier one.")] = False,
) -> None:
    """Guess a detector's family from its shapes and write a first model.yaml.

    Look at it: the order of colours, the normalisation and the classes are what the family's authors do, for shapes do
    not tell them. Then `models check` draws what it finds, and `evaluate camera` measures it.
    """
    import yaml

    from perception_platform.inference.onnx_shapes import onnx_shapes
    from perception_platform.perception import probe as guess
    from perception_platform.perception.detector_config import DetectorConfig

    target = out or file.parent / "model.yaml"
    if target.exists() and not force:
        raise InputError(target, "is there already; --force writes over it")
    described, reason = guess.probe(file.name, *onnx_shapes(file))
    DetectorConfig.model_validate(described)
    text = yaml.safe_dump(described, sort_keys=False, default_flow_style=None, width=110)
    target.write_text(
        f"# Guessed from {file.name}: {reason}.\n# Check channels, mean, std and classes.\n{text}",
        encoding="utf-8",
    )
    print(f"{target}: {reason}")


@_commands.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the model.")],
    image: Annotated[Path | None, typer.Option(help="Image that it looks at; grey if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Picture to write, with the boxes drawn.")] = None,
) -> None:
    """Load a model, run it once and list what it finds; bad folders end it with the file, field and value."""
    import cv2
    import numpy as np

    from perception_platform.core.sensor_data import Image
    from perception_platform.evaluation.camera_labels import read_image
    from perception_platform.inference.backend import ModelError
    from perception_platform.perception.load import load_detector

    detector = load_detector(folder)
    bgr = read_image(image) if image else np.full((720, 1280, 3), 128, np.uint8)
    shown = Image(0, "", "", bgr)
    try:
        (objects,) = detector.detect([shown])
    except ModelError as error:
        raise InputError(folder, str(error)) from error
    print(
        f"{detector.model.id} on {detector.backend}, {detector.runs(shown)} runs an image, {len(objects)} objects"
    )
    if objects.out_of_domain:
        print("the image is unlike those that it was calibrated on")
    _list(objects)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(out), _drawn(bgr, objects)):
            raise InputError(out, "can't be written as a picture")


def _list(objects: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from perception_platform.core.objects import ObjectClass

    table = Table("class", "score", "x1", "y1", "x2", "y2", "± lower side, px")
    for class_id, score, box, sigma in zip(
        objects.class_ids, objects.scores, objects.boxes_px, objects.side_sigmas_px, strict=True
    ):
        name = ObjectClass(class_id).name.lower()
        table.add_row(name, f"{score:.2f}", *(f"{v:.0f}" for v in box), f"{sigma[3]:.1f}")
    Console().print(table)


def _drawn(bgr: Any, objects: Any) -> Any:
    import cv2

    from perception_platform.core.objects import ObjectClass

    picture = bgr.copy()
    for class_id, score, box in zip(objects.class_ids, objects.scores, objects.boxes_px, strict=True):
        x1, y1, x2, y2 = (round(float(v)) for v in box)
        colour = (0, 0, 255) if class_id == ObjectClass.PERSON else (0, 200, 0)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
        text = f"{ObjectClass(class_id).name.lower()} {score:.2f}"
        cv2.putText(
            picture, text, (x1, max(y1 - 4, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA
        )
    return picture
