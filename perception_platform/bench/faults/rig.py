"""The processes of one set-up, running: started, ordered about, stopped, killed, weighed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from perception_platform.bench.faults.ears import Ears
from perception_platform.bench.faults.orders import Commander, Orders
from perception_platform.bench.faults.scene import write_robot
from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Action
from perception_platform.robot.description import Robot
from perception_platform.robot.environment import own_domain, process_environment
from perception_platform.robot.load import load_robot
from perception_platform.robot.stack import describe_stack, processes
from perception_platform.robot.supervisor import Command, Supervisor, node_command

Setup = Literal["fed", "driver", "replayed"]
FEEDER, VIEWER, GATE = "feeder", "viewer", "safety_gate"
START_WITHIN_S = 60.0  # perception compiles its loops where that was not done yet
STEADY_S = 0.06
POLL_S = 0.002
REPORT_S = 1.0
FLOOD_HZ, FLOOD_S = 500.0, 3.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Rig:
    """One set-up of processes.

    ``fed``: sweeps come from the bench. ``driver``: they come from a driver in a process of its own. ``replayed``: all
    follow ``/clock``.
    """

    robot: Robot
    supervisor: Supervisor
    ears: Ears
    commander: Commander
    _hogs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _sustainable_hz: float = 0.0

    def order(self, orders: Orders) -> float:
        """Have the feeder speak like this; since when it does, s of the steady clock."""
        return self.commander.tell(orders)

    def signal(self, name: str, what: signal.Signals) -> float:
        """Send a process a signal, if it runs; when that was done, s of the steady clock."""
        pid = self.supervisor.child(name).pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, what)
        return time.monotonic()

    def until(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until it is true, or no longer than that; whether it is. Dead processes are started again meanwhile."""
        end_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() >= end_s:
                return False
            self.supervisor.poll()
            time.sleep(POLL_S)
        return True

    def wait(self, for_s: float) -> None:
        """Let time pass."""
        self.until(lambda: False, for_s)

    def drives(self) -> bool:
        """Whether the robot has been let drive on freely for a while."""
        now_s = time.monotonic()
        newest = self.ears.newest(now_s - STEADY_S)
        return bool(newest) and all(one.action is Action.PROCEED for one in newest)

    def sustainable_hz(self) -> float:
        """How many sweeps perception gets done in a second when more come than it can take; measured once."""
        if not self._sustainable_hz:
            self.order(Orders(sweeps_hz=FLOOD_HZ))
            self.wait(REPORT_S)  # until it is in full flow
            before = self._next_sweep_count()
            self.wait(FLOOD_S)
            after = self._next_sweep_count()
            self.order(Orders())
            self._sustainable_hz = (after[1] - before[1]) / to_s(after[0] - before[0])
            self.until(self.drives, START_WITHIN_S)
        return self._sustainable_hz

    def _next_sweep_count(self) -> tuple[int, int]:
        """Time in ns and sweeps done so far, of perception's next report."""
        old = self.ears.reports.newest.get("perception")
        self.until(lambda: self.ears.reports.newest.get("perception") is not old, 3 * REPORT_S)
        status = self.ears.reports.newest["perception"]
        return status.t_ns, sum(edge.processed for edge in status.edges if edge.topic.endswith("/points"))

    def begin_hogs(self) -> float:
        """Keep every core busy; when that began, s of the steady clock."""
        busy = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", "while True: pass"]
        self._hogs += [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)]
        return time.monotonic()

    def end_hogs(self) -> None:
        """Let them go."""
        while self._hogs:
            hog = self._hogs.pop()
            hog.kill()
            hog.wait()

    def rss_bytes(self) -> dict[int, int]:
        """Memory of each process that runs, by process id, bytes."""
        found = {}
        for child in self.supervisor.children:
            with suppress(OSError):
                if child.pid is not None:
                    pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
                    found[child.pid] = pages * _PAGE_BYTES
        return found

    def make_whole(self) -> None:
        """End every fault that may still be there."""
        self.end_hogs()
        for child in self.supervisor.children:
            self.signal(child.command.name, signal.SIGCONT)
        with suppress(OSError):
            self.order(Orders())


@contextmanager
def running(setup: Setup, pace: float) -> Iterator[Rig]:
    """Start a set-up, wait until the robot drives, and end all processes in the end.

    Raises:
        InputError: if the robot file is bad, or the robot does not begin to drive.
    """
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        path = write_robot(folder, pace, own_driver=setup == "driver")
        robot = load_robot(str(path))
        environment = _environment()
        os.environ.update(environment)
        commander = Commander(folder)
        commands = _commands(robot, path, setup, commander.feeder, environment)
        ears = Ears(robot, replayed=setup == "replayed")
        try:
            ears.start()
            with Supervisor(commands, folder / "log") as supervisor:
                rig = Rig(robot, supervisor, ears, commander)
                _wait_for_start(rig)
                try:
                    yield rig
                finally:
                    rig.make_whole()
        finally:
            ears.close()
            commander.close()


def _wait_for_start(rig: Rig) -> None:
    def ready() -> bool:
        return rig.ears.listeners() > 1 and rig.drives()  # the viewer is one, too

    if not rig.until(ready, START_WITHIN_S):
        last = list(rig.ears.decisions)[-1:]
        said = ", ".join(r.name.lower() for r in last[0].reasons) if last else "nothing"
        lines = "; ".join(f"{c.command.name}: {c.last_line()}" for c in rig.supervisor.children)
        raise InputError("faults", f"the robot does not drive; the gate says {said}; {lines}")


def _environment() -> dict[str, str]:
    """Of all processes, ours too: on this machine, in a DDS domain that is not the user's."""
    return process_environment() | {"ROS_DOMAIN_ID": own_domain()}


def _commands(
    robot: Robot, path: Path, setup: Setup, feeder: Path, environment: dict[str, str]
) -> list[Command]:
    stack = describe_stack(robot, str(path), sim_time=setup == "replayed")
    clock = ["--clock"] if setup == "replayed" else []
    tools = {FEEDER: [str(path), str(feeder), *clock], VIEWER: [str(path)]}
    return [
        *(node_command(spec, environment) for spec in processes(stack)),
        *(
            Command(
                name, [sys.executable, "-m", f"perception_platform.bench.faults.{name}", *args], environment
            )
            for name, args in tools.items()
        ),
    ]
