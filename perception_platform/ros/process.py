"""The process around nodes: it starts them, spins, asks the system for what the robot file wants, and ends."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException

from perception_platform.core.errors import InputError
from perception_platform.robot.environment import Transport, adopt_environment
from perception_platform.robot.realtime import apply
from perception_platform.ros.node import PlatformNode

try:  # takes half the processor time of the other
    from rclpy.experimental.events_executor import EventsExecutor as Executor
except ImportError:  # early releases of Jazzy
    from rclpy.executors import SingleThreadedExecutor as Executor

# A stage that becomes ready waits at most this long for a thread that computes in Python, instead of 5 ms.
SWITCH_INTERVAL_S = 0.0005
LISTEN_S = 0.2
EXIT_CRASH = 1
EXIT_BAD_INPUT = 2


def run(
    make_nodes: Callable[[], PlatformNode | list[PlatformNode]], transport: Transport = "shared_memory"
) -> int:
    """Run one node, or several in this process, until told to end.

    Args:
        make_nodes: makes them, once ROS is there.
        transport: how this process talks to others.

    Returns:
        The exit code: 0, 1 after a crash, 2 after bad input.
    """
    adopt_environment(transport=transport)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    rclpy.init()
    nodes: list[PlatformNode] = []
    executor = Executor()
    try:
        made = make_nodes()
        nodes += made if isinstance(made, list) else [made]
        for node in nodes:
            if node.get_parameter("autostart").value:
                node.start()
            executor.add_node(node)
        _apply_realtime(nodes)
        # Its own spin() does not hear of a shutdown, and a shutdown from another thread may lock up with it.
        while rclpy.ok() and not any(node.wants_end for node in nodes):
            executor.spin_once(timeout_sec=LISTEN_S)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except Exception as error:
        told_to_end = isinstance(error, ExternalShutdownException) or not rclpy.ok()
        if not told_to_end:
            raise
    except KeyboardInterrupt:
        pass  # told to end
    finally:
        executor.shutdown()
        for node in reversed(nodes):
            node.close()
        rclpy.try_shutdown()
    return EXIT_CRASH if any(node.crash for node in nodes) else 0


def _apply_realtime(nodes: list[PlatformNode]) -> None:
    """Ask the system for what the robot file wants of this process; nodes of one process want the same."""
    node = nodes[0]
    placed = [p for p in node.robot.nodes if p.node == node.executable] if node.is_set_up else []
    node.realtime = [one for placement in placed for one in apply(placement.realtime)]
    for one in node.realtime:
        log = node.get_logger().info if one.ok else node.get_logger().warning
        log(f"realtime {one.setting} {one.wanted}: {one.detail}")
