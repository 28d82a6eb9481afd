"""Environment of every process that runs nodes."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from perception_platform.robot.load import share_dir

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
# glibc gives large blocks back to the kernel at once and faults them in again for the next cloud: variables that stop
# it, read when a process starts, and what mallopt(3) calls the same in a process that runs.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": (2**30, -3), "MALLOC_TRIM_THRESHOLD_": (2**31 - 1, -1)}


def own_domain() -> str:
    """A DDS domain (ROS_DOMAIN_ID) that other users of this machine are not likely to be in."""
    return str(1 + os.getpid() % 100)


def process_environment(discovery: str = "localhost") -> dict[str, str]:
    """Variables for a process with nodes; those the caller's environment already has should win.

    Args:
        discovery: how far DDS looks for others, as in the robot file.
    """
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": discovery.upper(),
        PROFILE: str(share_dir() / "config" / "dds" / "shared_memory.xml"),
        **{name: str(value) for name, (value, _) in ALLOCATOR.items()},
    }


def adopt_environment(discovery: str = "localhost") -> None:
    """Give them to this process, which was started without: to be called before ROS and threads begin.

    Args:
        discovery: how far DDS looks for others, as in the robot file.
    """
    allocator_as_started = {name for name in ALLOCATOR if name in os.environ}
    for name, value in process_environment(discovery).items():
        os.environ.setdefault(name, value)
    for name, (threshold_bytes, option) in ALLOCATOR.items():
        if name not in allocator_as_started:
            with suppress(AttributeError):  # another C library has no such option, and no such need
                ctypes.CDLL(None).mallopt(option, threshold_bytes)
