"""``perception-platform track``: the tracker of the chain on public boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_commands = typer.Typer(help="Track the boxes of a public benchmark.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="track")


@_commands.callback()
def group() -> None:
    """Track the boxes of a public benchmark."""


@_commands.command()
def kitti(
    detections: Annotated[Path, typer.Option(help="Folder with <Category>/<seq>.txt.")],
    calib: Annotated[Path, typer.Option(help="Folder with <seq>.txt, KITTI's calibration.")],
    frames: Annotated[Path, typer.Option(help="Seqmap: sequences and their numbers of frames.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    ego: Annotated[
        Path | None, typer.Option(help="Folder with <seq>.txt, poses; without, the camera is taken to stand.")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Run the plain Kalman filter instead, to compare with.")
    ] = False,
) -> None:
    """Write <Category>/data/<seq>.txt, data/<seq>.txt with all categories, states, and timing.json."""
    from perception_platform.evaluation.kitti_track import track_kitti

    timing = track_kitti(detections, calib, frames, out, ego, baseline)
    for category, entry in timing.items():
        rate = entry["frames"] / entry["seconds"] if entry["seconds"] else 0.0
        print(f"{category}: {entry['frames']} frames in {entry['seconds']:.2f} s, {rate:.0f} frames/s")
