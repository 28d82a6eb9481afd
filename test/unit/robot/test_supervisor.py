from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from perception_platform.core.errors import InputError
from perception_platform.robot import supervisor as supervisor_module
from perception_platform.robot.supervisor import Command, Event, Supervisor

WITHIN_S = 10.0


def command(name: str, script: str, restarted: bool = True) -> Command:
    return Command(name, ["sh", "-c", script], restarted=restarted)


def until(condition: Callable[[], object], *supervisors: Supervisor) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        for supervisor in supervisors:
            supervisor.poll()
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
def test_a_process_that_is_killed_is_reported_and_started_again(tmp_path: Path) -> None:
    events: list[Event] = []
    with Supervisor([command("worker", "sleep 60")], tmp_path, events.append) as supervisor:
        first = supervisor.child("worker").pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.child("worker").pid not in (None, first), supervisor)
        assert supervisor.child("worker").restarts == 1
    assert [e.bad for e in events] == [False, True, False]
    assert "killed by SIGKILL" in events[1].text


class FakeClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_delay_doubles_up_to_a_bound_and_starts_over_after_a_steady_run(tmp_path: Path) -> None:
    clock = FakeClock()
    with Supervisor([command("worker", "exit 3")], tmp_path, clock=clock) as supervisor:
        child = supervisor.child("worker")
        delays = []
        for _ in range(6):
            until(lambda: child.state == "waiting", supervisor)
            delays.append(child.delay_s)
            clock.now_s += child.delay_s - 0.01
            supervisor.poll()
            assert child.state == "waiting"  # not a moment too soon
            clock.now_s += 0.02
            supervisor.poll()
            assert child.state == "running"
        assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
        clock.now_s += 60.0
        until(lambda: child.state == "waiting", supervisor)
        assert child.delay_s == 0.5


def test_bad_input_is_reported_with_its_last_line_and_not_tried_again(tmp_path: Path) -> None:
    events: list[Event] = []
    script = "echo 'error: robot.yaml: no such robot file'; exit 2"
    with Supervisor([command("node", script)], tmp_path, events.append) as supervisor:
        until(lambda: supervisor.child("node").state == "refused", supervisor)
        supervisor.poll()
        assert supervisor.child("node").restarts == 0
    assert events[-1].bad
    assert "no such robot file" in events[-1].text


def test_a_process_that_may_end_is_not_started_again(tmp_path: Path) -> None:
    with Supervisor([command("player", "true", restarted=False)], tmp_path) as supervisor:
        until(lambda: supervisor.child("player").state == "ended", supervisor)
        assert supervisor.child("player").exit_code == 0


def test_stopping_ends_a_stubborn_process_and_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "END_WITHIN_S", 0.2)
    script = "trap '' TERM; sleep 60 & echo $!; while true; do sleep 1; done"
    with Supervisor([command("stubborn", script)], tmp_path) as supervisor:
        child = supervisor.child("stubborn")
        until(child.last_line)
        pids = [child.pid, int(child.last_line())]
        assert all(alive(p) for p in pids if p)
    until(lambda: not any(alive(p) for p in pids if p))


@pytest.mark.slow
@pytest.mark.parametrize("already_runs", [True, False])
def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path, already_runs: bool) -> None:
    script = f"""
import time
from pathlib import Path
from perception_platform.robot.supervisor import Command, Supervisor
with Supervisor([Command("worker", ["sleep", "60"])], Path({str(tmp_path)!r})) as supervisor:
    print(supervisor.child("worker").pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        if already_runs:
            until(lambda: Path(f"/proc/{worker}/comm").read_text() == "sleep\n")
    finally:
        parent.kill()
        parent.communicate()
    until(lambda: not alive(worker))


def test_without_setpriv_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="setpriv: not found; install util-linux"):
        Supervisor([], tmp_path)


def test_an_interrupt_in_the_terminal_does_not_reach_the_processes(tmp_path: Path) -> None:
    with Supervisor([command("worker", "sleep 60")], tmp_path) as supervisor:
        pid = supervisor.child("worker").pid
        assert pid is not None
        assert os.getsid(pid) != os.getsid(0)
