from __future__ import annotations

import importlib.util

import pytest

from perception_platform.core.errors import InputError
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot, robot_names
from perception_platform.robot.placement import Placement
from perception_platform.robot.stack import GROUPS, describe_stack, processes


@pytest.fixture(scope="module")
def amr() -> Robot:
    return load_robot("amr")


def split(robot: Robot) -> Robot:
    """The same robot with its drivers on another machine."""
    placements = [
        Placement(node=p.node, host="sensors" if p.node.endswith("driver") else "robot") for p in robot.nodes
    ]
    return robot.model_copy(update={"nodes": placements, "discovery": "subnet"})


def test_a_driver_runs_for_each_sensor_that_is_not_external(amr: Robot) -> None:
    drivers = describe_stack(amr, "amr", groups=["drivers"])
    assert [(d.executable, d.name, d.parameters["sensor"]) for d in drivers] == [
        ("lidar_driver", "lidar_top_driver", "lidar_top"),
        ("camera_driver", "camera_front_driver", "camera_front"),
    ]


@pytest.mark.parametrize("name", robot_names())
def test_every_node_has_a_module_a_group_and_a_name_of_its_own(name: str) -> None:
    specs = describe_stack(load_robot(name), name)
    assert len({s.name for s in specs}) == len(specs)
    assert {s.group for s in specs} | {"telemetry"} == set(GROUPS)
    assert all(importlib.util.find_spec(s.module) for s in specs)
    assert all(s.parameters["robot"] == name for s in specs)


def test_groups_and_hosts_select(amr: Robot) -> None:
    robot = split(amr)
    assert [s.name for s in describe_stack(robot, "amr", groups=["safety"])] == ["risk", "safety_gate"]
    on_sensors = describe_stack(robot, "amr", host="sensors")
    assert {s.group for s in on_sensors} == {"drivers"}
    assert len(describe_stack(robot, "amr", host="robot")) + len(on_sensors) == len(
        describe_stack(robot, "amr")
    )


def test_one_line_adds_telemetry(amr: Robot) -> None:
    robot = amr.model_copy(update={"nodes": [*amr.nodes, Placement(node="telemetry")]})
    (telemetry,) = describe_stack(robot, "amr", groups=["telemetry"])
    assert telemetry.module == "perception_platform.nodes.telemetry"


def test_an_unknown_host_is_an_error(amr: Robot) -> None:
    with pytest.raises(InputError, match=r"no node runs on 'elsewhere', only on robot, sensors"):
        describe_stack(split(amr), "amr", host="elsewhere")


def test_arguments_give_name_and_parameters(amr: Robot) -> None:
    (gate,) = [s for s in describe_stack(amr, "amr", sim_time=True) if s.name == "safety_gate"]
    assert gate.ros_arguments() == [
        *("--ros-args", "-r", "__node:=safety_gate"),
        *("-p", "robot:=amr", "-p", "use_sim_time:=true"),
    ]


def test_nodes_on_two_machines_need_the_network(amr: Robot) -> None:
    data = split(amr).model_dump() | {"discovery": "localhost"}
    with pytest.raises(ValueError, match="robot, sensors only find each other with 'subnet'"):
        Robot.model_validate(data)


def test_nodes_that_share_a_process_are_started_as_one_container(amr: Robot) -> None:
    started = processes(describe_stack(amr, "amr", sim_time=True))
    assert [(s.executable, s.name, s.group) for s in started] == [
        ("container", "chain", "perception"),
        ("safety_gate", "safety_gate", "safety"),
    ]
    assert started[0].parameters == {
        "robot": "amr",
        "use_sim_time": True,
        "nodes": "lidar_top_driver,camera_front_driver,perception,tracker,risk",
    }


def test_what_is_left_of_a_shared_process_runs_alone(amr: Robot) -> None:
    started = processes(describe_stack(amr, "amr", groups=["safety"]))
    assert [(s.executable, s.name) for s in started] == [("risk", "risk"), ("safety_gate", "safety_gate")]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"safety_gate": {"process": "chain"}}, "safety_gate needs a process of its own"),
        ({"tracker": {"host": "elsewhere"}}, "nodes of process 'chain' differ in host or realtime"),
        ({"risk": {"realtime": {"fifo_priority": 5}}}, "nodes of process 'chain' differ in host or realtime"),
    ],
)
def test_a_process_that_cannot_be_shared_is_refused(
    amr: Robot, changes: dict[str, dict[str, object]], problem: str
) -> None:
    nodes = [p.model_dump() | changes.get(p.node, {}) for p in amr.nodes]
    with pytest.raises(ValueError, match=problem):
        Robot.model_validate(amr.model_dump() | {"nodes": nodes, "discovery": "subnet"})
