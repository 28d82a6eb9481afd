"""Runs processes, reports those that die, starts them again, and leaves none behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from perception_platform.core.errors import InputError
from perception_platform.robot.stack import NodeSpec

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 8.0
STEADY_AFTER_S = 10.0
END_WITHIN_S = 4.0
EXIT_BAD_INPUT = 2
LOG_TAIL_BYTES = 4096

State = Literal["running", "waiting", "ended", "refused"]


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: its name among the others, its arguments, and variables on top of the environment.

    A command that is not ``restarted`` may end; then it is ``ended``.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    restarted: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a process."""

    name: str
    text: str
    bad: bool = False


@dataclass(slots=True)
class Child:
    """A supervised process and how it fares; ``since_s`` by the steady clock.

    State ``waiting``: dead and about to be started again; ``ended``: done, as meant; ``refused``: it ended
    with bad input, which another start would not mend.
    """

    command: Command
    log: Path
    state: State = "waiting"
    process: subprocess.Popen[bytes] | None = None
    since_s: float = 0.0
    restarts: int = 0
    delay_s: float = 0.0
    exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.process and self.state == "running" else None

    def last_line(self) -> str:
        """The last line it wrote."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def node_command(node: NodeSpec, environment: Mapping[str, str]) -> Command:
    """The command that runs a node with this interpreter."""
    return Command(node.name, [sys.executable, "-m", node.module, *node.ros_arguments()], environment)


class Supervisor:
    """Keeps processes running; to be used as a context, with ``poll`` called a few times a second.

    A process that dies is started again after a delay that doubles from half a second to eight; the delay
    starts over after ten seconds of steady running. The kernel ends the processes when the thread that
    started them dies, even if it is killed.

    Args:
        commands: what to run.
        log_folder: takes one file a process with what it writes.
        on_event: hears of starts and deaths.
        clock: steady clock, s.

    Raises:
        InputError: if ``setpriv`` (util-linux) is not installed.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        log_folder: Path,
        on_event: Callable[[Event], None] = lambda _event: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if shutil.which("setpriv") is None:
            raise InputError("setpriv", "not found; install util-linux")
        log_folder.mkdir(parents=True, exist_ok=True)
        self._on_event = on_event
        self._clock = clock
        self.children = [Child(c, log_folder / f"{c.name}.log") for c in commands]
        for child in self.children:
            child.log.write_bytes(b"")

    def __enter__(self) -> Supervisor:
        try:
            self.poll()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def child(self, name: str) -> Child:
        """The process of that name.

        Raises:
            KeyError: if there is none.
        """
        for child in self.children:
            if child.command.name == name:
                return child
        raise KeyError(name)

    def poll(self) -> None:
        """Notice deaths and start what is due."""
        for child in self.children:
            if child.state == "running" and child.process and child.process.poll() is not None:
                self._bury(child, child.process.returncode)
            if child.state == "waiting" and self._clock() - child.since_s >= child.delay_s:
                self._start(child)

    def stop(self) -> None:
        """End all processes: ask them, then, after a grace time, kill them with all that they started."""
        alive = [c.process for c in self.children if c.process and c.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline_s = self._clock() + END_WITHIN_S
        for process in alive:
            try:
                process.wait(max(0.0, deadline_s - self._clock()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _kill_group(process.pid)
        for child in self.children:
            child.state = "ended"

    def _start(self, child: Child) -> None:
        with child.log.open("ab") as log:
            child.process = _spawn(child.command, log)
        again = child.exit_code is not None
        child.restarts += again
        child.state, child.since_s = "running", self._clock()
        self._on_event(Event(child.command.name, f"{'restarted' if again else 'started'}, pid {child.pid}"))

    def _bury(self, child: Child, exit_code: int) -> None:
        ran_s = self._clock() - child.since_s
        child.exit_code, child.since_s = exit_code, self._clock()
        assert child.process is not None
        _kill_group(child.process.pid)
        how = f"exit code {exit_code}" if exit_code >= 0 else f"killed by {signal.Signals(-exit_code).name}"
        if exit_code == EXIT_BAD_INPUT:
            child.state = "refused"
            self._on_event(Event(child.command.name, f"refused its input: {child.last_line()}", bad=True))
        elif not child.command.restarted:
            child.state = "ended"
            self._on_event(Event(child.command.name, f"ended, {how}", bad=exit_code != 0))
        else:
            doubled_s = 2 * child.delay_s if child.delay_s else FIRST_DELAY_S
            child.delay_s = FIRST_DELAY_S if ran_s > STEADY_AFTER_S else min(doubled_s, LONGEST_DELAY_S)
            child.state = "waiting"
            text = f"died ({how}); starting again in {child.delay_s:g} s; last line: {child.last_line()}"
            self._on_event(Event(child.command.name, text, bad=True))


def _spawn(command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start in a session of its own: an interrupt typed in the terminal then reaches the supervisor alone.

    The kernel is asked to kill the process when the supervisor dies. Had it died before that was asked, the process
    would have another parent by then, and does not start.
    """
    if_still_ours = ["sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *if_still_ours, *command.arguments],
        env=os.environ | dict(command.environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _kill_group(pid: int) -> None:
    """Kill what a process of ours left behind."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
