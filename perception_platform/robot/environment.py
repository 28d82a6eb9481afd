"""Environment of every process that runs nodes."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import Literal

from perception_platform.robot.load import share_dir

# The network alone is for who must not be held up by a peer that is frozen.
Transport = Literal["shared_memory", "network"]
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
# glibc gives large blocks back to the kernel at once and faults them in again for the next cloud: variables that stop
# it, read when a process starts, and what mallopt(3) calls the same in a process that runs.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": (2**30, -3), "MALLOC_TRIM_THRESHOLD_": (2**31 - 1, -1)}


def own_domain() -> str:
    """A DDS domain (ROS_DOMAIN_ID) that other users of this machine are not likely to be in."""
    return str(1 + os.getpid() % 100)


def _share_no_memory() -> None:
    """Take the profile for the network; on this machine alone it also says so itself, since ROS would add memory."""
    on_this_machine = os.environ[RANGE].upper() == "LOCALHOST"
    os.environ[PROFILE] = _profile("network_localhost" if on_this_machine else "network")
    if on_this_machine:
        os.environ[RANGE] = "SYSTEM_DEFAULT"


def _profile(name: str) -> str:
    return str(share_dir() / "config" / "dds" / f"{name}.xml")


def process_environment(discovery: str = "localhost") -> dict[str, str]:
    """Variables for a process with nodes; those the caller's environment already has should win.

    Args:
        discovery: how far DDS looks for others, as in the robot file.
    """
    return {
        RANGE: discovery.upper(),
        PROFILE: _profile("shared_memory"),
        **{name: str(value) for name, (value, _) in ALLOCATOR.items()},
    }


def adopt_environment(discovery: str = "localhost", transport: Transport = "shared_memory") -> None:
    """Give them to this process, which was started without: to be called before ROS and threads begin.

    Args:
        discovery: how far DDS looks for others, as in the robot file.
        transport: what this process uses unless its environment names a profile that is not the platform's.
    """
    allocator_as_started = {name for name in ALLOCATOR if name in os.environ}
    wanted = process_environment(discovery)
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    if transport == "network" and os.environ[PROFILE] == wanted[PROFILE]:
        _share_no_memory()
    for name, (threshold_bytes, option) in ALLOCATOR.items():
        if name not in allocator_as_started:
            with suppress(AttributeError):  # another C library has no such option, and no such need
                ctypes.CDLL(None).mallopt(option, threshold_bytes)
