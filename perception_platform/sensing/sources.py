"""The source that a sensor's entry in the robot file asks for."""

from __future__ import annotations

from pathlib import Path

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.robot.sensors import Camera, External, Folder, Lidar, Ouster, Stream, V4l2, Velodyne
from perception_platform.sensing.cameras import (
    IMAGE_SUFFIXES,
    DeviceCamera,
    StreamCamera,
    VideoFile,
    load_image,
)
from perception_platform.sensing.clock import Clock
from perception_platform.sensing.folders import FolderSource
from perception_platform.sensing.ouster import OusterDecoder
from perception_platform.sensing.packet_lidar import PacketLidar, SweepDecoder
from perception_platform.sensing.packets import Packets, PcapPackets, UdpPackets
from perception_platform.sensing.rectify import Rectifier
from perception_platform.sensing.source import Source
from perception_platform.sensing.sweep_files import SUFFIXES, load_sweep
from perception_platform.sensing.velodyne import VelodyneDecoder


def camera_source(camera: Camera, clock: Clock) -> Source[Image]:
    """Source of a camera, not yet open. Relative paths are taken from the working folder.

    Raises:
        InputError: if another package drives the camera.
    """
    driver = camera.driver
    if isinstance(driver, V4l2):
        return DeviceCamera(camera, driver, clock)
    if isinstance(driver, Stream):
        return StreamCamera(camera, driver, clock)
    if isinstance(driver, External):
        raise _driven_elsewhere(camera.name)
    if isinstance(driver, Folder):
        rectifier = Rectifier(camera)
        return FolderSource(
            Path(driver.path),
            IMAGE_SUFFIXES,
            camera.rate_hz,
            driver.loop,
            clock,
            lambda path, t_ns: load_image(path, t_ns, rectifier),
        )
    return VideoFile(camera, driver, clock)


def lidar_source(lidar: Lidar, clock: Clock) -> Source[PointCloud]:
    """Source of a lidar, not yet open. Relative paths are taken from the working folder.

    Raises:
        InputError: if another package drives the lidar, the vendor's library is not installed, or a calibration or
            metadata file cannot be read.
    """
    driver = lidar.driver
    if isinstance(driver, External):
        raise _driven_elsewhere(lidar.name)
    if isinstance(driver, Folder):
        return FolderSource(
            Path(driver.path),
            SUFFIXES,
            lidar.rate_hz,
            driver.loop,
            clock,
            lambda path, t_ns: load_sweep(path, t_ns, lidar.name),
        )
    try:
        return PacketLidar(_packets(driver, clock), _decoder(lidar.name, driver))
    except ModuleNotFoundError as error:
        problem = f"needs {error.name}: install the extra [lidar-drivers] and, for an Ouster, ouster-sdk"
        raise InputError(f"{lidar.name}.driver", problem) from error


def _packets(driver: Velodyne | Ouster, clock: Clock) -> Packets:
    if driver.pcap is not None:
        return PcapPackets(Path(driver.pcap), driver.port, clock)
    return UdpPackets(str(driver.bind), driver.port)


def _decoder(sensor: str, driver: Velodyne | Ouster) -> SweepDecoder:
    return VelodyneDecoder(sensor, driver) if isinstance(driver, Velodyne) else OusterDecoder(sensor, driver)


def _driven_elsewhere(sensor: str) -> InputError:
    return InputError(sensor, "another package's driver publishes this sensor", "driver.type")
