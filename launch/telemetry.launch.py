"""Metrics and traces for the machines that watch robots, where the robot file asks for them."""

from launch import LaunchDescription

from perception_platform.ros.launching import launch_group


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    return launch_group("telemetry")
