"""A whole robot: ``ros2 launch perception_platform bringup.launch.py robot:=amr``."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration

from perception_platform.robot.stack import GROUPS
from perception_platform.ros.launching import arguments


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    handed_on = [argument for argument in arguments() if argument.name != "together"]
    values = [(argument.name, LaunchConfiguration(argument.name)) for argument in handed_on]
    values.append(("together", ",".join(GROUPS)))
    here = Path(__file__).parent
    parts = [
        IncludeLaunchDescription(str(here / f"{name}.launch.py"), launch_arguments=values) for name in GROUPS
    ]
    return LaunchDescription([*handed_on, *parts])
