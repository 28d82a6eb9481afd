"""What in a machine's set-up makes the middleware lose large messages, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from perception_platform.robot.environment import ALLOCATOR, PROFILE, RANGE

SHARED_MEMORY = Path("/dev/shm")
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
RANGES = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")
DEFAULT_SEGMENT_BYTES = 512 * 1024  # Fast DDS's own
SEGMENT_OVERHEAD = 1.1  # bookkeeping beside the messages
MESSAGES_A_SEGMENT = 4  # at least: while one is read, others are written


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the set-up.

    Attributes:
        cause: what it is about.
        found: what was found, and what it leads to.
        remedy: what to do.
        loses_frames: whether frames are lost by it; otherwise they are late, or nodes miss each other.
    """

    cause: str
    found: str
    remedy: str
    loses_frames: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the kernel says what it has; other paths in tests."""

    shared_memory: Path = SHARED_MEMORY
    receive_buffer: Path = RECEIVE_BUFFER


def setup_problems(
    environment: Mapping[str, str],
    discovery: str,
    largest_bytes: int,
    processes: int,
    machine: Machine | None = None,
) -> list[Problem]:
    """What is wrong with the set-up of nodes that start with an environment.

    Args:
        environment: the variables of the nodes.
        discovery: as in the robot file.
        largest_bytes: the largest message.
        processes: how many processes with nodes run on this machine.
        machine: where to look.
    """
    machine = machine or Machine()
    middleware = environment.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    problems = [
        *_discovery_problems(environment, discovery),
        *_allocator_problems(environment, largest_bytes),
    ]
    if not middleware.startswith("rmw_fastrtps"):
        found = f"{middleware} does not read the Fast DDS profile"
        remedy = "unset RMW_IMPLEMENTATION, or give that middleware shared memory and buffers of its own"
        return [Problem("RMW_IMPLEMENTATION", found, remedy, loses_frames=False), *problems]
    profile = _Profile(DEFAULT_SEGMENT_BYTES, 0)
    try:
        profile = _read_profile(environment.get(PROFILE, ""))
    except _UnusableError as error:
        remedy = f"unset {PROFILE}: nodes then get the platform's own"
        problems.append(Problem(PROFILE, f"{error}: Fast DDS's own shared memory of 512 KiB is used", remedy))
    else:
        problems += _segment_problems(profile, largest_bytes)
    problems += _memory_problems(profile, processes, machine.shared_memory)
    if environment.get(RANGE, "").upper() != "LOCALHOST":
        problems += _network_problems(profile, largest_bytes, machine.receive_buffer)
    return problems


@dataclass(frozen=True, slots=True)
class _Profile:
    """What matters of a Fast DDS profile, in bytes; a receive buffer of 0 is the kernel's own choice."""

    segment_bytes: int
    receive_buffer_bytes: int


class _UnusableError(Exception):
    """Why a profile cannot be used."""


def _read_profile(name: str) -> _Profile:
    if not name:
        raise _UnusableError("no profile is set")
    try:
        root = ElementTree.fromstring(Path(name).read_bytes())
    except OSError as error:
        raise _UnusableError(f"{name}: {error.strerror}") from error
    except ElementTree.ParseError as error:
        raise _UnusableError(f"{name}: not XML: {error}") from error
    segments = [
        _number(transport, "segment_size", DEFAULT_SEGMENT_BYTES)
        for transport in root.iterfind(".//{*}transport_descriptor")
        if transport.findtext("{*}type") == "SHM"
    ]
    if not segments:
        raise _UnusableError(f"{name}: describes no shared memory (type SHM)")
    return _Profile(max(segments), _number(root, "receiveBufferSize", 0))


def _number(element: ElementTree.Element, tag: str, default: int) -> int:
    text = element.findtext(f".//{{*}}{tag}") or str(default)
    try:
        return int(text)
    except ValueError as error:
        raise _UnusableError(f"{tag} is {text!r}, not a number") from error


def _segment_problems(profile: _Profile, largest_bytes: int) -> Iterator[Problem]:
    needed = MESSAGES_A_SEGMENT * largest_bytes
    if profile.segment_bytes < needed:
        found = f"segment_size is {_mb(profile.segment_bytes)}, the largest message {_mb(largest_bytes)}"
        yield Problem(
            PROFILE, found, f"make segment_size {needed} or more in the profile, or unset {PROFILE}"
        )


def _memory_problems(profile: _Profile, processes: int, folder: Path) -> Iterator[Problem]:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        found = "missing or not writable: everything goes over UDP"
        yield Problem(str(folder), found, f"mount it: mount -t tmpfs -o size=2g tmpfs {folder}")
        return
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    needed = round(processes * profile.segment_bytes * SEGMENT_OVERHEAD)
    if free < needed:
        left = sum(path.stat().st_size for path in folder.glob("fastrtps_*"))
        found = (
            f"{_mb(free)} free, {processes} processes take {_mb(needed)}; Fast DDS holds {_mb(left)} there"
        )
        remedy = (
            f"make it larger (docker run --shm-size=2g; mount -o remount,size=2g {folder}); "
            f"when no node runs, remove what killed ones left: rm {folder}/*fastrtps_*"
        )
        yield Problem(str(folder), found, remedy)


def _network_problems(profile: _Profile, largest_bytes: int, limit_file: Path) -> Iterator[Problem]:
    try:
        limit = int(limit_file.read_text())
    except (OSError, ValueError):
        return  # not Linux, or a container that hides it
    wanted = max(profile.receive_buffer_bytes, largest_bytes)
    if limit < largest_bytes:
        found = f"{_mb(limit)}: listeners on the network lose messages of {_mb(largest_bytes)}, which come in one burst"
        remedy = (
            f"on every machine that listens: sudo sysctl -w net.core.rmem_max={wanted}; "
            "a file in /etc/sysctl.d keeps it"
        )
        yield Problem("net.core.rmem_max", found, remedy)


def _allocator_problems(environment: Mapping[str, str], largest_bytes: int) -> Iterator[Problem]:
    def enough(value: str) -> bool:
        return value.isdigit() and int(value) > largest_bytes

    lacking = [name for name in ALLOCATOR if not enough(environment.get(name, ""))]
    if lacking:
        found = "memory of each large message is fetched from the kernel anew, which multiplies latency"
        remedy = "export " + " ".join(f"{name}={ALLOCATOR[name][0]}" for name in lacking)
        yield Problem(", ".join(lacking), found, remedy, loses_frames=False)


def _discovery_problems(environment: Mapping[str, str], discovery: str) -> Iterator[Problem]:
    value, wanted = environment.get(RANGE, ""), discovery.upper()
    if value.upper() not in RANGES:
        yield Problem(RANGE, f"{value!r} is none of {', '.join(RANGES)}", f"export {RANGE}={wanted}")
    elif value.upper() == "OFF":
        yield Problem(RANGE, "OFF: nodes do not find each other", f"export {RANGE}={wanted}")
    elif value.upper() == "LOCALHOST" and wanted != "LOCALHOST":
        found = f"{value}, but the robot file says {discovery}: nodes on other machines are not found"
        yield Problem(RANGE, found, f"export {RANGE}={wanted}", loses_frames=False)
    elif value.upper() != wanted:
        found = f"{value}, but the robot file says {discovery}: the robot hears and tells its whole network"
        yield Problem(RANGE, found, f"unset {RANGE}, or set discovery in the robot file", loses_frames=False)


def _mb(count: int) -> str:
    return f"{count / 1e6:.3g} MB"
