"""``perception-platform demo``: a recording through the real nodes, with a live table, a live view and a report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import Progress

from perception_platform.cli.options import Rate
from perception_platform.core.errors import InputError

if TYPE_CHECKING:
    from perception_platform.nodes.live import LiveOutcome
    from perception_platform.robot.description import Robot
    from perception_platform.view.board import Board

BUNDLED = Path("rosbags") / "amr_person" / "amr_person.mcap"
TABLE_EVERY_S = 0.25
LINE_EVERY_S = 1.0
FEWEST_DECISIONS = 0.5  # of those the gate's rate promises for the length of the recording

Show = Callable[[object], None]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    drive: Annotated[
        Path | None,
        typer.Option(help="Folder of a KITTI raw drive to run in place of the bundled recording."),
    ] = None,
    robot: Annotated[
        str, typer.Option(help="Name or path of a robot file; by default the recording's.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder for records and report.")] = Path("run/demo"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the live view; 0: a free one.")] = 8765,
    rate: Rate = 1.0,
    headless: Annotated[bool, typer.Option("--headless", help="Neither live view nor table.")] = False,
) -> None:
    """Run the whole chain on a recording and look at it: sensors, tracks, decisions and why."""
    from perception_platform.bags.reader import span_ns
    from perception_platform.nodes.live import LiveRun
    from perception_platform.nodes.live_replay import replay_live
    from perception_platform.replay.gate_journal import JOURNAL
    from perception_platform.robot.load import load_robot
    from perception_platform.view import terminal
    from perception_platform.view.board import Board

    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    bag, robot_file = _recording(drive, robot, out, console)
    description = load_robot(robot_file)
    board = Board(description, *span_ns(bag))
    run = LiveRun(bag, robot_file, out / "log", rate=rate, images=True, journal=out / JOURNAL)
    console.print(f"playing {bag} to the nodes of {description.name} over DDS", markup=False)
    lock = threading.Lock()
    with ExitStack() as stack:
        show = None if headless else stack.enter_context(_live_view(description, port, console))
        refresh = stack.enter_context(_refreshing(board, console, lock, table=not headless))

        def hear(value: object, sensor: str, received_ns: int) -> None:
            with lock:
                board.see(value, sensor, received_ns)
            if show is not None:
                show(value)

        _, outcome = replay_live(run, out, hear, refresh)
    console.print(terminal.summary(board))
    _report(bag, description, out, console)
    _judge(board, outcome)


def _recording(drive: Path | None, robot: str, out: Path, console: Console) -> tuple[Path, str]:
    """The bag to play and the robot to play it to."""
    from perception_platform.robot.load import load_robot, share_dir

    if drive is None:
        return share_dir() / BUNDLED, robot or "amr"
    from perception_platform.bags.kitti_import import import_kitti_raw

    robot = robot or "delivery_van"
    bag = out / f"{drive.resolve().name}.mcap"
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("importing the drive")
        import_kitti_raw(
            drive,
            bag,
            load_robot(robot),
            lambda stage, done, steps: bar.update(
                task, description=f"importing: {stage}", completed=done, total=steps
            ),
        )
    return bag, robot


def _report(bag: Path, robot: Robot, out: Path, console: Console) -> None:
    from perception_platform.explain.report import write_report
    from perception_platform.replay.truth import load_truth

    truth_file = bag.parent / "truth.yaml"
    windows = load_truth(truth_file).windows if truth_file.is_file() else []
    console.print(f"report: {write_report(out, robot, out, windows=windows)}")


@contextmanager
def _live_view(robot: Robot, port: int, console: Console) -> Iterator[Show | None]:
    """The Foxglove server, on a free port if the wanted one is taken; nothing without the extra ``[view]``."""
    try:
        from perception_platform.view.foxglove_live import FoxgloveLive
    except ImportError:
        console.print("no live view: it needs the extra [view]")
        yield None
        return
    try:
        view = FoxgloveLive(robot, port=port)
    except InputError as error:
        console.print(f"{error}; taking a free port", markup=False)
        view = FoxgloveLive(robot, port=0)
    with view:
        console.print(
            f"live view: open ws://localhost:{view.port} in Foxglove, "
            "with the layout config/foxglove/perception_platform.json"
        )
        yield view.show


@contextmanager
def _refreshing(
    board: Board, console: Console, lock: threading.Lock, table: bool
) -> Iterator[Callable[[], None]]:
    """What to call often: draws the table, or prints a line now and then where there is no terminal."""
    from perception_platform.view import terminal

    drawn_s = 0.0

    def due(every_s: float) -> bool:
        nonlocal drawn_s
        now_s = time.monotonic()
        if now_s - drawn_s < every_s:
            return False
        drawn_s = now_s
        return True

    def print_line() -> None:
        if due(LINE_EVERY_S):
            with lock:
                text = terminal.line(board, time.monotonic_ns())
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    if not (table and console.is_terminal):
        yield print_line
        return
    with Live(console=console, auto_refresh=False) as live:

        def draw() -> None:
            if due(TABLE_EVERY_S):
                with lock:
                    picture = terminal.table(board, time.monotonic_ns())
                live.update(picture, refresh=True)

        yield draw


def _judge(board: Board, outcome: LiveOutcome) -> None:
    """End with an error if the chain did not do its work.

    Raises:
        typer.Exit: with code 1.
    """
    length_s = (board.end_ns - board.start_ns) / 1e9
    expected = length_s * board.robot.gate.rate_hz
    problems = [f"{death.name} {death.text}" for death in outcome.deaths]
    if sum(board.actions.values()) < FEWEST_DECISIONS * expected:
        problems.append(f"only {sum(board.actions.values())} decisions of about {expected:.0f}")
    if not board.track_ids:
        problems.append("no tracks")
    for problem in problems:
        typer.echo(f"failed: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
