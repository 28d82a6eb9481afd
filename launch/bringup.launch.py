"""A whole robot: ``ros2 launch perception_platform bringup.launch.py robot:=amr``."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration

from perception_platform.ros.launching import arguments


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    handed_on = arguments()
    values = [(argument.name, LaunchConfiguration(argument.name)) for argument in handed_on]
    here = Path(__file__).parent
    parts = [
        IncludeLaunchDescription(str(here / f"{name}.launch.py"), launch_arguments=values)
        for name in ("drivers", "perception", "safety", "telemetry")
    ]
    return LaunchDescription([*handed_on, *parts])
