"""What a process asks of Linux to be on time, what Linux says to it, and how late it was all the same."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perception_platform.robot.resources import Realtime

_PR_SET_NAME = 15
_THREAD_NAME_BYTES = 15
# Locked as it is touched: to fault in all that is mapped at once triples the memory of a process with numba and OpenCV.
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23
_KIB_PER_MIB = 1024

_GRANT_PRIORITY = (
    "grant CAP_SYS_NICE, or a limit that high: LimitRTPRIO= of systemd, rtprio in /etc/security/limits.conf, "
    "--ulimit rtprio= of docker"
)
_GRANT_MEMORY = (
    "grant CAP_IPC_LOCK, or no limit: LimitMEMLOCK=infinity of systemd, memlock in /etc/security/limits.conf, "
    "--ulimit memlock=-1 of docker"
)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one setting.

    Attributes:
        setting: its name in the robot file.
        wanted: its value.
        ok: whether it is in force.
        detail: what was done, or why it was refused and what would allow it.
    """

    setting: str
    wanted: str
    ok: bool
    detail: str


def apply(settings: Realtime) -> list[Applied]:
    """Ask Linux for what the robot file wants of this process; call it when all is set up.

    Cores and priority are for all threads that there are; those that they start later inherit both. Never raises:
    what is refused is reported.
    """
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    applied = []
    if settings.cpus is not None:
        applied.append(_use_cpus(sorted(set(settings.cpus)), threads))
    if settings.fifo_priority is not None:
        applied.append(_use_fifo(settings.fifo_priority, threads))
    if settings.gc == "freeze":
        applied.append(_freeze_garbage())
    if settings.lock_memory:
        applied.append(_lock_memory())
    return applied


def as_diagnostics(applied: Iterable[Applied]) -> dict[str, str]:
    """Lines for ``/diagnostics``."""
    return {
        f"realtime {one.setting}": f"{one.wanted}: {'' if one.ok else 'refused: '}{one.detail}"
        for one in applied
    }


class GcClock:
    """Adds up the time for which this process has collected garbage, all its threads standing still; one a process."""

    def __init__(self) -> None:
        self._total_ns = 0
        self._began_ns = 0
        gc.callbacks.append(self._on_phase)

    def total_ns(self) -> int:
        """Time so far, ns."""
        return self._total_ns

    def _on_phase(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = time.perf_counter_ns()
        elif self._began_ns:  # else it was made in the middle of one
            self._total_ns += time.perf_counter_ns() - self._began_ns
            self._began_ns = 0


def run_delay_ns() -> int:
    """How long the calling thread has been ready to run without a core so far, ns; 0 where Linux does not tell.

    The second figure of ``/proc/thread-self/schedstat`` (Documentation/scheduler/sched-stats.rst of the kernel).
    """
    try:  # for every frame, hence not by Path, which takes twice as long
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        return int(os.read(file, 100).split()[1])
    finally:
        os.close(file)


def name_thread(name: str) -> None:
    """Name the calling thread for ``top -H``, ``perf`` and debuggers; Linux keeps the first 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:_THREAD_NAME_BYTES], 0, 0, 0)


def _for_each(threads: list[int], ask: Callable[[int], None]) -> None:
    for thread_id in threads:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            ask(thread_id)


def _use_cpus(cpus: list[int], threads: list[int]) -> Applied:
    wanted = ", ".join(map(str, cpus))
    got: set[int] = set()

    def pin(thread_id: int) -> None:
        os.sched_setaffinity(thread_id, cpus)
        got.update(os.sched_getaffinity(thread_id))

    try:
        _for_each(threads, pin)
    except OSError as error:
        return Applied("cpus", wanted, False, f"{error}; {_cores_of_machine()}")
    missing = ", ".join(str(cpu) for cpu in cpus if cpu not in got)
    if missing:  # Linux takes what there is and says nothing
        return Applied("cpus", wanted, False, f"there is no core {missing} for it; {_cores_of_machine()}")
    return Applied("cpus", wanted, True, f"{len(threads)} threads")


def _cores_of_machine() -> str:
    return f"the machine has {os.cpu_count()} cores, counted from 0; a container may have fewer"


def _use_fifo(priority: int, threads: list[int]) -> Applied:
    def raise_it(thread_id: int) -> None:
        os.sched_setscheduler(thread_id, os.SCHED_FIFO, os.sched_param(priority))

    try:
        _for_each(threads, raise_it)
    except OSError as error:
        return Applied("fifo_priority", str(priority), False, _why_no_priority(error))
    return Applied("fifo_priority", str(priority), True, f"{len(threads)} threads")


def _why_no_priority(error: OSError) -> str:
    if error.errno == errno.EPERM and not _capable(_CAP_SYS_NICE):
        limit, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
        return f"RLIMIT_RTPRIO is {limit}; {_GRANT_PRIORITY}"
    return f"{error}; the process's control group may have no real-time share (cpu.rt_runtime_us)"


def _freeze_garbage() -> Applied:
    gc.collect()  # what is garbage already would be kept for ever
    gc.freeze()
    return Applied("gc", "freeze", True, f"{gc.get_freeze_count()} objects set apart")


def _lock_memory() -> Applied:
    def result(ok: bool, detail: str) -> Applied:
        return Applied("lock_memory", "true", ok, detail)

    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if not _capable(_CAP_IPC_LOCK):
        if most != resource.RLIM_INFINITY:  # once all is locked, an allocation beyond the limit fails
            return result(False, f"RLIMIT_MEMLOCK is {most} bytes; {_GRANT_MEMORY}")
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return result(False, f"{os.strerror(ctypes.get_errno())}; {_GRANT_MEMORY}")
    return result(True, f"{int(_status('VmRSS').split()[0]) // _KIB_PER_MIB} MiB by now")


def _capable(capability: int) -> bool:
    """Whether the calling thread has a capability, by its number in capabilities(7)."""
    return bool(int(_status("CapEff"), 16) >> capability & 1)


def _status(field: str) -> str:
    """A field of ``/proc/self/status``."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    return "0"
