"""``perception-platform track``: the tracker of the chain on public boxes, and what became of a run's tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from perception_platform.core.errors import InputError

_commands = typer.Typer(
    help="Track a benchmark's boxes; list why tracks began and ended.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(_commands, name="track")


@_commands.callback()
def group() -> None:
    """Track the boxes of a public benchmark; list why the tracks of a run began and ended."""


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


@_commands.command("fit-scores")
def fit_scores(
    detections: Annotated[Path, typer.Option(help="Folder with <Category>/<seq>.txt.")],
    labels: Annotated[Path, typer.Option(help="Folder with <seq>.txt, KITTI tracking labels.")],
    frames: Annotated[Path, typer.Option(help="Seqmap: sequences and their numbers of frames.")],
    category: Annotated[str, typer.Option(help="Car, Pedestrian or Cyclist.")] = "Car",
) -> None:
    """Fit what scores are worth, by range, to labels: the detector's part of config/tracking/kitti_<category>.yaml.

    Prints JSON. If range helps only on the sequences it was fitted to, log_loss_left_out says so.
    """
    from perception_platform.evaluation.kitti_files import CATEGORIES
    from perception_platform.evaluation.score_fit import fit_scores as fit

    if category not in CATEGORIES:
        raise InputError("--category", f"{category!r} is none of {', '.join(CATEGORIES)}")
    print(json.dumps(fit(detections, labels, frames, category), indent=2))


@_commands.command()
def tune(
    detections: Annotated[Path, typer.Option(help="Folder with <Category>/<seq>.txt.")],
    calib: Annotated[Path, typer.Option(help="Folder with <seq>.txt, KITTI's calibration.")],
    labels: Annotated[Path, typer.Option(help="Folder with <seq>.txt, KITTI tracking labels.")],
    frames: Annotated[Path, typer.Option(help="Seqmap: sequences and their numbers of frames.")],
    out: Annotated[
        Path, typer.Option(help="YAML for the settings found; <out>.trials.jsonl is kept beside it.")
    ],
    category: Annotated[str, typer.Option(help="Car, Pedestrian or Cyclist.")] = "Car",
    ego: Annotated[
        Path | None, typer.Option(help="Folder with <seq>.txt, poses; without, the camera is taken to stand.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Settings to begin with, if not the package's own.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Settings to try, of each search.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    leave_one_out: Annotated[
        bool,
        typer.Option(
            help="Search again without each sequence, and judge what is found on that one; as much work for each."
        ),
    ] = True,
) -> None:
    """Search the settings of config/tracking/kitti_<category>.yaml by labels, and print what they are worth as JSON.

    A search that was cut short goes on where it was if it is called again; so does one that is called with more trials.
    """
    from perception_platform.evaluation.kitti_files import CATEGORIES
    from perception_platform.evaluation.track_tune import Drives
    from perception_platform.evaluation.track_tune import tune as tune_settings

    if category not in CATEGORIES:
        raise InputError("--category", f"{category!r} is none of {', '.join(CATEGORIES)}")
    drives = Drives(category, detections, calib, labels, frames, ego)
    report = tune_settings(
        drives, start, out, trials, seed, leave_one_out, lambda line: typer.echo(line, err=True)
    )
    print(json.dumps(report, indent=2))


@_commands.command()
def events(
    run: Annotated[
        Path, typer.Argument(help="Folder that `replay` or `demo` wrote: its tracks.jsonl is read.")
    ],
    track: Annotated[int | None, typer.Option("--id", min=1, help="Only of this track.")] = None,
    change: Annotated[
        str | None, typer.Option(help="Only born, confirmed, merged, hidden, found or ended.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list, times in ns.")] = False,
) -> None:
    """List why each track of a run was born, confirmed, merged, hidden, found and ended."""
    from perception_platform.core.track_events import TrackChange
    from perception_platform.replay.track_events import read_events

    changes = [known.name.lower() for known in TrackChange]
    if change is not None and change not in changes:
        raise InputError("--change", f"{change!r} is none of {', '.join(changes)}")
    chosen = [
        event
        for event in read_events(run)
        if track in (None, event["id"], event["other_id"]) and change in (None, event["change"])
    ]
    if as_json:
        print(json.dumps(chosen, indent=2))
    else:
        _show(chosen)


def _show(events: list[dict[str, Any]]) -> None:
    """A line an event: time since the first, track, what, why, existence."""
    start_ns = min((event["t_ns"] for event in events), default=0)
    for event in events:
        other = f" (track {event['other_id']})" if event["other_id"] else ""
        print(
            f"{(event['t_ns'] - start_ns) * 1e-9:9.3f} s  track {event['id']:<5d} {event['change']:<9s} "
            f"{event['reason'].replace('_', ' ')}{other}; existence {event['existence']:.2f}"
        )
