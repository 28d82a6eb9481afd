"""A robot's stack without drivers, fed by a bag: ``… replay.launch.py robot:=amr bag:=drive.mcap [rate:=1.0]``."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration

from perception_platform.robot.load import load_robot
from perception_platform.robot.pace import FASTEST_RATE, SLOWEST_RATE
from perception_platform.robot.stack import NodeSpec
from perception_platform.ros.launching import launch_node, value_of


def player(context: LaunchContext) -> list[object]:
    """The bag player; the whole launch ends with it."""
    value = value_of(context)
    parameters = {"robot": value("robot"), "bag": value("bag"), "rate": float(value("rate"))}
    spec = NodeSpec("bag_player", "bag_player", "drivers", "robot", parameters)
    node = launch_node(spec, load_robot(value("robot")).discovery, restart=False)
    at_the_end = OnProcessExit(target_action=node, on_exit=[Shutdown(reason="the bag has ended")])
    return [node, RegisterEventHandler(at_the_end)]


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    values = {"robot": LaunchConfiguration("robot"), "use_sim_time": "true", "together": "perception,safety"}
    here = Path(__file__).parent
    parts = [
        IncludeLaunchDescription(str(here / f"{name}.launch.py"), launch_arguments=values.items())
        for name in ("perception", "safety")
    ]
    own = [
        DeclareLaunchArgument("robot", description="name of a robot file, or a path to one"),
        DeclareLaunchArgument("bag", description="recording to play"),
        DeclareLaunchArgument(
            "rate", default_value="1.0", description=f"speed of playing, {SLOWEST_RATE} to {FASTEST_RATE}"
        ),
    ]
    return LaunchDescription([*own, *parts, OpaqueFunction(function=player)])
