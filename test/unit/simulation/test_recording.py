"""A recording holds every sensor at its rate, and the same bytes each time."""

import collections
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perception_platform.bags.reader import read_messages
from perception_platform.messages.sensors import (
    camera_model_from_msg,
    cloud_from_msg,
    ego_from_odometry,
    scan_to_cloud,
)
from perception_platform.replay.truth import load_truth
from perception_platform.robot.load import load_robot
from perception_platform.simulation.recording import RecordingOptions, record
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.truth import windows
from perception_platform.simulation.vehicle import drive_along

ROSBAGS = Path(__file__).parents[3] / "rosbags"
SCRIPT = ROSBAGS / "make_recordings.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_recordings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_recordings"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_recordings"]


def short_scene(script):
    one = script.RECORDINGS["wall_approach"]
    robot = load_robot(one.robot)
    return robot, Scene(
        one.world(), drive_along(one.driver(), robot.drive, one.start, 0.4), script.START_NS, 7
    )


@pytest.fixture(scope="module")
def short_bag(script, tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "short.mcap"
    record(path, *short_scene(script), 0.4, RecordingOptions(lidar_columns=300))
    return path


def test_every_sensor_comes_at_its_rate(short_bag):
    messages = list(read_messages(short_bag))
    counts = collections.Counter(m.topic for m in messages)
    assert counts == {
        "/tf_static": 1, "/odom": 21, "/tf": 21, "/cmd_vel": 9, "/lidar_top/points": 4,
        "/scan_front/scan": 6, "/camera_front/image": 4, "/camera_front/camera_info": 4,
    }  # fmt: skip
    assert [m.log_ns for m in messages] == sorted(m.log_ns for m in messages)


def test_messages_say_what_the_scene_was(short_bag, script):
    robot, scene = short_scene(script)
    last = {m.topic: m.message for m in read_messages(short_bag)}
    cloud = cloud_from_msg(last["/lidar_top/points"], "lidar_top")
    assert cloud.t_ns == scene.stamp_ns(0.4)
    assert cloud.ring is not None
    assert cloud.offset_s is not None
    ego = ego_from_odometry(last["/odom"])
    assert ego.odom_from_base.translation_m[0] == pytest.approx(scene.trajectory.state_at(0.4).x_m, abs=1e-9)
    scan = scan_to_cloud(last["/scan_front/scan"], "scan_front")
    wall_x = 8.0 - scene.trajectory.state_at(0.4).x_m - robot.scans[0].mounting.xyz_m[0]
    ahead = np.abs(scan.xyz_m[:, 1]) < 1.0
    assert np.median(scan.xyz_m[ahead, 0]) == pytest.approx(wall_x, abs=0.01)
    camera = camera_model_from_msg(last["/camera_front/camera_info"], "camera_front")
    assert (camera.width_px, camera.height_px) == (320, 240)
    static = {t.child_frame_id: t.header.frame_id for t in last["/tf_static"].transforms}
    assert static == {s.name: "base_link" for s in robot.sensors}


def test_the_same_scene_gives_the_same_bytes(short_bag, script, tmp_path):
    record(tmp_path / "again.mcap", *short_scene(script), 0.4, RecordingOptions(lidar_columns=300))
    assert (tmp_path / "again.mcap").read_bytes() == short_bag.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amr_person", "forklift_pallet", "wall_approach"])
def test_the_committed_truth_is_what_the_script_finds(script, name):
    one = script.RECORDINGS[name]
    robot = load_robot(one.robot)
    drive = drive_along(one.driver(), robot.drive, one.start, one.duration_s)
    scene = Scene(one.world(), drive, script.START_NS, 7)
    found = windows(robot, scene, one.duration_s, one.why_stop, one.why_not)
    assert load_truth(ROSBAGS / name / "truth.yaml").windows == found


@pytest.mark.slow
def test_the_script_explains_itself_and_refuses_unknown_names(tmp_path):
    shown = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert "wall_approach" in shown.stdout
    command = [sys.executable, SCRIPT, "nothing", "--out", tmp_path]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "no recording 'nothing'" in refused.stderr
    assert not list(tmp_path.iterdir())
