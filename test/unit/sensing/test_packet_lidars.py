"""Velodyne and Ouster on real captures, whole and spoiled."""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s, to_s
from perception_platform.robot.sensors import Ouster, Velodyne
from perception_platform.sensing.clock import Pacer, SystemClock
from perception_platform.sensing.ouster import OusterDecoder
from perception_platform.sensing.packet_lidar import PacketLidar, SweepDecoder
from perception_platform.sensing.packets import Packet, UdpPackets, read_pcap
from perception_platform.sensing.source import EndOfData, Reading, SourceLost
from perception_platform.sensing.sources import lidar_source
from perception_platform.sensing.velodyne import PacketGaps, VelodyneDecoder

OUSTER_PORT, VELODYNE_PORT = 7502, 2368


class Listed:
    """Packets from a list."""

    def __init__(self, packets: list[Packet]) -> None:
        self.packets = packets

    def open(self) -> None:
        self.left = iter(self.packets)

    def receive(self) -> Packet | None:
        packet = next(self.left, None)
        if packet is None:
            raise EndOfData("list")
        return packet

    def close(self) -> None:
        self.left = iter(())


def until_the_end(lidar: PacketLidar) -> Iterator[Reading[PointCloud]]:
    try:
        while True:
            yield lidar.read()
    except EndOfData:
        return


def read_all(decoder: SweepDecoder, packets: list[Packet]) -> tuple[list[PointCloud], int, int, list[str]]:
    """(sweeps, packets lost, packets refused, why) of all packets."""
    lidar = PacketLidar(Listed(packets), decoder)
    lidar.open()
    readings = list(until_the_end(lidar))
    clouds = [r.data for r in readings if r.data is not None]
    notes = [r.note for r in readings if r.note]
    return clouds, sum(r.packets_lost for r in readings), sum(r.malformed for r in readings), notes


@pytest.fixture
def ouster_folder(shared_data: Path) -> Path:
    pytest.importorskip("ouster.sdk.core", reason="ouster-sdk is not installed")
    return shared_data / "lidar_pcap" / "ouster"


@pytest.fixture
def os1(ouster_folder: Path) -> tuple[OusterDecoder, list[Packet]]:
    """An OS-1-128: three sweeps of 64 packets."""
    metadata = str(ouster_folder / "OS-1-128_v2.3.0_1024x10.json")
    packets = list(read_pcap(ouster_folder / "OS-1-128_v2.3.0_1024x10_lb_n3.pcap", OUSTER_PORT))
    return OusterDecoder("lidar_top", Ouster(type="ouster", metadata=metadata)), packets


@pytest.fixture
def vlp16(shared_data: Path) -> tuple[VelodyneDecoder, list[Packet]]:
    """A VLP-16: 293 packets, three turns and most of a fourth."""
    pytest.importorskip("velodyne_decoder", reason="velodyne-decoder is not installed")
    path = shared_data / "lidar_pcap" / "velodyne" / "sample_velodyne_vlp16_gps.pcap"
    decoder = VelodyneDecoder("lidar_top", Velodyne(type="velodyne", model="VLP-16"))
    return decoder, list(read_pcap(path, VELODYNE_PORT))


def assert_is_a_sweep(cloud: PointCloud, beams: int) -> None:
    assert cloud.sensor == cloud.frame_id == "lidar_top"
    assert cloud.xyz_m.dtype == np.float32
    assert np.isfinite(cloud.xyz_m).all()
    assert cloud.intensity is not None
    assert cloud.ring is not None
    assert cloud.offset_s is not None
    assert len(cloud) == len(cloud.intensity) == len(cloud.ring) == len(cloud.offset_s)
    assert 0.0 <= cloud.intensity.min() < cloud.intensity.max() <= 1.0
    assert sorted(np.unique(cloud.ring)) == list(range(beams))
    assert cloud.offset_s.dtype == np.float32
    assert cloud.offset_s.max() == pytest.approx(0.0, abs=1e-3)
    assert cloud.offset_s.max() <= 0.0
    assert cloud.offset_s.min() == pytest.approx(-0.1, abs=0.01)
    # The lowest beam is ring 0: elevation rises with the ring.
    elevation = np.arctan2(cloud.xyz_m[:, 2], np.hypot(cloud.xyz_m[:, 0], cloud.xyz_m[:, 1]))
    lowest, highest = elevation[cloud.ring == 0], elevation[cloud.ring == beams - 1]
    assert np.median(lowest) < -0.2
    assert np.median(highest) > 0.2


class Stuck:
    """Packets of a sensor whose head doesn't turn: the same one, a thousand times a second, for ten seconds."""

    def open(self) -> None:
        self.sent = 0

    def receive(self) -> Packet | None:
        self.sent += 1
        if self.sent > 10_000:
            raise EndOfData("stuck")
        return Packet(from_s(self.sent / 1000), b"")

    def close(self) -> None:
        pass


class Sweepless:
    """A decoder that takes every packet and never has a sweep."""

    def reset(self) -> None:
        pass

    def decode(self, packet: Packet) -> Reading[PointCloud]:
        return Reading()


def test_packets_without_a_sweep_do_not_hold_the_reader() -> None:
    packets = Stuck()
    lidar = PacketLidar(packets, Sweepless())
    lidar.open()
    assert lidar.read() == Reading()
    assert packets.sent == pytest.approx(200, abs=2)
    assert lidar.read() == Reading()
    assert packets.sent == pytest.approx(400, abs=4)


def test_velodyne_sweeps(vlp16: tuple[VelodyneDecoder, list[Packet]]) -> None:
    decoder, packets = vlp16
    clouds, lost, malformed, _ = read_all(decoder, packets)
    assert (len(clouds), lost, malformed) == (3, 0, 0)
    for cloud in clouds:
        assert_is_a_sweep(cloud, 16)
        assert 18_000 < len(cloud) < 20_000
    assert np.diff([cloud.t_ns for cloud in clouds]) / 1e9 == pytest.approx([0.1, 0.1], abs=0.002)
    assert 0 < to_s(clouds[0].t_ns - packets[76].t_ns) < 0.0014


def test_velodyne_packets_that_are_missing_are_counted(vlp16: tuple[VelodyneDecoder, list[Packet]]) -> None:
    decoder, packets = vlp16
    clouds, lost, malformed, _ = read_all(decoder, packets[:20] + packets[25:100] + packets[101:])
    assert (len(clouds), lost, malformed) == (3, 6, 0)


def test_malformed_velodyne_packets_are_counted_and_survived(
    vlp16: tuple[VelodyneDecoder, list[Packet]],
) -> None:
    decoder, packets = vlp16
    spoiled = list(packets)
    spoiled[5] = Packet(packets[5].t_ns, b"short")
    spoiled[7] = Packet(packets[7].t_ns, packets[7].payload[:-1] + b"\x99")
    spoiled[9] = Packet(packets[9].t_ns, b"\xff\xee\xff\xff" + packets[9].payload[4:])
    clouds, _, malformed, notes = read_all(decoder, spoiled)
    assert (len(clouds), malformed) == (3, 3)
    assert notes[0] == "a packet of 5 bytes, not 1206"
    assert notes[1] == "a packet of model 0x99, not 0x22"
    assert notes[2] == "a packet whose blocks have no valid flag or azimuth"


def test_a_pause_does_not_join_halves_of_two_sweeps(vlp16: tuple[VelodyneDecoder, list[Packet]]) -> None:
    decoder, packets = vlp16
    later = [Packet(p.t_ns + from_s(30), p.payload) for p in packets[40:]]
    clouds, lost, _, _ = read_all(decoder, packets[:40] + later)
    assert len(clouds) == 3
    assert lost == 0
    for cloud in clouds:
        assert cloud.offset_s is not None
        assert cloud.offset_s.min() > -0.11


@pytest.mark.parametrize("jump_us", [-400_000, 60_000_000, 2_000_000_000])
def test_a_sensors_clock_that_is_set_costs_no_more_than_a_sweep(
    vlp16: tuple[VelodyneDecoder, list[Packet]], jump_us: int
) -> None:
    decoder, packets = vlp16
    jumped = list(packets[:100])
    for packet in packets[100:]:
        (stamp_us,) = struct.unpack_from("<I", packet.payload, 1200)
        stamp = struct.pack("<I", (stamp_us + jump_us) % 3_600_000_000)
        jumped.append(Packet(packet.t_ns, packet.payload[:1200] + stamp + packet.payload[1204:]))
    clouds, lost, malformed, _ = read_all(decoder, jumped)
    assert (len(clouds), lost, malformed) == (3, 0, 0)
    for cloud in clouds:
        assert cloud.offset_s is not None
        assert cloud.offset_s.min() > -0.11
        assert packets[0].t_ns < cloud.t_ns < packets[-1].t_ns + from_s(0.002)


def test_gaps_survive_the_full_hour_and_repeated_packets() -> None:
    gaps = PacketGaps()
    stamps_us = [3_599_998_000, 3_599_999_000, 0, 1000, 1000, 500, 1500, 2500, 5500]
    assert [gaps.lost_before(stamp_us) for stamp_us in stamps_us] == [0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_an_hdl64_needs_its_own_calibration(tmp_path: Path, make_lidar: Any, clock: Any) -> None:
    pytest.importorskip("velodyne_decoder", reason="velodyne-decoder is not installed")
    driver = {"type": "velodyne", "model": "HDL-64E S2"}
    where = r"lidar_top\.driver\.calibration"
    with pytest.raises(InputError, match=where + ".*calibration of its own"):
        lidar_source(make_lidar(driver), clock)
    with pytest.raises(InputError, match=where + ".*no such calibration"):
        lidar_source(make_lidar(driver | {"calibration": str(tmp_path / "c.yml")}), clock)
    (tmp_path / "c.yml").write_text("lasers: nonsense")
    with pytest.raises(InputError, match=where + ".*not a calibration"):
        lidar_source(make_lidar(driver | {"calibration": str(tmp_path / "c.yml")}), clock)


def test_an_hdl64_with_its_calibration_can_be_used(make_lidar: Any, clock: Any) -> None:
    vendor = pytest.importorskip("velodyne_decoder", reason="velodyne-decoder is not installed")
    calibration = Path(vendor.__file__).parent / "calibrations" / "HDL-64E_S2.1-sztaki.yml"
    driver = {"type": "velodyne", "model": "HDL-64E S2", "calibration": str(calibration)}
    assert isinstance(lidar_source(make_lidar(driver), clock), PacketLidar)


def test_ouster_sweeps(os1: tuple[OusterDecoder, list[Packet]]) -> None:
    decoder, packets = os1
    clouds, lost, malformed, _ = read_all(decoder, packets)
    assert (len(clouds), lost, malformed) == (3, 0, 0)
    for cloud, last in zip(clouds, packets[63::64], strict=True):
        assert_is_a_sweep(cloud, 128)
        assert len(cloud) > 100_000
        assert cloud.t_ns == last.t_ns


def test_both_returns_of_an_ouster_are_kept(ouster_folder: Path) -> None:
    name = ouster_folder / "OS-0-32-U1_v2.2.0_1024x10"
    decoder = OusterDecoder("lidar_top", Ouster(type="ouster", metadata=f"{name}.json"))
    packets = list(read_pcap(name.with_name(name.name + ".pcap"), OUSTER_PORT))
    (cloud,), lost, malformed, _ = read_all(decoder, packets)
    assert (lost, malformed) == (0, 0)
    assert_is_a_sweep(cloud, 32)
    one_return = 0.660125732421875 * 32 * 1024
    assert one_return < len(cloud) < 2 * one_return


def test_ouster_packets_that_are_missing_are_counted(os1: tuple[OusterDecoder, list[Packet]]) -> None:
    decoder, packets = os1
    clouds, lost, _, _ = read_all(decoder, packets[:20] + packets[25:100] + packets[101:])
    assert (len(clouds), lost) == (3, 6)
    assert len(clouds[0]) < len(clouds[2])


def test_a_sweep_that_was_under_way_is_left_out(os1: tuple[OusterDecoder, list[Packet]]) -> None:
    decoder, packets = os1
    clouds, lost, _, _ = read_all(decoder, packets[30:])
    assert (len(clouds), lost) == (2, 0)


def test_repeated_and_reordered_ouster_packets_do_no_harm(os1: tuple[OusterDecoder, list[Packet]]) -> None:
    decoder, packets = os1
    expected, *_ = read_all(decoder, packets)
    mixed = [*packets[:10], packets[9], packets[11], packets[10], *packets[12:]]
    clouds, lost, malformed, _ = read_all(decoder, mixed)
    assert (lost, malformed) == (0, 0)
    for cloud, original in zip(clouds, expected, strict=True):
        np.testing.assert_array_equal(cloud.xyz_m, original.xyz_m)


def test_an_ouster_that_was_started_again_goes_on(os1: tuple[OusterDecoder, list[Packet]]) -> None:
    decoder, packets = os1
    start_number = slice(4, 7)
    restarted = []
    for packet in packets:
        payload = bytearray(packet.payload)
        payload[start_number] = b"\1\2\3"
        restarted.append(Packet(packet.t_ns, bytes(payload)))
    clouds, lost, malformed, _ = read_all(decoder, restarted)
    assert (len(clouds), lost, malformed) == (3, 0, 0)


@pytest.fixture
def checked(ouster_folder: Path) -> tuple[OusterDecoder, list[Packet]]:
    """An OS-0-128 whose firmware writes checksums: one sweep of 32 packets and two of the next."""
    metadata = str(ouster_folder / "crc_test.json")
    packets = list(read_pcap(ouster_folder / "crc_test.pcap", OUSTER_PORT))
    return OusterDecoder("lidar_top", Ouster(type="ouster", metadata=metadata)), packets


def test_ouster_packets_with_a_wrong_checksum_are_refused(
    checked: tuple[OusterDecoder, list[Packet]],
) -> None:
    decoder, packets = checked
    clouds, lost, malformed, _ = read_all(decoder, packets)
    assert (len(clouds), lost, malformed) == (1, 0, 0)
    flipped = bytearray(packets[12].payload)
    flipped[4000] ^= 0x10
    spoiled = [*packets[:12], Packet(packets[12].t_ns, bytes(flipped)), *packets[13:]]
    _, _, malformed, notes = read_all(decoder, spoiled)
    assert malformed == 1
    assert notes == ["a packet whose checksum is wrong"]


def test_malformed_ouster_packets_are_counted_and_survived(
    os1: tuple[OusterDecoder, list[Packet]], checked: tuple[OusterDecoder, list[Packet]]
) -> None:
    decoder, packets = os1
    foreign = checked[1][0]
    spoiled = [*packets[:5], Packet(packets[5].t_ns, b"short"), foreign, *packets[5:]]
    spoiled = [Packet(packets[0].t_ns, p.payload) if p is foreign else p for p in spoiled]
    clouds, lost, malformed, notes = read_all(decoder, spoiled)
    assert (len(clouds), lost, malformed) == (3, 0, 2)
    assert notes[0] == "a packet of 5 bytes, not 8448"
    assert notes[1] == "a packet of sensor 122247000785, the metadata are of 122201000998"


@pytest.mark.parametrize(
    ("name", "port", "message"),
    [
        ("empty_pcap", OUSTER_PORT, "holds no UDP packet"),
        ("duplicate_id", 34636, "held no whole sweep"),
        ("OS-0-32-U1_v2.2.0_1024x10-single-packet", OUSTER_PORT, "held no whole sweep"),
    ],
)
def test_captures_without_a_sweep_end_and_say_so(
    ouster_folder: Path, make_lidar: Any, clock: Any, name: str, port: int, message: str
) -> None:
    metadata = ouster_folder / f"{name.removesuffix('-single-packet')}.json"
    pcap = ouster_folder / f"{name}.pcap"
    driver = {"type": "ouster", "metadata": str(metadata), "pcap": str(pcap), "port": port}
    source = lidar_source(make_lidar(driver), clock)

    def play() -> None:
        source.open()
        while True:
            assert source.read().data is None

    with pytest.raises((InputError, EndOfData), match=rf"{name}\.pcap.*{message}"):
        play()


@pytest.mark.parametrize("content", ["", "{}", "not json", json.dumps({"lidar_mode": "1024x10"})])
def test_malformed_metadata_is_named(tmp_path: Path, make_lidar: Any, clock: Any, content: str) -> None:
    pytest.importorskip("ouster.sdk.core", reason="ouster-sdk is not installed")
    path = tmp_path / "sensor.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"sensor\.json: not an Ouster's metadata"):
        lidar_source(make_lidar({"type": "ouster", "metadata": str(path)}), clock)
    path.unlink()
    with pytest.raises(InputError, match=r"sensor\.json: no such metadata"):
        lidar_source(make_lidar({"type": "ouster", "metadata": str(path)}), clock)


@pytest.mark.parametrize(
    ("module", "driver"),
    [
        ("velodyne_decoder", {"type": "velodyne", "model": "VLP-16"}),
        ("ouster.sdk.core", {"type": "ouster", "metadata": "sensor.json"}),
        ("dpkt", {"type": "velodyne", "model": "VLP-16", "pcap": "c.pcap"}),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, make_lidar: Any, clock: Any, module: str, driver: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"lidar_top\.driver: needs {module}: install the extra"):
        lidar_source(make_lidar(driver), clock)


@pytest.fixture
def udp_packets() -> Iterator[UdpPackets]:
    packets = UdpPackets("127.0.0.1", 0)
    yield packets
    packets.close()


def send_in_time(packets: list[Packet], port: int) -> None:
    """Send packets to this machine at their own pace, as a sensor does."""
    pacer = Pacer(SystemClock())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in packets:
            pacer.wait_until(packet.t_ns)
            sender.sendto(packet.payload, ("127.0.0.1", port))


@pytest.mark.slow
@pytest.mark.parametrize("make", ["vlp16", "os1"])
def test_live_packets_over_udp(make: str, request: pytest.FixtureRequest, udp_packets: UdpPackets) -> None:
    decoder, packets = request.getfixturevalue(make)
    lidar = PacketLidar(udp_packets, decoder)
    lidar.open()
    sender = Thread(target=send_in_time, args=(packets, udp_packets.port))
    sender.start()
    readings = []
    while sender.is_alive() or readings[-1] != Reading():
        readings.append(lidar.read())
    sender.join()
    lidar.close()
    clouds = [r.data for r in readings if r.data is not None]
    assert len(clouds) == 3
    assert {(r.packets_lost, r.malformed) for r in readings} == {(0, 0)}
    assert np.diff([cloud.t_ns for cloud in clouds]) / 1e9 == pytest.approx([0.1, 0.1], abs=0.02)
    with pytest.raises(SourceLost):
        lidar.read()


def test_vendors_packets_are_what_the_counters_think(vlp16: tuple[Any, list[Packet]]) -> None:
    stamps = [struct.unpack_from("<I", p.payload, 1200)[0] for p in vlp16[1]]
    assert set(np.diff(stamps)) == {1327, 1328}
