"""``perception-platform explain``: one decision taken apart, and what would have been decided otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from perception_platform.replay.explain import Asked
    from perception_platform.robot.description import Robot


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|BAG|JOURNAL",
            help="Folder that a replay left, a recording (then with --robot), or a gate's journal (.jsonl).",
        ),
    ],
    decision: Annotated[int | None, typer.Option(help="Sequence number of the decision.")] = None,
    time: Annotated[
        float | None, typer.Option(help="First decision at or after that time, s since the first message.")
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="Name of a robot file, or a path to one; a run names its own.")
    ] = None,
    bag: Annotated[Path | None, typer.Option(help="The run's recording, if it was moved since.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything there, too.")] = None,
) -> None:
    """Say why a decision was taken, and what would have changed it.

    The recording is replayed in lockstep up to the decision, which is then made again from its own inputs; of a
    run it has to be the recorded one, byte for byte. It is made once more without the object that binds, and with
    the object farther away, the robot at another speed and the data of another age, for the smallest change that
    leads to another action. Of a live run, whose times come from the machine, the gate's own journal is used: all its
    decisions are made again from the inputs of their beats. It exits with 1 if the same inputs gave another decision.

    Examples:

    perception-platform explain run/person --time 4.2

    perception-platform explain my.mcap --robot amr --decision 120 --json why.json

    perception-platform explain gate.jsonl --decision 120
    """
    from perception_platform.replay.gate_journal import JOURNAL

    if (decision is None) == (time is None):
        raise InputError("explain", "give either --decision or --time")
    run = _summary(source) if source.is_dir() and (source / "summary.json").is_file() else None
    if run is not None and run["mode"] == "live":
        _explain_journal(source / JOURNAL, Path(run["bag_path"]), decision, time, json_file)
        return
    if source.suffix == ".jsonl":
        _explain_journal(source, None, decision, time, json_file)
        return
    bag_file, name = _recording(source, run, robot, bag)
    _explain_replay(bag_file, name, source if run is not None else None, decision, time, json_file)


def _explain_replay(
    bag_file: Path,
    name: str,
    run_dir: Path | None,
    sequence: int | None,
    time_s: float | None,
    json_file: Path | None,
) -> None:
    """Of a recording: replayed up to the decision, which is held against that of a run if there is one."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from perception_platform.bags.reader import span_ns
    from perception_platform.perception.load import load_graph
    from perception_platform.replay.explain import explain as told_of
    from perception_platform.replay.explain import find_decision, in_words, recorded_line
    from perception_platform.robot.load import load_robot

    start_ns = span_ns(bag_file)[0]
    asked = _asked(sequence, time_s, start_ns)
    recorded = None if run_dir is None else recorded_line(run_dir, asked.sequence, asked.from_ns)[0]
    description: Robot = load_robot(name)
    console = Console()
    with Progress(TextColumn("replaying"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("replay", total=1.0)
        found, case = find_decision(
            bag_file, description, load_graph(description), asked, lambda s: bar.update(task, completed=s)
        )
    told = told_of(found, case, recorded)
    for line in in_words(told, start_ns):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if not told["same_when_made_again"] or told["same_as_recorded"] is False:
        raise typer.Exit(1)


def _explain_journal(
    path: Path, bag_file: Path | None, sequence: int | None, time_s: float | None, json_file: Path | None
) -> None:
    """Every decision made again from what the gate had at that beat, and one of them in words.

    Args:
        path: the journal.
        bag_file: the recording that was played; its first message is where times are counted from, else the first beat.
        sequence: number of the decision, or None.
        time_s: the first one at or after that time.
        json_file: takes everything, too.
    """
    from rich.console import Console

    from perception_platform.bags.reader import span_ns
    from perception_platform.core.time import from_s, to_s
    from perception_platform.replay.gate_journal import check_journal
    from perception_platform.replay.records import decision_line

    if not path.is_file():
        raise InputError(path, "no such journal: the gate wrote none, or shared its process")
    check, made = check_journal(path)
    start_ns = made[0].t_ns if bag_file is None else span_ns(bag_file)[0]
    from_ns = start_ns + from_s(time_s or 0.0)
    found = next(
        (d for d in made if (d.t_ns >= from_ns if sequence is None else d.sequence == sequence)), None
    )
    if found is None:
        raise InputError(path, "has no such decision")
    at_s = to_s(found.t_ns - start_ns)
    words = [
        f"decision {found.sequence} at {at_s:.2f} s: {found.action.name.lower()}, gate {found.state.name.lower()}"
    ]
    words += [f"  because: {finding.text}" for finding in found.findings]
    if found.without is not None:
        words.append(f"  without that: {found.without.action.name.lower()}")
    words.append(
        f"made again from their own inputs: {check.same} of {check.decisions} decisions, byte for byte"
    )
    if check.lost:
        words.append(f"{check.lost} beats are not in the journal; nothing after them can be made again")
    if check.first_other is not None:
        words.append(f"the first that came out otherwise: decision {check.first_other}")
    console = Console()
    for line in words:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if json_file is not None:
        told = {"decision": decision_line(found, None), "journal": asdict(check)}
        json_file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if check.same != check.decisions:
        raise typer.Exit(1)


def _asked(decision: int | None, time: float | None, start_ns: int) -> Asked:
    from perception_platform.core.time import from_s
    from perception_platform.replay.explain import Asked

    return Asked(sequence=decision, from_ns=0 if time is None else start_ns + from_s(time))


def _summary(run_dir: Path) -> dict[str, Any]:
    path = run_dir / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["mode"], summary["bag_path"], summary["robot"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(path, f"is no summary of a replay: {error}") from error
    return dict(summary)


def _recording(
    source: Path, run: dict[str, Any] | None, robot: str | None, bag: Path | None
) -> tuple[Path, str]:
    """The bag and the robot file's name."""
    if run is None:
        if robot is None:
            raise InputError(source, "a recording does not say whose it is: give --robot")
        return source, robot
    path = bag or Path(run["bag_path"])
    if not path.exists():
        raise InputError(path, f"no such bag; {source} was made from {run['bag']}: give --bag")
    return path, robot or str(run["robot"])
