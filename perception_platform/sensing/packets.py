"""UDP packets of a sensor, live from a socket or from a capture, one like the other."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from perception_platform.core.errors import InputError
from perception_platform.core.time import NS_PER_S, from_s
from perception_platform.sensing.clock import Clock, Pacer
from perception_platform.sensing.source import EndOfData, SourceLost

LARGEST_PACKET_BYTES = 65536
# Several sweeps: what arrives while one is published must not be lost.
RECEIVE_BUFFER_BYTES = 8 << 20
RECEIVE_TIMEOUT_S = 0.2
# From Linux's asm-generic/socket.h; Python has no name for it.
SO_TIMESTAMPNS = 35
UDP_HEADER_BYTES = 8
ETHERTYPE_IPV4, ETHERTYPE_VLAN = b"\x08\x00", b"\x81\x00"
MOST_OPEN_FRAGMENTED = 64


@dataclass(frozen=True, slots=True)
class Packet:
    """The payload of one UDP packet and the time at which it arrived, ns."""

    t_ns: int
    payload: bytes


class Packets(Protocol):
    """Where packets come from."""

    def open(self) -> None:
        """Begin.

        Raises:
            SourceLost: if it isn't there now.
            InputError: if what is there cannot be used.
        """
        ...

    def receive(self) -> Packet | None:
        """The next packet, or None when none came within a fraction of a second.

        Raises:
            SourceLost: if no more can come.
            EndOfData: at the end of a capture.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class UdpPackets:
    """Listens on a UDP port. Silence is no loss: there is no connection that could be made again.

    Args:
        address: local IPv4 address to listen at.
        port: port, or 0 for any free one.
    """

    def __init__(self, address: str, port: int) -> None:
        self._at = (address, port)
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that is listened on.

        Raises:
            SourceLost: if it isn't open.
        """
        return int(self._opened().getsockname()[1])

    def open(self) -> None:
        """Bind the socket.

        Raises:
            SourceLost: if the address isn't there yet or the port is taken.
        """
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.settimeout(RECEIVE_TIMEOUT_S)
            made.bind(self._at)
        except OSError as error:
            made.close()
            raise SourceLost(f"udp {self._at[0]}:{self._at[1]}: {error.strerror or error}") from error
        self._socket = made

    def receive(self) -> Packet | None:
        """The next packet, stamped by the kernel when it arrived; None after a fifth of a second without one."""
        try:
            payload, ancillary, _, _ = self._opened().recvmsg(LARGEST_PACKET_BYTES, 64)
        except TimeoutError:
            return None
        except OSError as error:
            raise SourceLost(f"udp {self._at[0]}:{self._at[1]}: {error.strerror or error}") from error
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", data[:16])
                return Packet(seconds * NS_PER_S + nanoseconds, payload)
        raise SourceLost(f"udp {self._at[0]}:{self._at[1]}: this kernel does not stamp packets")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise SourceLost(f"udp {self._at[0]}:{self._at[1]}: not open")
        return self._socket


class PcapPackets:
    """Plays the packets that a capture (.pcap or .pcapng) has for one UDP port, at their own pace.

    Raises:
        ModuleNotFoundError: without dpkt.
    """

    def __init__(self, path: Path, port: int, clock: Clock) -> None:
        import_module("dpkt")  # so that a missing extra is known now, and not when reading begins
        self._path, self._port, self._clock = path, port, clock
        self._packets: Iterator[Packet] = iter(())

    def open(self) -> None:
        """Find the first packet.

        Raises:
            SourceLost: if there is no such file.
            InputError: if it is no capture, or has no packet for the port.
        """
        if not self._path.is_file():
            raise SourceLost(f"{self._path}: no such capture")
        packets = read_pcap(self._path, self._port)
        first = next(packets, None)
        if first is None:
            raise InputError(self._path, f"holds no UDP packet for port {self._port}")
        self._first_ns = first.t_ns
        self._pacer = Pacer(self._clock)
        self._packets = _chain(first, packets)

    def receive(self) -> Packet | None:
        """The next packet, when it is due, stamped with that time."""
        packet = next(self._packets, None)
        if packet is None:
            raise EndOfData(f"{self._path}: all of it was played")
        # A capture's stamps may jitter backwards; the pacer then simply doesn't wait.
        return Packet(self._pacer.wait_until(packet.t_ns - self._first_ns), packet.payload)

    def close(self) -> None:
        """Forget what is left."""
        self._packets = iter(())


def _chain(first: Packet, rest: Iterator[Packet]) -> Iterator[Packet]:
    yield first
    yield from rest


def read_pcap(path: Path, port: int) -> Iterator[Packet]:
    """Payloads of the UDP packets for a port in a capture, fragments joined, in the order of their ends.

    A capture that was cut off gives what is whole.

    Raises:
        InputError: if the file is no capture, or not of Ethernet or of Linux's "any" device.
    """
    import dpkt

    with path.open("rb") as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
            link_bytes = {dpkt.pcap.DLT_EN10MB: 14, dpkt.pcap.DLT_LINUX_SLL: 16}.get(reader.datalink())
            if link_bytes is None:
                raise InputError(
                    path, f"link type {reader.datalink()} is not read, only Ethernet and Linux SLL"
                )
            joiner = UdpJoiner(link_bytes, port)
            for t_s, frame in reader:
                payload = joiner.payload(frame)
                if payload is not None:
                    yield Packet(from_s(float(t_s)), payload)
        except (ValueError, struct.error, dpkt.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(path, f"not a capture: {error}") from error


class UdpJoiner:
    """Takes UDP payloads out of captured frames and joins IPv4 fragments (RFC 791): lidar packets are larger than
    Ethernet's.

    Args:
        link_bytes: length of the link layer's header, which ends with the EtherType.
        port: destination port to keep.
    """

    def __init__(self, link_bytes: int, port: int) -> None:
        self._link_bytes, self._port = link_bytes, port
        self._open: dict[bytes, _Fragments] = {}

    def payload(self, frame: bytes) -> bytes | None:
        """The payload that this frame completes, or None."""
        ip = self._ipv4_udp(frame)
        whole = None if ip is None else self._whole(ip)
        if whole is None or len(whole) < UDP_HEADER_BYTES:
            return None
        _, port, length, _ = struct.unpack(">4H", whole[:UDP_HEADER_BYTES])
        return whole[UDP_HEADER_BYTES:length] if port == self._port and length <= len(whole) else None

    def _ipv4_udp(self, frame: bytes) -> bytes | None:
        start = self._link_bytes
        if frame[start - 2 : start] == ETHERTYPE_VLAN:
            start += 4
        ip = frame[start:]
        if frame[start - 2 : start] != ETHERTYPE_IPV4 or len(ip) < 20 or ip[9] != socket.IPPROTO_UDP:
            return None
        header_bytes, total_bytes = (ip[0] & 0x0F) * 4, int.from_bytes(ip[2:4], "big")
        # Captures made on the sending or receiving machine have nought where its network card fills in the length.
        ip = ip[: total_bytes or len(ip)]  # without Ethernet's padding
        return ip if 20 <= header_bytes <= len(ip) else None

    def _whole(self, ip: bytes) -> bytes | None:
        flags_offset = int.from_bytes(ip[6:8], "big")
        offset, more = (flags_offset & 0x1FFF) * 8, bool(flags_offset & 0x2000)
        data = ip[(ip[0] & 0x0F) * 4 :]
        if not more and not offset:
            return data
        key = ip[4:6] + ip[12:20]  # identification, source, destination
        fragments = self._open.setdefault(key, _Fragments())
        fragments.parts[offset] = data
        if not more:
            fragments.total_bytes = offset + len(data)
        if sum(map(len, fragments.parts.values())) == fragments.total_bytes:
            del self._open[key]
            return b"".join(part for _, part in sorted(fragments.parts.items()))
        if len(self._open) > MOST_OPEN_FRAGMENTED:
            del self._open[next(iter(self._open))]  # the oldest: its missing part won't come any more
        return None


@dataclass(slots=True)
class _Fragments:
    parts: dict[int, bytes] = field(default_factory=dict)
    total_bytes: int = -1
