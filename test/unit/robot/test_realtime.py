"""What Linux is asked for is in force, or it is said why not. Each in a process of its own: nothing of it wears off."""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from perception_platform.robot.realtime import (
    Applied,
    GcClock,
    apply,
    as_diagnostics,
    name_thread,
)
from perception_platform.robot.resources import Realtime

pytestmark = pytest.mark.slow

PREAMBLE = """
import gc, os, resource, threading
from contextlib import suppress
from pathlib import Path
from perception_platform.robot.realtime import apply
from perception_platform.robot.resources import Realtime

def without_privileges():
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    with suppress(PermissionError):  # root without the right to be someone else has no other rights either
        if os.getuid() == 0:
            os.setuid(65534)

def another_thread():
    begun, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), leave.wait(30)), daemon=True)
    thread.start()
    begun.wait(30)
    return thread.native_id

def said(applied):
    return [(one.setting, one.wanted, one.ok, one.detail) for one in applied]
"""


def in_a_process(code: str) -> Any:
    """What the code leaves in ``result``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{PREAMBLE}\n{code}\nprint(repr(result))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def test_all_threads_of_the_process_move_to_the_cores_and_later_ones_follow() -> None:
    cpu = max(os.sched_getaffinity(0))
    before, after, said = in_a_process(f"""
before = another_thread()
applied = apply(Realtime(cpus=[{cpu}]))
after = another_thread()
result = os.sched_getaffinity(before), os.sched_getaffinity(after), said(applied)
""")
    assert before == after == {cpu}
    assert said[0] == ("cpus", str(cpu), True, "2 threads")


def test_a_core_that_is_not_there_is_reported_even_where_another_is() -> None:
    cpu = min(os.sched_getaffinity(0))
    none, part = in_a_process(f"""
result = said(apply(Realtime(cpus=[8000]))), said(apply(Realtime(cpus=[8000, {cpu}])))
""")
    assert none[0][:3] == ("cpus", "8000", False)
    assert "Invalid argument" in none[0][3]
    assert part[0][:3] == ("cpus", f"{cpu}, 8000", False)
    assert part[0][3].startswith("there is no core 8000 for it")


def test_a_thread_that_has_ended_meanwhile_is_no_refusal() -> None:
    cpu = min(os.sched_getaffinity(0))
    said = in_a_process(f"""
ended = os.fork()
if ended == 0:
    os._exit(0)
os.waitpid(ended, 0)
listed = Path.iterdir
Path.iterdir = lambda path: [path / str(ended), *listed(path)]
result = said(apply(Realtime(cpus=[{cpu}])))
""")
    assert said[0][:3] == ("cpus", str(cpu), True)


def test_without_the_right_priority_and_memory_are_refused_with_what_would_grant_them() -> None:
    policy, said = in_a_process("""
without_privileges()
applied = apply(Realtime(fifo_priority=50, lock_memory=True))
result = os.sched_getscheduler(0), said(applied)
""")
    assert policy == os.SCHED_OTHER
    priority, _, memory = said
    assert priority[:3] == ("fifo_priority", "50", False)
    assert "RLIMIT_RTPRIO is 0" in priority[3]
    assert "CAP_SYS_NICE" in priority[3]
    assert memory[:3] == ("lock_memory", "true", False)
    assert "RLIMIT_MEMLOCK is 65536 bytes" in memory[3]
    assert "CAP_IPC_LOCK" in memory[3]


def test_what_is_said_of_priority_and_memory_is_so() -> None:
    policies, locked, said = in_a_process("""
other = another_thread()
applied = apply(Realtime(fifo_priority=7, lock_memory=True))
policies = [(os.sched_getscheduler(t), os.sched_getparam(t).sched_priority) for t in (0, other, another_thread())]
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
result = policies, int(status["VmLck"].split()[0]) > 0, said(applied)
""")
    priority, _, memory = said
    assert policies == [(os.SCHED_FIFO, 7) if priority[2] else (os.SCHED_OTHER, 0)] * 3
    assert locked == memory[2]


def test_frozen_objects_are_left_alone_and_garbage_is_not_kept() -> None:
    frozen, still_there = in_a_process("""
import weakref

class Cycle:
    pass

cycle = Cycle()
cycle.itself = cycle
gone = weakref.ref(cycle)
del cycle
apply(Realtime())
result = gc.get_freeze_count(), gone() is not None
""")
    assert frozen > 1000
    assert not still_there


def test_nothing_is_asked_for_where_nothing_is_wanted() -> None:
    assert apply(Realtime(gc="automatic")) == []


def test_diagnostics_say_what_was_refused() -> None:
    lines = as_diagnostics(
        [Applied("cpus", "1", True, "3 threads"), Applied("fifo_priority", "50", False, "RLIMIT_RTPRIO is 0")]
    )
    assert lines == {
        "realtime cpus": "1: 3 threads",
        "realtime fifo_priority": "50: refused: RLIMIT_RTPRIO is 0",
    }


@pytest.fixture
def gc_clock() -> Iterator[GcClock]:
    clock = GcClock()
    yield clock
    gc.callbacks.remove(clock._on_phase)


def test_the_clock_of_collections_counts_them_and_nothing_else(gc_clock: GcClock) -> None:
    before_ns = gc_clock.total_ns()
    began_ns = time.perf_counter_ns()
    gc.collect()
    took_ns = time.perf_counter_ns() - began_ns
    counted_ns = gc_clock.total_ns() - before_ns
    assert 0.1 * took_ns < counted_ns <= took_ns
    gc.disable()
    try:
        before_ns = gc_clock.total_ns()
        sum(range(100_000))
        assert gc_clock.total_ns() == before_ns
    finally:
        gc.enable()


def test_a_thread_that_shares_its_core_waits_for_it() -> None:
    delay_ns, took_ns = in_a_process(f"""
import time
from perception_platform.robot.realtime import run_delay_ns
apply(Realtime(cpus=[{min(os.sched_getaffinity(0))}]))
rival = os.fork()
if rival == 0:
    while True:
        pass
try:
    began_ns, before_ns = time.monotonic_ns(), run_delay_ns()
    while time.monotonic_ns() - began_ns < 200_000_000:
        pass
    result = run_delay_ns() - before_ns, time.monotonic_ns() - began_ns
finally:
    os.kill(rival, 9)
    os.waitpid(rival, 0)
""")
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("this kernel does not tell how long a thread waited for a core")
    assert 0.1 * took_ns < delay_ns < took_ns


def test_a_thread_is_named_for_the_system_too() -> None:
    names = []

    def work() -> None:
        name_thread("camera_front_driver")
        names.append(Path("/proc/thread-self/comm").read_text().strip())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert names == ["camera_front_dr"]


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"cpus": []}, "cpus"),
        ({"cpus": [-1]}, "cpus"),
        ({"cpus": [10**30]}, "cpus"),
        ({"fifo_priority": 0}, "fifo_priority"),
        ({"fifo_priority": 100}, "fifo_priority"),
        ({"gc": "never"}, "gc"),
        ({"nice": -20}, "nice"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        Realtime.model_validate(settings)
