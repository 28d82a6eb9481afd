"""Ouster packets to sweeps, with ouster-sdk."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import NS_PER_S
from perception_platform.robot.sensors import Ouster
from perception_platform.sensing.packets import Packet
from perception_platform.sensing.source import Reading

COLUMN_VALID = 1
REFLECTIVITY_SCALE = 255.0
RETURNS = ("", "2")  # endings of the channel fields of the first and the second return


def _core() -> Any:
    # Only where there is an Ouster: the library is an extra, and takes half a second to import.
    return import_module("ouster.sdk.core")


class OusterDecoder:
    """Gathers packets into sweeps, first and second returns alike.

    A sweep that was under way when listening began is left out. One with lost packets is given with what there is.

    Args:
        sensor: name of the lidar, also its frame.
        driver: its entry in the robot file.

    Raises:
        InputError: if the sensor's metadata file cannot be read.
    """

    def __init__(self, sensor: str, driver: Ouster) -> None:
        self._sensor = sensor
        self._info = read_metadata(Path(driver.metadata))
        self._format = _core().PacketFormat(self._info)
        self._xyz_of = _core().XYZLutFloat(self._info, use_extrinsics=False)
        altitudes = np.asarray(self._info.beam_altitude_angles)
        self._ring_of_row = np.argsort(np.argsort(altitudes)).astype(np.uint16)
        self._has_checksums = False
        self.reset()

    def reset(self) -> None:
        """Forget the sweep under way."""
        self._batcher = _core().FrameBatcher(self._info)
        self._frame = _core().LidarFrame(self._info)
        self._first = True

    def decode(self, packet: Packet) -> Reading[PointCloud]:
        """Take a packet; has a sweep when the packet completes one, or begins the next."""
        if len(packet.payload) != self._format.lidar_packet_size:
            size = self._format.lidar_packet_size
            return Reading(malformed=1, note=f"a packet of {len(packet.payload)} bytes, not {size}")
        lidar_packet = self._lidar_packet(packet)
        refused = self._refused(lidar_packet)
        if refused:
            return Reading(malformed=1, note=refused)
        if not self._batcher.batch(lidar_packet, self._frame):
            return Reading()
        return self._swept()

    def _lidar_packet(self, packet: Packet) -> Any:
        made = _core().LidarPacket(self._format)
        made.buf[:] = np.frombuffer(packet.payload, dtype=np.uint8)
        made.host_timestamp = packet.t_ns
        return made

    def _refused(self, lidar_packet: Any) -> str:
        # The number of the sensor's start, which packets carry too, changes without notice when it is powered up.
        serial = lidar_packet.prod_sn()
        if serial and serial != self._info.sn:
            return f"a packet of sensor {serial}, the metadata are of {self._info.sn}"
        # Old firmware leaves something else where the checksum should be: only a sensor that has sent a right one
        # is held to it.
        right = lidar_packet.crc() == lidar_packet.calculate_crc()
        self._has_checksums |= right
        return "" if right or not self._has_checksums else "a packet whose checksum is wrong"

    def _swept(self) -> Reading[PointCloud]:
        frame, self._frame = self._frame, _core().LidarFrame(self._info)
        first, self._first = self._first, False
        arrivals_ns = frame.packet_timestamp
        lost = int(np.count_nonzero(arrivals_ns == 0))
        if first and arrivals_ns[0] == 0:
            return Reading()
        return Reading(self._cloud(frame, int(arrivals_ns.max())), packets_lost=lost)

    def _cloud(self, frame: Any, end_ns: int) -> PointCloud:
        valid = (frame.status & COLUMN_VALID) != 0
        stamps_ns = frame.timestamp.astype(np.int64)
        offset_s = (stamps_ns - stamps_ns[valid].max(initial=0)) / NS_PER_S
        parts = [
            self._return_of(frame, ending, valid) for ending in RETURNS if frame.has_field("RANGE" + ending)
        ]
        xyz_m, intensity, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
        return PointCloud(
            t_ns=end_ns,
            frame_id=self._sensor,
            sensor=self._sensor,
            xyz_m=xyz_m,
            intensity=intensity,
            ring=self._ring_of_row[rows],
            offset_s=offset_s[columns].astype(np.float32),
        )

    def _return_of(
        self, frame: Any, ending: str, valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """(xyz_m, intensity, rows, columns) of the points of one return."""
        range_mm = frame.field("RANGE" + ending)
        rows, columns = np.nonzero((range_mm > 0) & valid)
        xyz_m = self._xyz_of(range_mm).reshape(*range_mm.shape, 3)[rows, columns]
        reflectivity = frame.field("REFLECTIVITY" + ending)[rows, columns]
        intensity = np.clip(reflectivity.astype(np.float32) / np.float32(REFLECTIVITY_SCALE), 0.0, 1.0)
        return xyz_m, intensity, rows, columns


def read_metadata(path: Path) -> Any:
    """The ``SensorInfo`` of an Ouster's metadata file, as the sensor gives it over HTTP.

    Raises:
        InputError: if there is none or it is malformed.
    """
    try:
        return _core().SensorInfo(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"no such metadata file: {error.strerror}") from error
    except (RuntimeError, ValueError) as error:
        raise InputError(path, f"not an Ouster's metadata: {' '.join(str(error).split())[:160]}") from error
