"""Perception's process: every sweep is accounted for, and nothing that comes in takes it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from perception_platform.core.sensor_data import Image
from perception_platform.messages.clouds import cloud_from_msg
from perception_platform.messages.fields import time_to_msg
from perception_platform.messages.images import image_to_msg
from perception_platform.messages.objects import detections_from_msg
from perception_platform.messages.runtime import runtime_status_from_msg
from perception_platform.robot.load import robot_path, share_dir
from perception_platform.ros.make import make
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started
from test.unit.inference.tiny_models import SIDE_PX, constant_detector

POINTS = TOPICS["points"].of("lidar_top")
IMAGE = TOPICS["image"].of("camera_front")
OBSTACLES = TOPICS["obstacles"].of("lidar_top")
DETECTIONS = TOPICS["detections"].name
STATUS = TOPICS["runtime_status"].name


@pytest.fixture(scope="module")
def robot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``amr`` that looks back, with a model for its camera that never sees anything."""
    folder = tmp_path_factory.mktemp("robot")
    description = yaml.safe_load(
        (share_dir() / "config/models/fastestdet/model.yaml").read_text(encoding="utf-8")
    )
    description["input"] |= {"width_px": SIDE_PX, "height_px": SIDE_PX}
    (folder / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    constant_detector(folder / description["weights"], np.zeros((1, 5 + 80, 4, 4)))
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["perception"] = "track_aware"
    robot["models"] = [{"head": "camera_objects", "sensor": "camera_front", "path": str(folder)}]
    (folder / "amr.yaml").write_text(yaml.safe_dump(robot), encoding="utf-8")
    return folder / "amr.yaml"


@pytest.fixture(scope="module")
def perception(start: Callable[..., Started], peer: Peer, robot_file: Path) -> Iterator[Started]:
    """Perception of ``amr``; it must be alive at the end of all tests."""
    peer.listen("detections")
    peer.listen("diagnostics")
    peer.listen("runtime_status")
    peer.listen("obstacles", "lidar_top")
    started = start("perception", f"robot:={robot_file}")
    publisher = peer.speak("points", "lidar_top")
    peer.until(publisher.get_subscription_count, within_s=60.0, what="a subscription")
    yield started
    assert started.process.poll() is None, started.said()
    assert started.end() == 0, started.said()


@pytest.fixture(scope="module")
def send(perception: Started, peer: Peer) -> Callable[[Any], None]:
    """Publishes a sweep."""
    publisher = peer.speak("points", "lidar_top")
    peer.until(publisher.get_subscription_count, what="a subscription")
    send: Callable[[Any], None] = publisher.publish
    return send


def counts(peer: Peer) -> dict[str, int]:
    """What perception counted, in a report of from now on."""
    begin = len(peer.heard["/diagnostics"])
    peer.until(lambda: len(peer.heard["/diagnostics"]) >= begin + 2, what="diagnostics")
    lines = peer.heard["/diagnostics"][-1][1].status[0].values
    return {line.key: int(line.value) for line in lines if line.value.isdigit()}


def answer(peer: Peer, send: Callable[[Any], None], make_sweep: Callable[[int], Any]) -> Any:
    """The detections that a sweep leads to; one is sent until it is heard, since best effort may lose some."""
    begin = len(peer.heard[DETECTIONS])
    due_s = [0.0]

    def again() -> bool:
        if time.monotonic() > due_s[0]:
            due_s[0] = time.monotonic() + 0.5
            send(make_sweep(time.time_ns()))
        return len(peer.heard[DETECTIONS]) > begin

    peer.until(again, what="detections")
    return detections_from_msg(peer.heard[DETECTIONS][-1][1])


def test_a_graph_that_looks_back_hears_of_tracks(perception: Started, peer: Peer) -> None:
    """Others do not: ``test_stack.py`` and ``test_container.py``."""
    peer.until(peer.speak("tracks").get_subscription_count, what="a subscription")


def test_a_sweep_becomes_detections_and_obstacle_points(peer: Peer, send: Callable[[Any], None]) -> None:
    began_ns = time.time_ns()
    detections = answer(peer, send, feeding.sweep)
    assert began_ns <= detections.t_ns <= time.time_ns()
    assert detections.frame_id == "base_link"
    assert [s.sensor for s in detections.lineage.sources] == ["lidar_top"]
    assert [s.stage for s in detections.lineage.stages] == ["perception"]
    peer.until(lambda: peer.heard[OBSTACLES], what="obstacle points")
    obstacles = cloud_from_msg(peer.heard[OBSTACLES][-1][1], "lidar_top")
    assert obstacles.frame_id == "base_link"
    ahead = obstacles.xyz_m[np.abs(obstacles.xyz_m[:, 0] - 15.1) < 0.3]
    assert len(ahead) > 100, "the wall is an obstacle"
    assert (obstacles.xyz_m[:, 2] > 0.05).all(), "the floor is none"


def cut_short(message: Any) -> None:
    message.data = message.data[:-5]


def without_y(message: Any) -> None:
    message.fields = [f for f in message.fields if f.name != "y"]


def impossible_time(message: Any) -> None:
    message.header.stamp.nanosec = 4_000_000_000


@pytest.mark.parametrize("spoil", [cut_short, without_y, impossible_time])
def test_a_malformed_sweep_is_counted_and_the_next_one_served(
    peer: Peer, send: Callable[[Any], None], spoil: Callable[[Any], None]
) -> None:
    before = counts(peer).get(f"{POINTS} malformed", 0)
    message = feeding.sweep(time.time_ns())
    spoil(message)
    for _ in range(3):
        send(message)
        peer.spin(0.1)
    assert before < counts(peer)[f"{POINTS} malformed"] <= before + 3
    answer(peer, send, feeding.sweep)


def test_points_that_are_not_numbers_cost_only_themselves(peer: Peer, send: Callable[[Any], None]) -> None:
    def spoilt(t_ns: int) -> Any:
        message = feeding.sweep(t_ns)
        raw = np.frombuffer(message.data, dtype=np.float32).copy()
        raw[: 3 * 500] = np.nan
        message.data = raw.tobytes()
        return message

    answer(peer, send, spoilt)
    obstacles = cloud_from_msg(peer.heard[OBSTACLES][-1][1], "lidar_top")
    assert (np.abs(obstacles.xyz_m[:, 0] - 15.1) < 0.3).sum() > 100


def test_in_a_flood_every_sweep_is_accounted_for(peer: Peer, send: Callable[[Any], None]) -> None:
    message = feeding.sweep(time.time_ns())
    before = counts(peer)
    for _ in range(100):
        message.header.stamp = time_to_msg(time.time_ns(), make)
        send(message)
        peer.executor.spin_once(timeout_sec=0.001)
    peer.spin(1.0)
    after = counts(peer)
    new = {
        k: after.get(f"{POINTS} {k}", 0) - before.get(f"{POINTS} {k}", 0)
        for k in ("received", "processed", "superseded", "expired", "malformed")
    }
    assert new["received"] > 10
    assert new["superseded"] > 0
    assert new["received"] == new["processed"] + new["superseded"] + new["expired"] + new["malformed"]
    status = runtime_status_from_msg(peer.heard[STATUS][-1][1])
    (edge,) = [e for e in status.edges if e.topic == POINTS]
    assert edge.received >= new["received"]
    assert edge.unaccounted == 0


def test_an_old_or_malformed_image_is_left_out(peer: Peer, send: Callable[[Any], None]) -> None:
    camera = peer.speak("image", "camera_front")
    peer.until(camera.get_subscription_count, what="a subscription")
    before = counts(peer)

    def picture(t_ns: int) -> Any:
        return image_to_msg(Image(t_ns, "camera_front", "camera_front", np.zeros((4, 4, 3), np.uint8)), make)

    wrong = picture(time.time_ns() + 100_000_000)  # the sweep that it goes with comes a little later
    wrong.step = 5
    camera.publish(wrong)
    peer.spin(0.1)
    answer(peer, send, feeding.sweep)
    camera.publish(picture(time.time_ns() - 10**9))
    peer.spin(0.1)
    answer(peer, send, feeding.sweep)
    after = counts(peer)
    assert after[f"{IMAGE} expired"] == before.get(f"{IMAGE} expired", 0) + 1
    assert after[f"{IMAGE} malformed"] == before.get(f"{IMAGE} malformed", 0) + 1
