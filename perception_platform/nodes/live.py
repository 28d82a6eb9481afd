"""A whole stack, live: its real nodes as processes, a bag played to them, and a listener to what they say."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import LoggingSeverity, set_logger_level
from rclpy.signals import SignalHandlerOptions

from perception_platform.bags.reader import span_ns
from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision
from perception_platform.nodes.listener import Hear, Listener
from perception_platform.robot.environment import adopt_environment, own_domain, process_environment
from perception_platform.robot.load import load_robot
from perception_platform.robot.stack import NodeSpec, Parameter, describe_stack, processes
from perception_platform.robot.supervisor import Event, Supervisor, node_command

MATCH_WITHIN_S = 30.0
GRACE_S = 15.0  # on top of waiting and playing, before a run counts as hung
POLL_S = 0.05
MOST_RESTARTS = 3  # of one node, before a run is given up
PLAYER = "bag_player"


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What to run.

    Attributes:
        bag: recording to play.
        robot_file: name or path of the robot file.
        log_folder: takes what the processes write.
        rate: speed of playing, times real time.
        images: whether the listener hears cameras too.
        journal: file for the gate's own record of its inputs and decisions, if it has a process of its own.
    """

    bag: Path
    robot_file: str
    log_folder: Path
    rate: float = 1.0
    images: bool = False
    journal: Path | None = None


@dataclass(slots=True)
class LiveOutcome:
    """How a run went.

    Attributes:
        start_ns: time of the bag's first message.
        end_ns: time of its last.
        wall_s: how long the whole run took, with starting and ending.
        deaths: processes that died on the way.
    """

    start_ns: int
    end_ns: int
    wall_s: float = 0.0
    deaths: list[Event] = field(default_factory=list)


def play_live(run: LiveRun, hear: Hear, each: Callable[[], None] = lambda: None) -> LiveOutcome:
    """Start the stack without drivers, play the bag to it, hear what it says, end all processes.

    Args:
        run: what to run.
        hear: called in a thread of low priority with each value; decisions from before and after the bag are left out.
        each: called a few times a second in the meantime.

    Raises:
        InputError: if the bag or the robot file is bad, a node refuses its parameters or keeps dying, or the run
            hangs.
    """
    began_s = time.monotonic()
    start_ns, end_ns = span_ns(run.bag)
    if run.journal is not None:
        run.journal.unlink(missing_ok=True)  # the gate goes on in one that is there
    outcome = LiveOutcome(start_ns, end_ns)
    environment = _environment()
    specs = _specs(run)
    deadline_s = began_s + to_s(end_ns - start_ns) / run.rate + MATCH_WITHIN_S + GRACE_S

    def hear_in_time(value: object, sensor: str, received_ns: int) -> None:
        if not isinstance(value, Decision) or start_ns <= value.t_ns <= end_ns:
            hear(value, sensor, received_ns)

    def note(event: Event) -> None:
        if event.bad:
            outcome.deaths.append(event)

    commands = [node_command(spec, environment) for spec in specs]
    commands[-1] = replace(commands[-1], restarted=False)
    with _listening(run, hear_in_time), Supervisor(commands, run.log_folder, note) as supervisor:
        player = supervisor.child(PLAYER)
        while player.state == "running":
            supervisor.poll()
            _check(supervisor, deadline_s)
            each()
            time.sleep(POLL_S)
        _check(supervisor, deadline_s)
    outcome.wall_s = time.monotonic() - began_s
    return outcome


def _specs(run: LiveRun) -> list[NodeSpec]:
    """The stack without drivers, and the player last."""
    robot = load_robot(run.robot_file)
    stack = describe_stack(robot, run.robot_file, groups=("perception", "safety"), sim_time=True)
    parameters: dict[str, Parameter] = {
        "robot": run.robot_file,
        "bag": str(run.bag.resolve()),
        "rate": float(run.rate),
        "match_within_s": MATCH_WITHIN_S,
    }
    if run.journal is not None:
        journal: dict[str, Parameter] = {"journal": str(run.journal.resolve())}
        stack = [
            replace(s, parameters=s.parameters | journal) if s.executable == "safety_gate" else s
            for s in stack
        ]
    return [*processes(stack), NodeSpec(PLAYER, PLAYER, "drivers", "robot", parameters)]


def _environment() -> Mapping[str, str]:
    """Of all processes of the run, ours too: on this machine, and in a DDS domain of their own."""
    os.environ.setdefault("ROS_DOMAIN_ID", own_domain())
    adopt_environment()
    return {name: os.environ[name] for name in ("ROS_DOMAIN_ID", *process_environment())}


def _check(supervisor: Supervisor, deadline_s: float) -> None:
    for child in supervisor.children:
        hopeless = child.state == "refused" or child.restarts >= MOST_RESTARTS
        if hopeless or (child.command.name == PLAYER and child.exit_code):
            raise InputError(child.command.name, child.last_line() or f"exit code {child.exit_code}")
    if time.monotonic() > deadline_s:
        raise InputError(PLAYER, f"did not end in time; see {supervisor.child(PLAYER).log}")


@contextmanager
def _listening(run: LiveRun, hear: Hear) -> Iterator[None]:
    """A listener, spinning in a thread."""
    parameters = ["-p", f"robot:={run.robot_file}", "-p", "use_sim_time:=true"]
    rclpy.init(args=["--ros-args", *parameters], signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener(hear, run.images)
    # What it has to say about a stack that is starting or ending is known anyway, and would tear the table.
    set_logger_level(listener.get_name(), LoggingSeverity.ERROR)
    executor = SingleThreadedExecutor()

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name="listener")
    try:
        listener.start()
        executor.add_node(listener)
        thread.start()
        yield
    finally:
        executor.shutdown()
        if thread.ident is not None:
            thread.join()
        listener.close()
        rclpy.try_shutdown()
    if listener.crash is not None:
        raise listener.crash
