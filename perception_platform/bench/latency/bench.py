"""From sensor to decision under full load: the chain written plainly, tuned, and composed, next to its pure compute."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perception_platform.bench.latency.ears import SPEED_MPS, Ears, ego_at, listening
from perception_platform.bench.latency.load import LIDAR_HZ, Load, make_load, read_image, read_sweep
from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage
from perception_platform.core.runtime_status import EdgeCount
from perception_platform.perception.load import load_graph
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.hindsight import Hindsight
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.environment import process_environment
from perception_platform.robot.stack import describe_stack, processes
from perception_platform.robot.supervisor import Command, Supervisor, node_command
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.latency import measure
from perception_platform.safety.config import GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen
from perception_platform.tracking.tracker import Tracker

Mode = Literal["naive", "tuned", "composed"]
MODES: tuple[Mode, ...] = ("naive", "tuned", "composed")
NAIVE_ROLES = ("image_driver", "points_driver", "perception", "tracker", "risk", "safety_gate")
START_WITHIN_S = 60.0
SETTLE_S = 4.0  # after the last frame: the drivers' last frames and everybody's last report
WARM_UP = 10  # frames of each block that are left out
GATE_ALONE_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Block:
    """What one run of one mode brought.

    Attributes:
        latencies_ms: sensor to decision, of each sweep's first decision.
        intervals_s: between decisions.
        cpu_s: processor time by process.
        wall_s: time over which it was counted.
        memory_mb: resident memory of all processes at the end.
        edges: last ledger by node.
    """

    latencies_ms: list[float] = field(default_factory=list)
    intervals_s: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    memory_mb: float = 0.0
    edges: dict[str, tuple[EdgeCount, ...]] = field(default_factory=dict)


def bench_latency(
    sweeps: Path | None, frames: int, rounds: int, seed: int, tell: Callable[[str, float], None]
) -> dict[str, Any]:
    """Run every mode in turn, ``rounds`` times.

    Args:
        sweeps: folder of KITTI ``.bin`` sweeps; None for simulated ones.
        frames: lidar frames a mode, over all rounds.
        rounds: how often the modes take turns.
        seed: of what is made up.
        tell: hears what is running and what share is done.

    Raises:
        InputError: if the load cannot be made, or a stack does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="latency_bench_"))
    blocks: dict[Mode, list[Block]] = {mode: [] for mode in MODES}
    pure_ms: list[float] = []
    try:
        load = make_load(folder, sweeps, seed)
        each = -(-frames // rounds) + WARM_UP
        for i in range(rounds):
            tell("pure compute", i / rounds)
            pure_ms += pure_compute(load, each)[WARM_UP:]
            for j, mode in enumerate(MODES):
                tell(mode, (i + (j + 1) / (len(MODES) + 1)) / rounds)
                blocks[mode].append(run_block(load, mode, each))
        tell("gate alone", 1.0)
        return report(pure_ms, blocks, gate_alone(load), load)
    finally:
        shutil.rmtree(folder)


def pure_compute(load: Load, frames: int) -> list[float]:
    """Each sweep's chain as plain function calls, ms: read, perceive, track, assess, decide."""
    robot = load.robot
    graph, tracker = load_graph(robot), Tracker(frame_id=robot.odom_frame)
    config, gate = RiskConfig.from_robot(robot), SafetyGate(GateConfig.from_robot(robot))
    risk, hindsight = RiskStage(config), Hindsight(config)
    graph.warm_up()
    times_ms = []
    for i in range(frames):
        t_ns = time.time_ns()
        ego = ego_at(t_ns)
        image = read_image(load, 3 * i, t_ns)
        began_s = time.perf_counter()
        percept = graph.step(read_sweep(load, i, t_ns), [image])
        tracks = tracker.step(t_ns, percept.detections, ego)
        seen = hindsight.look([percept.obstacles], tracks, ego)
        assessment = risk.step(tracks, seen, ego, now_ns=time.time_ns())
        obstacles = {percept.obstacles.sensor: Seen(percept.obstacles, 0.0)}
        inputs = GateInputs(
            Seen(assessment, 0.0), Seen(ego, 0.0), obstacles, {}, Seen((SPEED_MPS, 0.0, 0.0), 0.0)
        )
        gate.step(time.time_ns(), inputs)
        times_ms.append((time.perf_counter() - began_s) * 1e3)
        time.sleep(max(0.0, 1 / LIDAR_HZ - (time.perf_counter() - began_s)))  # as idle in between as a robot
    return times_ms


def run_block(load: Load, mode: Mode, frames: int) -> Block:
    """Bring the stack up, play the frames to it, take it down.

    Raises:
        InputError: if it does not come up.
    """
    load.put_out(frames)
    block = Block()
    with listening(load.robot) as ears, Supervisor(_commands(load, mode), load.folder / "log") as supervisor:
        _until_up(ears, supervisor, ears.stack_is_up)
        ears.forget_decisions()
        load.begin()
        before, began_s = _cpu_s(supervisor), time.monotonic()
        ears.spin(frames / LIDAR_HZ)
        after = _cpu_s(supervisor)
        block.wall_s = time.monotonic() - began_s
        block.memory_mb = _memory_mb(supervisor)
        ears.spin(SETTLE_S)
    load.take_away()
    block.cpu_s = {name: after[name] - before.get(name, 0.0) for name in after}
    block.edges = ears.edges
    _take_decisions(block, ears, load)
    return block


def gate_alone(load: Load) -> dict[str, Any]:
    """The gate by itself with its inputs at their rates: how regular its beat is, and what it costs."""
    specs = [s for s in describe_stack(load.robot, str(load.robot_file)) if s.executable == "safety_gate"]
    commands = [node_command(spec, process_environment()) for spec in specs]
    with listening(load.robot) as ears, Supervisor(commands, load.folder / "log") as supervisor:
        ears.speak_for_chain(*_one_result(load))
        _until_up(ears, supervisor, lambda: len(ears.decisions) > 10)
        ears.spin(2.0)
        ears.forget_decisions()
        before, began_s = _cpu_s(supervisor), time.monotonic()
        ears.spin(GATE_ALONE_S)
        cpu_s, wall_s = _cpu_s(supervisor)["safety_gate"] - before["safety_gate"], time.monotonic() - began_s
    block = Block()
    _take_decisions(block, ears, load)
    return {"core_share": round(cpu_s / wall_s, 4), **_jitter(block.intervals_s, load)}


def _one_result(load: Load) -> tuple[Any, Any]:
    """Obstacle points and an assessment of the first sweep."""
    robot, t_ns = load.robot, time.time_ns()
    percept = load_graph(robot).step(read_sweep(load, 0, t_ns))
    ego = ego_at(t_ns)
    tracks = Tracker(frame_id=robot.odom_frame).step(t_ns, percept.detections, ego)
    return percept.obstacles, assess(
        tracks, [percept.obstacles], ego, RiskConfig.from_robot(robot), now_ns=t_ns
    )


def _until_up(ears: Ears, supervisor: Supervisor, is_up: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    while not is_up():
        supervisor.poll()
        ears.spin(0.1)
        if time.monotonic() > deadline_s:
            said = "; ".join(f"{c.command.name}: {c.last_line()}" for c in supervisor.children)
            raise InputError("stack", f"did not come up in {START_WITHIN_S:g} s; {said}")


def _take_decisions(block: Block, ears: Ears, load: Load) -> None:
    """Latency of each sweep's first decision, from the sweep's capture on, and the time between decisions."""
    decided = [d._replace(lineage=_of_sweep(d.lineage, load)) for d in ears.decided()]
    block.latencies_ms = [d.total_ms for d in measure(decided).new][WARM_UP:]
    block.intervals_s = (np.diff([d.t_ns for d in decided]) / 1e9).tolist()


def _of_sweep(lineage: Lineage, load: Load) -> Lineage:
    """Without cameras: an image waits for the next sweep, which is no latency of the chain."""
    lidar = load.robot.lidars[0].name
    return replace(lineage, sources=tuple(s for s in lineage.sources if s.sensor == lidar))


def _cpu_s(supervisor: Supervisor) -> dict[str, float]:
    """Processor time that each process has used so far, s."""
    used = {}
    for child in supervisor.children:
        if child.pid is not None:
            fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            used[child.command.name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return used


def _memory_mb(supervisor: Supervisor) -> float:
    """Memory of all processes, shared pages counted by share, MB."""
    total_kb = 0
    for child in supervisor.children:
        if child.pid is None:
            continue
        rollup = Path(f"/proc/{child.pid}/smaps_rollup").read_text(encoding="utf-8")
        total_kb += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total_kb / 1024


def _commands(load: Load, mode: Mode) -> list[Command]:
    """The processes of a mode; all on this machine, in the DDS domain of this process."""
    if mode == "naive":
        ours = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "FASTRTPS_DEFAULT_PROFILES_FILE": ""}
        arguments = ["--ros-args", "-p", f"robot:={load.robot_file}"]
        module = "perception_platform.bench.latency.naive"
        return [Command(role, [sys.executable, "-m", module, role, *arguments], ours) for role in NAIVE_ROLES]
    specs = describe_stack(load.robot, str(load.robot_file))
    if mode == "composed":
        specs = processes(specs)
    return [node_command(spec, process_environment()) for spec in specs]


def report(
    pure_ms: list[float], blocks: Mapping[Mode, list[Block]], gate: dict[str, Any], load: Load
) -> dict[str, Any]:
    """The figures of all modes, next to those of the pure compute."""
    pure = _quantiles(pure_ms)
    modes = {mode: _mode(runs, load) for mode, runs in blocks.items()}
    for figures in modes.values():
        for name in ("p50", "p99", "p99.9"):
            figures[f"{name}_to_pure"] = round(figures[name] / pure[name], 2)
    return {
        "unit": "ms",
        "points": [min(load.points), max(load.points)],
        "pure_compute": pure,
        "modes": modes,
        "gate_alone": gate,
    }


def broken_promises(report: Mapping[str, Any]) -> list[str]:
    """What must never be: a message that nobody can account for, or a sweep that a composed stack lost."""
    found = []
    for mode, figures in report["modes"].items():
        for key, frames in figures["frames"].items():
            if frames["unaccounted"]:
                found.append(f"{mode}: {frames['unaccounted']} of {key} unaccounted for")
            if mode == "composed" and frames["lost"]:
                found.append(f"{mode}: {frames['lost']} of {key} lost by reference")
    return found


def _mode(runs: list[Block], load: Load) -> dict[str, Any]:
    names = sorted({name for run in runs for name in run.cpu_s})
    wall_s = sum(run.wall_s for run in runs)
    cpu = {name: round(sum(run.cpu_s.get(name, 0.0) for run in runs) / wall_s, 3) for name in names}
    return {
        **_quantiles([ms for run in runs for ms in run.latencies_ms]),
        "cpu_s_per_s": round(sum(cpu.values()), 3),
        "cpu_by_process": cpu,
        "memory_mb": round(max(run.memory_mb for run in runs), 1),
        "frames": {key: _frames(runs, load, key) for key in ("points", "image")},
        "gate": _jitter([s for run in runs for s in run.intervals_s], load),
    }


def _frames(runs: list[Block], load: Load, key: str) -> dict[str, Any]:
    """What became of the frames that the drivers published: lost on the way, or in perception's ledger."""
    sensor = (load.robot.lidars if key == "points" else load.robot.cameras)[0].name
    topic = TOPICS[key].of(sensor)
    sent, heard = 0, []
    for run in runs:
        for node, edges in run.edges.items():
            for edge in (e for e in edges if e.topic == topic):
                if node == "perception":
                    heard.append(edge)
                else:
                    sent += edge.received
    received = sum(e.received for e in heard)
    return {
        "sent": sent,
        "lost": sent - received,
        "lost_share": round((sent - received) / sent, 4) if sent else None,
        "processed": sum(e.processed for e in heard),
        "superseded": sum(e.superseded for e in heard),
        "expired": sum(e.expired for e in heard),
        "unaccounted": sum(e.unaccounted for e in heard),
    }


def _quantiles(values_ms: list[float]) -> dict[str, Any]:
    if not values_ms:
        raise InputError("bench", "no decision rests on a sweep; is the machine overloaded?")
    p50, p99, p999, worst = np.percentile(values_ms, [50, 99, 99.9, 100]).round(3).tolist()
    return {"samples": len(values_ms), "p50": p50, "p99": p99, "p99.9": p999, "max": worst}


def _jitter(intervals_s: list[float], load: Load) -> dict[str, Any]:
    """How much later than a period after the last one decisions came, ms."""
    late_ms = np.maximum(np.array(intervals_s) * 1e3 - 1e3 / load.robot.gate.rate_hz, 0.0)
    p50, p99, p999, worst = np.percentile(late_ms, [50, 99, 99.9, 100]).round(3).tolist()
    return {
        "late_p50_ms": p50,
        "late_p99_ms": p99,
        "late_p99.9_ms": p999,
        "late_max_ms": worst,
        "beats": len(late_ms),
    }
