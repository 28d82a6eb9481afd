"""The board as tables for a terminal, and as single lines for where there is none."""

from __future__ import annotations

import math

import numpy as np
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import SensorStatus
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action
from perception_platform.view.board import Board

_ACTION_STYLES = {
    Action.EMERGENCY_STOP: "bold white on red",
    Action.STOP: "bold white on red",
    Action.LIMIT: "bold black on yellow",
    Action.PROCEED: "bold black on green",
}
_STATUS_STYLES = {SensorStatus.OK: "green", SensorStatus.DEGRADED: "yellow", SensorStatus.FAILED: "red"}
_TRACKS_SHOWN = 6
_FULL_RATE = 0.8  # share of the nominal rate


def _number(value: float, unit: str, digits: int = 1) -> str:
    return f"{value:.{digits}f} {unit}" if math.isfinite(value) else "–"


def _sensors(board: Board, now_ns: int) -> Table:
    table = Table("sensor", "rate", "age", "health", title="sensors", title_justify="left", expand=True)
    for name, flow in board.flows.items():
        rate, age = _number(flow.rate_hz(now_ns), "Hz"), _number(1000 * flow.age_s(now_ns), "ms", 0)
        table.add_row(name, rate, age, _health(board, name, now_ns))
    return table


def _health(board: Board, sensor: str, now_ns: int) -> Text:
    """What its driver reports; in a replay, which has no drivers, what its rate tells."""
    health = board.health.get(sensor)
    if health is not None:
        return Text(health.status.name.lower(), _STATUS_STYLES[health.status])
    share = board.flows[sensor].rate_hz(now_ns) / board.robot.sensor(sensor).rate_hz
    if share >= _FULL_RATE:
        return Text("steady", "green")
    return Text("slow", "yellow") if share > 0 else Text("silent", "red")


def _tracks(board: Board) -> Table:
    table = Table(
        "id", "class", "ahead", "left", "speed", title="tracks, nearest first", title_justify="left"
    )
    table.expand = True
    tracks, ego = board.tracks, board.ego
    if tracks is None or ego is None:
        return table
    places_m = ego.odom_from_base.inverse().apply(tracks.centers_m)
    order = np.argsort(np.hypot(places_m[:, 0], places_m[:, 1]), kind="stable")
    for i in order[:_TRACKS_SHOWN]:
        speed_mps = float(np.hypot(*tracks.velocities_mps[i]))
        table.add_row(
            str(int(tracks.ids[i])),
            ObjectClass(int(tracks.class_ids[i])).name.lower(),
            _number(float(places_m[i, 0]), "m"),
            _number(float(places_m[i, 1]), "m"),
            _number(speed_mps, "m/s"),
        )
    return table


def nearest_risk(board: Board) -> str:
    """The object in the path with the smallest gap, in words."""
    objects = board.assessment.objects if board.assessment else None
    if objects is None or not objects.in_path.any():
        return "nothing in the path"
    i = int(np.argmin(objects.gap_m))
    kind = ObjectClass(int(objects.class_ids[i])).name.lower()
    ttc = _number(float(objects.ttc_s[i]), "s")
    gap = _number(float(objects.gap_m[i]), "m", 2)
    return f"#{int(objects.track_ids[i])} {kind}: gap {gap}, time to collision {ttc}"


def _decision(board: Board) -> Panel:
    decision = board.decision
    if decision is None:
        return Panel("waiting for the first decision", title="decision")
    reason = decision.findings[0].text if decision.findings else "free to proceed"
    p50, p99 = board.latency_ms(50, 99)
    speed_mps = math.hypot(*board.ego.velocity_mps) if board.ego else math.nan
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        "action", Text(f" {decision.action.name.lower()} ", _ACTION_STYLES[decision.action]), Text(reason)
    )
    grid.add_row(
        "speed", _number(speed_mps, "m/s", 2), f"limit {_number(decision.speed_limit_mps, 'm/s', 2)}"
    )
    grid.add_row("nearest risk", "", nearest_risk(board))
    grid.add_row(
        "latency", f"p50 {_number(p50, 'ms', 0)}", f"p99 {_number(p99, 'ms', 0)}, sensor to decision"
    )
    return Panel(grid, title="decision", title_align="left")


def _applications(board: Board) -> Table:
    grid = Table("application", "says", title="on the shared layer", title_justify="left", expand=True)
    for name, report in sorted(board.applications.items()):
        grid.add_row(name.replace("_", " "), report.text + (" (late)" if report.late else ""))
    return grid


def _progress(board: Board) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column()
    grid.add_column(ratio=1)
    grid.add_column()
    passed_s, whole_s = to_s(board.now_ns - board.start_ns), to_s(board.end_ns - board.start_ns)
    grid.add_row(
        "recording", ProgressBar(total=1.0, completed=board.progress), f"{passed_s:.1f} of {whole_s:.1f} s"
    )
    return grid


def table(board: Board, now_ns: int) -> RenderableType:
    """Everything at a glance; ``now_ns`` is of the steady clock that stamped the arrivals."""
    return Group(
        _decision(board),
        Columns([_sensors(board, now_ns), _tracks(board)], expand=True),
        _applications(board),
        _progress(board),
    )


def line(board: Board, now_ns: int) -> str:
    """One line that says the same in short."""
    decision = board.decision
    if decision is None:
        return "waiting for the first decision"
    reason = decision.findings[0].text if decision.findings else "free to proceed"
    rates = " ".join(f"{name} {flow.rate_hz(now_ns):.0f} Hz" for name, flow in board.flows.items())
    p50, p99 = board.latency_ms(50, 99)
    tracks = len(board.tracks) if board.tracks else 0
    return (
        f"{to_s(board.now_ns - board.start_ns):6.1f} s  {decision.action.name.lower():<14} "
        f"limit {_number(decision.speed_limit_mps, 'm/s', 2)}  {reason}  |  {tracks} tracks  "
        f"latency p50 {_number(p50, 'ms', 0)} p99 {_number(p99, 'ms', 0)}  |  {rates}"
    )


def summary(board: Board) -> Table:
    """What happened in the whole run."""
    result = Table(title="what the safety gate decided", title_justify="left")
    for heading in ("at", "action", "because"):
        result.add_column(heading)
    for change in board.changes:
        label = Text(f" {change.action.name.lower()} ", _ACTION_STYLES[change.action])
        result.add_row(f"{to_s(change.t_ns - board.start_ns):.2f} s", label, Text(change.text))
    p50, p99 = board.latency_ms(50, 99)
    counts = ", ".join(f"{n} {action.name.lower()}" for action, n in sorted(board.actions.items()))
    result.caption = (
        f"{sum(board.actions.values())} decisions ({counts}); {len(board.track_ids)} tracks; "
        f"latency p50 {_number(p50, 'ms', 0)}, p99 {_number(p99, 'ms', 0)}"
    )
    result.caption_justify = "left"
    return result
