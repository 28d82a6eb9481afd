"""UDP packets from captures and sockets."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.time import from_ms, from_s
from perception_platform.sensing.clock import SystemClock
from perception_platform.sensing.packets import PcapPackets, UdpJoiner, UdpPackets, read_pcap
from perception_platform.sensing.source import EndOfData, SourceLost

PORT = 2368


def ipv4(payload: bytes, number: int = 7, offset: int = 0, more: bool = False, protocol: int = 17) -> bytes:
    """An Ethernet frame with an IPv4 packet or fragment."""
    flags_offset = (0x2000 if more else 0) | offset // 8
    addresses = b"\x0a\0\0\1" + b"\x0a\0\0\2"
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), number, flags_offset, 64, protocol, 0)
    return b"\0" * 12 + b"\x08\x00" + header + addresses + payload


def udp(payload: bytes, port: int = PORT) -> bytes:
    return struct.pack(">4H", 5000, port, 8 + len(payload), 0) + payload


def write_pcap(path: Path, frames: list[tuple[float, bytes]], link_type: int = 1) -> None:
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, link_type)]
    for t_s, frame in frames:
        parts.append(struct.pack("<4I", int(t_s), round(t_s % 1 * 1e6), len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(parts))


def test_a_capture_is_played_at_its_own_pace_with_stamps_of_today(tmp_path: Path, clock: Any) -> None:
    frames = [(10.0, ipv4(udp(b"a"))), (10.1, ipv4(udp(b"x", port=9))), (10.25, ipv4(udp(b"b")))]
    write_pcap(tmp_path / "c.pcap", frames)
    start_ns = clock.now_ns()
    packets = PcapPackets(tmp_path / "c.pcap", PORT, clock)
    packets.open()
    first, second = packets.receive(), packets.receive()
    assert first is not None
    assert second is not None
    assert (first.payload, first.t_ns - start_ns) == (b"a", 0)
    assert (second.payload, second.t_ns - start_ns) == (b"b", from_ms(250))
    with pytest.raises(EndOfData, match=r"c\.pcap"):
        packets.receive()


def test_fragments_are_joined_in_any_order_and_orphans_left_out() -> None:
    whole = udp(bytes(range(200)))
    joiner = UdpJoiner(14, PORT)
    assert joiner.payload(ipv4(b"\0" * 16, number=1, offset=0, more=True)) is None
    assert joiner.payload(ipv4(whole[160:], offset=160)) is None
    assert joiner.payload(ipv4(whole[:80], offset=0, more=True)) is None
    assert joiner.payload(ipv4(whole[80:160], offset=80, more=True)) == bytes(range(200))


def test_fragments_that_are_never_completed_do_not_pile_up() -> None:
    joiner = UdpJoiner(14, PORT)
    whole = udp(b"\1" * 40)
    for number in range(1000):
        joiner.payload(ipv4(whole[:24], number=number, more=True))
    assert joiner.payload(ipv4(whole[24:], number=0, offset=24)) is None
    assert joiner.payload(ipv4(whole[24:], number=999, offset=24)) == b"\1" * 40


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0" * 20,
        ipv4(b"\0" * 4),
        ipv4(udp(b"abc"), protocol=6),
        ipv4(udp(b"abc", port=1)),
        ipv4(udp(b"abcdef")[:-3]),
        ipv4(udp(b"abc")).replace(b"\x08\x00", b"\x86\xdd", 1),
    ],
)
def test_what_is_not_the_sensors_is_left_out(frame: bytes) -> None:
    assert UdpJoiner(14, PORT).payload(frame) is None


@pytest.mark.parametrize("total_bytes", [1, 10, 19])
def test_a_length_shorter_than_the_header_is_no_packet(total_bytes: int) -> None:
    frame = ipv4(udp(b"abc"))
    assert UdpJoiner(14, PORT).payload(frame[:16] + struct.pack(">H", total_bytes) + frame[18:]) is None
    assert UdpJoiner(14, PORT).payload(frame[:14] + b"\x41" + frame[15:]) is None
    assert UdpJoiner(14, PORT).payload(frame[:14] + b"\x4f" + frame[15:]) is None


def test_a_length_that_was_left_to_the_network_card_is_the_frames() -> None:
    frame = ipv4(udp(b"abc"))
    assert UdpJoiner(14, PORT).payload(frame[:16] + b"\0\0" + frame[18:] + b"\0" * 15) == b"abc"


def test_a_vlan_tag_and_padding_are_taken_off() -> None:
    plain = ipv4(udp(b"abc"))
    tagged = plain[:12] + b"\x81\x00\0\5" + plain[12:] + b"\0" * 15
    assert UdpJoiner(14, PORT).payload(tagged) == b"abc"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a capture"),
        (b"this is a text file, not a capture of packets", "not a capture"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, 1), f"no UDP packet for port {PORT}"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, 147), "link type 147"),
    ],
)
def test_a_capture_that_cannot_be_played_is_named(
    tmp_path: Path, clock: Any, content: bytes, message: str
) -> None:
    path = tmp_path / "c.pcap"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"c\.pcap.*{message}"):
        PcapPackets(path, PORT, clock).open()


def test_a_capture_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.pcap"
    write_pcap(path, [(1.0, ipv4(udp(b"a"))), (1.1, ipv4(udp(b"b"))), (1.2, ipv4(udp(b"c")))])
    path.write_bytes(path.read_bytes()[:-5])
    assert [packet.payload for packet in read_pcap(path, PORT)] == [b"a", b"b"]
    path.write_bytes(path.read_bytes()[:-45])
    packets = read_pcap(path, PORT)
    assert [next(packets).payload, next(packets).payload] == [b"a", b"b"]
    with pytest.raises(InputError, match="not a capture"):
        next(packets)


def test_no_capture_is_a_loss(tmp_path: Path, clock: Any) -> None:
    with pytest.raises(SourceLost, match="no such capture"):
        PcapPackets(tmp_path / "c.pcap", PORT, clock).open()


def test_udp_packets_carry_the_time_of_their_arrival() -> None:
    clock = SystemClock()
    packets = UdpPackets("127.0.0.1", 0)
    packets.open()
    try:
        assert packets.receive() is None  # silence is no loss
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            before_ns = clock.now_ns()
            sender.sendto(b"abc", ("127.0.0.1", packets.port))
        packet = packets.receive()
        assert packet is not None
        assert packet.payload == b"abc"
        assert before_ns - from_ms(1) <= packet.t_ns <= before_ns + from_s(1)
    finally:
        packets.close()


def test_an_address_or_port_that_cannot_be_had_is_a_loss() -> None:
    first = UdpPackets("127.0.0.1", 0)
    first.open()
    try:
        with pytest.raises(SourceLost, match="in use"):
            UdpPackets("127.0.0.1", first.port).open()
    finally:
        first.close()
    with pytest.raises(SourceLost, match="not open"):
        first.receive()
    with pytest.raises(SourceLost, match=r"udp 192\.0\.2\.1:"):
        UdpPackets("192.0.2.1", 0).open()
