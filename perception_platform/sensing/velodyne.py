"""Velodyne packets to sweeps, with velodyne-decoder."""

from __future__ import annotations

import struct
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s, to_s
from perception_platform.robot.sensors import Velodyne
from perception_platform.sensing.packets import Packet
from perception_platform.sensing.source import Reading

PACKET_BYTES = 1206
# A packet is twelve blocks, each with a flag, an azimuth in hundredths of a degree and its measurements; then the
# microseconds since the full hour, the return mode and the model.
BLOCKS = np.dtype([("flag", "<u2"), ("azimuth_cdeg", "<u2"), ("measurements", "V96")])
BLOCK_COUNT = 12
FLAGS = (0xEEFF, 0xDDFF, 0xCCFF, 0xBBFF)
FULL_TURN_CDEG = 36000
TIMESTAMP_AT, MODEL_AT = 1200, 1205
HOUR_US = 3_600_000_000
INTENSITY_SCALE = 255.0
# (the library's name, the number that packets carry, or None where they carry something else in its place).
# The Puck Lite is a lighter VLP-16 with the same packets and beams.
MODELS: dict[str, tuple[str, int | None]] = {
    "VLP-16": ("VLP16", 0x22),
    "PuckLite": ("VLP16", 0x22),
    "PuckHiRes": ("PuckHiRes", 0x24),
    "VLP-32C": ("VLP32C", 0x28),
    "HDL-32E": ("HDL32E", 0x21),
    "HDL-64E S2": ("HDL64E_S2", None),
    "HDL-64E S3": ("HDL64E_S3", None),
    "VLS-128": ("VLS128", 0xA1),
}


class VelodyneDecoder:
    """Gathers packets into sweeps of a full turn.

    Args:
        sensor: name of the lidar, also its frame.
        driver: its entry in the robot file.

    Raises:
        InputError: if the model needs a calibration file and there is none that can be read.
    """

    def __init__(self, sensor: str, driver: Velodyne) -> None:
        self._sensor = sensor
        self._config = _config(sensor, driver)
        self._model_number = MODELS[driver.model][1]
        self.reset()

    def reset(self) -> None:
        """Forget the sweep under way."""
        import velodyne_decoder

        self._decoder = velodyne_decoder.StreamDecoder(self._config)
        self._gaps = PacketGaps()

    def decode(self, packet: Packet) -> Reading[PointCloud]:
        """Take a packet; has a sweep when the packet completes one."""
        refused = self._refused(packet.payload)
        if refused:
            return Reading(malformed=1, note=refused)
        (stamp_us,) = struct.unpack_from("<I", packet.payload, TIMESTAMP_AT)
        if self._gaps.jumps_to(stamp_us):
            self.reset()  # the sweep under way would be stretched by the jump
        lost = self._gaps.lost_before(stamp_us)
        swept = self._decoder.decode(to_s(packet.t_ns), packet.payload)
        return Reading(None if swept is None else self._cloud(*swept), packets_lost=lost)

    def _refused(self, payload: bytes) -> str:
        """Why a packet is no good, or nothing. The library would notice at the sweep's end, and lose the sweep."""
        if len(payload) != PACKET_BYTES:
            return f"a packet of {len(payload)} bytes, not {PACKET_BYTES}"
        if self._model_number not in (None, payload[MODEL_AT]):
            return f"a packet of model {payload[MODEL_AT]:#x}, not {self._model_number:#x}"
        blocks = np.frombuffer(payload, dtype=BLOCKS, count=BLOCK_COUNT)
        if not np.isin(blocks["flag"], FLAGS).all() or blocks["azimuth_cdeg"].max() >= FULL_TURN_CDEG:
            return "a packet whose blocks have no valid flag or azimuth"
        return ""

    def _cloud(self, stamp: Any, points: Any) -> PointCloud:
        import velodyne_decoder

        column = velodyne_decoder.PointField
        points = points[np.isfinite(points).all(axis=1)]
        # The library counts from the last packet's start; the sweep ends with its last point.
        offset_s = points[:, column.time]
        end_s = offset_s.max(initial=0.0)
        return PointCloud(
            t_ns=from_s(stamp.host) + from_s(float(end_s)),
            frame_id=self._sensor,
            sensor=self._sensor,
            xyz_m=np.ascontiguousarray(points[:, [column.x, column.y, column.z]]),
            intensity=np.clip(points[:, column.intensity] / np.float32(INTENSITY_SCALE), 0.0, 1.0),
            ring=points[:, column.ring].astype(np.uint16),
            offset_s=offset_s - end_s,
        )


def _config(sensor: str, driver: Velodyne) -> Any:
    import velodyne_decoder

    model = getattr(velodyne_decoder.Model, MODELS[driver.model][0])
    calibration = None
    where = f"{sensor}.driver.calibration"
    if driver.calibration is not None:
        if not Path(driver.calibration).is_file():
            raise InputError(driver.calibration, "no such calibration file", where)
        try:
            calibration = velodyne_decoder.Calibration.read(driver.calibration)
        except RuntimeError as error:
            raise InputError(driver.calibration, f"not a calibration: {error}", where) from error
    elif driver.model.startswith("HDL-64E"):
        raise InputError(
            sensor,
            "each HDL-64E has a calibration of its own; extract-hdl64e-calibration takes it from a capture",
            where,
        )
    return velodyne_decoder.Config(model=model, calibration=calibration)


class PacketGaps:
    """Counts missing packets by the sensor's own time: Velodyne packets carry no number, but come evenly."""

    REMEMBERED = 64
    # Packets may overtake each other a little; a clock that was set, or a sensor that was started again, goes further.
    OVERTAKEN_US, JUMP_US = 10_000, 500_000

    def __init__(self) -> None:
        self._last_us: int | None = None
        self._gaps_us: deque[int] = deque(maxlen=self.REMEMBERED)

    def jumps_to(self, stamp_us: int) -> bool:
        """Whether this stamp (µs since the full hour) is of another run of the clock than the last packet's."""
        return not -self.OVERTAKEN_US <= self._gap_us(stamp_us) <= self.JUMP_US

    def lost_before(self, stamp_us: int) -> int:
        """Packets missing between the last packet and one of this stamp (µs since the full hour)."""
        gap_us = self._gap_us(stamp_us)
        first, self._last_us = self._last_us is None, stamp_us
        if first or gap_us <= 0:  # repeated, or overtaken by a later one
            return 0
        self._gaps_us.append(gap_us)
        return max(0, round(gap_us / median(self._gaps_us)) - 1)

    def _gap_us(self, stamp_us: int) -> int:
        """Time since the last packet, negative if it is earlier."""
        last_us = stamp_us if self._last_us is None else self._last_us
        return (stamp_us - last_us + HOUR_US // 2) % HOUR_US - HOUR_US // 2
