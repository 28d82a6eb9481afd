"""The drivers' processes: data and health out, a loss told at once, and back again by themselves."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from perception_platform.core.sensor_data import SensorHealth, SensorProblem, SensorStatus
from perception_platform.messages.clouds import cloud_from_msg
from perception_platform.messages.images import camera_model_from_msg, image_from_msg
from perception_platform.messages.verdicts import health_from_msg
from perception_platform.robot.load import share_dir
from perception_platform.sensing.clock import Pacer, SystemClock
from perception_platform.sensing.packets import read_pcap

LIDAR, CAMERA = "lidar_top", "camera_front"
SIZE_PX = (320, 240)
SWEEPS = 5
PACKETS_A_TURN, PACKET_US = 76, 1327
DISTORTION = [-0.1, 0.02, 0.0, 0.0, 0.0]

RobotFile = Callable[..., Path]


@pytest.fixture
def robot_file(tmp_path: Path) -> RobotFile:
    """Writes the file of robot ``amr`` with other drivers; fields of sensors by name."""

    def write(**fields: dict[str, Any]) -> Path:
        robot = yaml.safe_load((share_dir() / "config" / "robots" / "amr.yaml").read_text())
        for sensor in robot["sensors"]:
            sensor.update(fields.get(sensor["name"], {}))
            if sensor["kind"] == "camera":
                sensor["intrinsics"]["distortion"] = DISTORTION
        path = tmp_path / "robot.yaml"
        path.write_text(yaml.safe_dump(robot))
        return path

    return write


class Ears:
    """What a driver says: its data, and its health as core values."""

    def __init__(self, peer: Any, key: str, sensor: str) -> None:
        self._peer = peer
        self.data = peer.listen(key, sensor)
        self._health = peer.listen("sensor_health")
        self._sensor = sensor
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.data.clear()
        self._health.clear()

    def health(self) -> list[SensorHealth]:
        """All reports so far."""
        return [h for h in (health_from_msg(m) for _, m in self._health) if h.sensor == self._sensor]

    def until(self, status: SensorStatus, within_s: float = 10.0) -> SensorHealth:
        """The next report of that status."""
        self._health.clear()
        what = f"{status.name} of {self._sensor}"
        self._peer.until(lambda: any(h.status is status for h in self.health()), within_s, what)
        return next(h for h in self.health() if h.status is status)

    def until_data(self, count: int) -> list[Any]:
        """So many new messages."""
        self.data.clear()
        self._peer.until(lambda: len(self.data) >= count, what=f"data of {self._sensor}")
        return [message for _, message in self.data]


@pytest.fixture
def driver(start: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Starts a driver that ends with the test."""
    running = []

    def begin(name: str, robot: Path, sensor: str) -> Any:
        running.append(start(name, f"robot:={robot}", f"sensor:={sensor}"))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            assert one.end() == 0, one.said()


def write_sweeps(folder: Path) -> None:
    folder.mkdir()
    azimuth = np.linspace(-np.pi, np.pi, 3600, endpoint=False)
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth, 0 * azimuth + 0.1], axis=1)
    for i in range(SWEEPS):
        (ring * [5 + i, 5 + i, 1, 1]).astype("<f4").tofile(folder / f"{i:06}.bin")


def write_images(folder: Path, seeds: list[int]) -> None:
    folder.mkdir(exist_ok=True)
    for i, seed in enumerate(seeds):
        noise = np.random.default_rng(seed).integers(60, 180, (SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i:06}.png"), noise)


@pytest.mark.timeout(60)
def test_a_lidar_goes_and_comes_back(
    tmp_path: Path, peer: Any, robot_file: RobotFile, driver: Callable[..., Any]
) -> None:
    folder = tmp_path / "sweeps"
    write_sweeps(folder)
    (folder / "000003.bin").write_bytes(b"cut short")
    ears = Ears(peer, "points", LIDAR)
    played = {"type": "folder", "path": str(folder), "loop": True}
    node = driver("lidar_driver", robot_file(lidar_top={"driver": played}), LIDAR)

    clouds = [cloud_from_msg(message, LIDAR) for message in ears.until_data(12)]
    assert {len(cloud) for cloud in clouds} == {3600}
    ranges = {round(float(np.linalg.norm(cloud.xyz_m[0])), 3) for cloud in clouds}
    assert ranges == {5.0, 6.0, 7.0, 9.0}
    assert {round(gap, -7) for gap in np.diff([cloud.t_ns for cloud in clouds])} <= {100_000_000, 200_000_000}
    assert {message.header.frame_id for _, message in ears.data} == {LIDAR}
    degraded = ears.until(SensorStatus.DEGRADED)
    assert degraded.malformed >= 1
    assert "000003.bin: 9 bytes are not whole points" in degraded.text
    write_sweeps(tmp_path / "good")
    (tmp_path / "good" / "000003.bin").replace(folder / "000003.bin")
    ears.until(SensorStatus.OK)

    folder.rename(tmp_path / "elsewhere")
    failed = ears.until(SensorStatus.FAILED, 1.0)
    assert failed.problems[0] is SensorProblem.NO_DATA
    assert "gone" in failed.text
    assert node.process.poll() is None
    (tmp_path / "elsewhere").rename(folder)
    again = ears.until(SensorStatus.OK, 15.0)
    assert again.frames_received > degraded.frames_received
    assert len(ears.until_data(3)) >= 3


@pytest.mark.timeout(60)
def test_a_camera_that_freezes(
    tmp_path: Path, peer: Any, robot_file: RobotFile, driver: Callable[..., Any]
) -> None:
    folder = tmp_path / "images"
    write_images(folder, list(range(8)))
    ears = Ears(peer, "image", CAMERA)
    infos = peer.listen("camera_info", CAMERA)
    played = {"type": "folder", "path": str(folder), "loop": True}
    driver("camera_driver", robot_file(camera_front={"driver": played}), CAMERA)

    images = [image_from_msg(message, CAMERA) for message in ears.until_data(5)]
    assert {image.bgr.shape for image in images} == {(SIZE_PX[1], SIZE_PX[0], 3)}
    assert ears.until(SensorStatus.OK).text == "ok"
    info = infos[-1][1]
    model = camera_model_from_msg(info, CAMERA)
    assert (model.width_px, model.height_px) == SIZE_PX
    assert not model.distortion.any(), "the images are rectified, so their model has no distortion"
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for _, m in ears.data}
    assert stamps & {(m.header.stamp.sec, m.header.stamp.nanosec) for _, m in infos}

    write_images(folder, [1] * 8)
    assert SensorProblem.FROZEN_IMAGE in ears.until(SensorStatus.FAILED).problems
    write_images(folder, list(range(8)))
    ears.until(SensorStatus.OK)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send_for_ever(capture: Path, port: int, on: Event, end: Event) -> None:
    """A VLP-16 on this machine that turns until ``end``, and is heard while ``on``."""
    three_turns = [packet.payload for packet in read_pcap(capture, 2368)][: 3 * PACKETS_A_TURN]
    pacer = Pacer(SystemClock())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number, payload in enumerate(itertools.cycle(three_turns)):
            pacer.wait_until(number * PACKET_US * 1000)
            stamp = struct.pack("<I", number * PACKET_US)
            if on.is_set():
                sender.sendto(payload[:1200] + stamp + payload[1204:], ("127.0.0.1", port))
            if end.is_set():
                return


@pytest.mark.timeout(60)
def test_a_live_lidar_that_falls_silent(
    shared_data: Path, peer: Any, robot_file: RobotFile, driver: Callable[..., Any]
) -> None:
    pytest.importorskip("velodyne_decoder", reason="velodyne-decoder is not installed")
    port = free_port()
    capture = shared_data / "lidar_pcap" / "velodyne" / "sample_velodyne_vlp16_gps.pcap"
    live = {"type": "velodyne", "model": "VLP-16", "bind": "127.0.0.1", "port": port}
    ears = Ears(peer, "points", LIDAR)
    on, end = Event(), Event()
    sender = Thread(target=send_for_ever, args=(capture, port, on, end))
    on.set()
    sender.start()
    try:
        driver("lidar_driver", robot_file(lidar_top={"driver": live}), LIDAR)
        cloud = cloud_from_msg(ears.until_data(3)[0], LIDAR)
        assert len(cloud) > 10_000
        assert cloud.ring is not None
        assert cloud.offset_s is not None
        ears.until(SensorStatus.OK)
        on.clear()
        assert SensorProblem.STALE in ears.until(SensorStatus.FAILED, 2.0).problems
        on.set()
        ears.until(SensorStatus.OK)
    finally:
        end.set()
        sender.join()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("sensor", "fields", "message"),
    [
        ("lidar_rear", {}, "sensor: 'lidar_rear' is not one of amr's: lidar_top"),
        (CAMERA, {}, "sensor: 'camera_front' is not one of amr's: lidar_top"),
        (LIDAR, {"driver": {"type": "external"}}, "another package's driver"),
        (LIDAR, {"driver": {"type": "velodyne", "model": "VLP-17"}}, "driver.velodyne.model"),
    ],
)
def test_a_sensor_that_cannot_be_driven_ends_with_one_clear_line(
    peer: Any,
    robot_file: RobotFile,
    driver: Callable[..., Any],
    sensor: str,
    fields: dict[str, Any],
    message: str,
) -> None:
    node = driver("lidar_driver", robot_file(lidar_top=fields), sensor)
    peer.until(lambda: node.process.poll() is not None, what="the driver's end")
    assert node.process.returncode == 2
    assert message in node.said()
    assert "Traceback" not in node.said()
