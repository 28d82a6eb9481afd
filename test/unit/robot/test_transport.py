"""The causes of lost frames that can be named: each is found where it is, and not where it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from perception_platform.robot import environment
from perception_platform.robot.environment import ALLOCATOR, PROFILE, process_environment
from perception_platform.robot.transport import RANGE, Machine, Problem, setup_problems

IMAGE_BYTES = 1280 * 720 * 3


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that grants enough."""
    limit = tmp_path / "rmem_max"
    limit.write_text("16777216\n")
    return Machine(Path("/dev/shm"), limit)


def problems(
    machine: Machine, discovery: str = "localhost", processes: int = 1, **changed: str
) -> list[Problem]:
    variables = process_environment(discovery) | changed
    return setup_problems(variables, discovery, IMAGE_BYTES, processes, machine)


def causes(found: list[Problem]) -> list[str]:
    assert all(problem.found and problem.remedy for problem in found)
    return [problem.cause for problem in found]


def test_the_platform_s_own_environment_has_none(machine: Machine) -> None:
    assert problems(machine) == []
    assert problems(machine, "subnet") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<dds", "not XML"),
        ("<dds/>", "no shared memory"),
        (
            "<dds><transport_descriptor><type>SHM</type><segment_size>many</segment_size></transport_descriptor></dds>",
            "not a number",
        ),
        (
            "<dds><transport_descriptor><type>SHM</type><segment_size>999999</segment_size></transport_descriptor></dds>",
            "segment_size is 1 MB",
        ),
    ],
)
def test_a_profile_that_cannot_serve_is_named(machine: Machine, tmp_path: Path, text: str, said: str) -> None:
    profile = tmp_path / "profile.xml"
    profile.write_text(text)
    (problem,) = problems(machine, **{PROFILE: str(profile)})
    assert problem.cause == PROFILE
    assert said in problem.found
    assert problem.loses_frames


@pytest.mark.parametrize("name", ["", "/nowhere/profile.xml"])
def test_a_profile_that_is_not_there_is_named(machine: Machine, name: str) -> None:
    assert causes(problems(machine, **{PROFILE: name})) == [PROFILE]


def test_shared_memory_that_is_too_small_or_missing_is_named(machine: Machine, tmp_path: Path) -> None:
    assert causes(problems(machine, processes=10**6)) == ["/dev/shm"]
    nowhere = tmp_path / "shm"
    assert causes(problems(Machine(nowhere, machine.receive_buffer))) == [str(nowhere)]


def test_small_socket_buffers_matter_to_listeners_on_the_network_alone(machine: Machine) -> None:
    machine.receive_buffer.write_text("212992\n")
    assert problems(machine) == []
    (problem,) = problems(machine, "subnet")
    assert problem.cause == "net.core.rmem_max"
    assert "rmem_max=8388608" in problem.remedy  # what the platform's profile asks the kernel for


def test_another_middleware_reads_no_profile(machine: Machine) -> None:
    assert causes(problems(machine, RMW_IMPLEMENTATION="rmw_cyclonedds_cpp", **{PROFILE: ""})) == [
        "RMW_IMPLEMENTATION"
    ]


@pytest.mark.parametrize("value", ["", "off", "lots", str(IMAGE_BYTES)])
def test_an_allocator_that_gives_memory_back_is_named(machine: Machine, value: str) -> None:
    (problem,) = problems(machine, **dict.fromkeys(ALLOCATOR, value))
    assert problem.cause == ", ".join(ALLOCATOR)
    assert not problem.loses_frames


@pytest.mark.parametrize(
    ("value", "discovery", "loses"),
    [
        ("", "localhost", True),
        ("HERE", "localhost", True),
        ("OFF", "localhost", True),
        ("LOCALHOST", "subnet", False),
        ("SUBNET", "localhost", False),
    ],
)
def test_a_discovery_range_that_is_not_the_robot_s_is_named(
    machine: Machine, value: str, discovery: str, loses: bool
) -> None:
    (problem,) = problems(machine, discovery, **{RANGE: value})
    assert problem.cause == RANGE
    assert problem.loses_frames == loses


ADOPT = """
import os, resource, sys
for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
    os.environ.pop(name, None)
from perception_platform.robot.environment import adopt_environment
if sys.argv[1] == "adopted":
    adopt_environment()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    block = bytes(64 * 2**20)
    del block
before = faults()
for _ in range(5):
    block = bytearray(b"x") * (64 * 2**20)
    del block
print(faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_process_started_without_keeps_its_memory_once_it_adopts_the_environment() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", ADOPT, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("as started") > 10 * max(1, faults("adopted"))


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process that keeps its allocator as it is."""
    made: dict[str, str] = {}
    monkeypatch.setattr(environment.os, "environ", made)
    monkeypatch.setattr(environment.ctypes, "CDLL", lambda _name: object())
    return made


@pytest.mark.parametrize("transport", ["shared_memory", "network"])
def test_what_the_caller_set_wins(variables: dict[str, str], transport: environment.Transport) -> None:
    variables[PROFILE] = "/mine.xml"
    environment.adopt_environment("subnet", transport)
    del variables["PYTEST_CURRENT_TEST"]
    assert variables == process_environment("subnet") | {PROFILE: "/mine.xml"}


@pytest.mark.parametrize("discovery", ["localhost", "subnet"])
@pytest.mark.parametrize("started_by_the_platform", [True, False])
def test_the_gate_shares_no_memory_even_where_all_processes_were_given_some(
    variables: dict[str, str], started_by_the_platform: bool, discovery: str
) -> None:
    if started_by_the_platform:
        variables |= process_environment(discovery)
    environment.adopt_environment(discovery, transport="network")
    profile = ElementTree.parse(variables[PROFILE])
    assert [found.text for found in profile.iterfind(".//{*}type")] == ["UDPv4"]
    confined = [found.text for found in profile.iterfind(".//{*}interfaceWhiteList/{*}address")]
    assert confined == (["127.0.0.1"] if discovery == "localhost" else [])
    assert variables[RANGE] != "LOCALHOST", "ROS would add shared memory"
