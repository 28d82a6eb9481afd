"""A lidar that sends UDP packets: packets in, sweeps out."""

from __future__ import annotations

from typing import Protocol

from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s
from perception_platform.sensing.packets import Packet, Packets
from perception_platform.sensing.source import EndOfData, Reading

# After a pause this long the sweep under way is thrown away: its halves would be of different times.
PAUSE_NS = from_s(0.5)
# Packets of which no sweep comes must not keep the caller from looking whether to stop.
LONGEST_READ_NS = from_s(0.2)


class SweepDecoder(Protocol):
    """Gathers the packets of one make of lidar into sweeps."""

    def reset(self) -> None:
        """Forget the sweep under way."""
        ...

    def decode(self, packet: Packet) -> Reading[PointCloud]:
        """Take a packet; says what was lost or refused, and has a sweep when it is complete."""
        ...


class PacketLidar:
    """Sweeps of a lidar that sends packets, live or from a capture."""

    def __init__(self, packets: Packets, decoder: SweepDecoder) -> None:
        self._packets, self._decoder = packets, decoder

    def open(self) -> None:
        """Begin to listen, with no sweep under way."""
        self._packets.open()
        self._decoder.reset()
        self._last_ns: int | None = None
        self._sweeps = 0

    def read(self) -> Reading[PointCloud]:
        """Take packets until there is a sweep, something wrong, or a fraction of a second without either.

        Raises:
            SourceLost: if no more packets can come.
            EndOfData: at the end of a capture.
        """
        first_ns: int | None = None
        while (packet := self._receive()) is not None:
            first_ns = packet.t_ns if first_ns is None else first_ns
            if self._last_ns is not None and packet.t_ns - self._last_ns > PAUSE_NS:
                self._decoder.reset()
            self._last_ns = packet.t_ns
            reading = self._decoder.decode(packet)
            if reading.data is not None or reading.packets_lost or reading.malformed:
                self._sweeps += reading.data is not None
                return reading
            if abs(packet.t_ns - first_ns) >= LONGEST_READ_NS:
                break
        return Reading()

    def close(self) -> None:
        """Stop listening."""
        self._packets.close()

    def _receive(self) -> Packet | None:
        try:
            return self._packets.receive()
        except EndOfData as end:
            raise end if self._sweeps else EndOfData(f"{end}, and held no whole sweep") from end
