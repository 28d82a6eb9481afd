"""Environment of every process that runs nodes."""

from __future__ import annotations

from perception_platform.robot.load import share_dir


def process_environment(discovery: str = "localhost") -> dict[str, str]:
    """Variables for a process with nodes; those the caller's environment already has should win.

    Args:
        discovery: how far DDS looks for others, as in the robot file.
    """
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": discovery.upper(),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(share_dir() / "config" / "dds" / "shared_memory.xml"),
        # glibc gives large blocks back to the kernel at once and faults them in again for the next cloud.
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**31),
    }
