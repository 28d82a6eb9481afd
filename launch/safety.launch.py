"""Risk stage and safety gate."""

from launch import LaunchDescription

from perception_platform.ros.launching import launch_group


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    return launch_group("safety")
