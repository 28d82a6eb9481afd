"""What a report says of good, bad and lost sensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from perception_platform.core.sensor_data import (
    Image,
    PointCloud,
    SensorHealth,
    SensorProblem,
    SensorStatus,
)
from perception_platform.core.time import from_ms, from_s
from perception_platform.sensing.health import HealthMonitor

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = from_ms(100)


def lit(seed: int) -> npt.NDArray[np.uint8]:
    """A lit, noisy picture."""
    return np.random.default_rng(seed).integers(60, 180, (240, 320, 3), dtype=np.uint8)


def sweep(t_ns: int, without_rad: tuple[float, float] | None = None, range_m: float = 8.0) -> PointCloud:
    azimuth = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    if without_rad is not None:
        azimuth = azimuth[(azimuth < without_rad[0]) | (azimuth >= without_rad[1])]
    xyz = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)], axis=1) * range_m
    return PointCloud(t_ns, "lidar_top", "lidar_top", xyz.astype(np.float32))


@pytest.fixture
def camera(make_camera: Any) -> HealthMonitor:
    return HealthMonitor(make_camera(), 0.05)


@pytest.fixture
def lidar(make_lidar: Any) -> HealthMonitor:
    return HealthMonitor(make_lidar(), 0.05)


def show(camera: HealthMonitor, pictures: list[npt.NDArray[np.uint8]], first: int = 0) -> SensorHealth:
    for i, pixels in enumerate(pictures, first):
        now_ns = START_NS + i * PERIOD_NS
        camera.observe_image(Image(now_ns - from_ms(10), "camera_front", "camera_front", pixels), now_ns)
    return camera.report(START_NS + (first + len(pictures) - 1) * PERIOD_NS + from_ms(20))


def turn(lidar: HealthMonitor, count: int, first: int = 0, **sweep_options: Any) -> SensorHealth:
    for i in range(first, first + count):
        t_ns = START_NS + i * PERIOD_NS
        lidar.observe_cloud(sweep(t_ns, **sweep_options), t_ns + from_ms(5))
    return lidar.report(START_NS + (first + count - 1) * PERIOD_NS + from_ms(20))


def test_nothing_yet_is_a_failure(camera: HealthMonitor) -> None:
    health = camera.report(START_NS)
    assert health.status is SensorStatus.FAILED
    assert health.problems == (SensorProblem.NO_DATA,)
    assert health.age_s == math.inf
    assert health.rate_hz == 0.0


def test_a_good_camera_is_ok(camera: HealthMonitor) -> None:
    health = show(camera, [lit(i) for i in range(50)])
    assert health.status is SensorStatus.OK
    assert (health.problems, health.text) == ((), "ok")
    assert health.rate_hz == pytest.approx(10.0, rel=0.05)
    assert health.age_s == pytest.approx(0.03)
    assert (health.frames_received, health.frames_dropped) == (50, 0)


def test_a_frozen_image_fails_and_recovers(camera: HealthMonitor) -> None:
    assert show(camera, [lit(0)] * 4).problems == ()
    frozen = show(camera, [lit(0)], first=4)
    assert frozen.status is SensorStatus.FAILED
    assert frozen.problems == (SensorProblem.FROZEN_IMAGE,)
    assert show(camera, [lit(1)], first=5).status is SensorStatus.OK


def test_a_still_scene_with_noise_is_not_frozen(camera: HealthMonitor) -> None:
    still = lit(0)
    noisy = [still ^ np.random.default_rng(i).integers(0, 2, still.shape, dtype=np.uint8) for i in range(20)]
    assert show(camera, noisy).status is SensorStatus.OK


@pytest.mark.parametrize(
    ("level", "problem"), [(3, SensorProblem.DARK_IMAGE), (255, SensorProblem.SATURATED_IMAGE)]
)
def test_a_dark_or_saturated_image_degrades(
    camera: HealthMonitor, level: int, problem: SensorProblem
) -> None:
    covered = np.full((240, 320, 3), level, dtype=np.uint8)
    assert show(camera, [lit(0), covered, covered]).status is SensorStatus.OK
    health = show(camera, [covered] * 7, first=3)
    assert health.status is SensorStatus.DEGRADED
    assert health.problems == (problem,)
    assert show(camera, [lit(1)], first=10).status is SensorStatus.OK


def test_a_night_scene_with_lamps_is_neither_dark_nor_saturated(camera: HealthMonitor) -> None:
    night = np.random.default_rng(0).integers(0, 12, (240, 320, 3), dtype=np.uint8)
    night[:, :32] = 255
    nights = [np.roll(night, i, axis=0) for i in range(10)]
    assert show(camera, nights).status is SensorStatus.OK


def test_silence_is_stale_and_recovery_is_seen_at_once(camera: HealthMonitor) -> None:
    show(camera, [lit(i) for i in range(40)])
    last_ns = START_NS + 39 * PERIOD_NS
    assert camera.report(last_ns + from_ms(250)).status is SensorStatus.OK
    stale = camera.report(last_ns + from_ms(350))
    assert stale.status is SensorStatus.FAILED
    assert SensorProblem.STALE in stale.problems
    again = show(camera, [lit(i) for i in range(40, 80)], first=44)
    assert again.status is SensorStatus.OK
    assert again.frames_dropped == 4


def test_a_loss_that_is_known_is_told_before_data_is_stale(camera: HealthMonitor) -> None:
    show(camera, [lit(i) for i in range(5)])
    camera.lost("/dev/video0: cannot be opened")
    health = camera.report(START_NS + 4 * PERIOD_NS + from_ms(30))
    assert health.status is SensorStatus.FAILED
    assert health.problems == (SensorProblem.NO_DATA,)
    assert "/dev/video0: cannot be opened" in health.text
    assert show(camera, [lit(9)], first=5).status is SensorStatus.OK


def test_a_rate_far_below_the_robot_files_degrades(camera: HealthMonitor) -> None:
    for i in range(20):
        now_ns = START_NS + i * from_ms(140)
        camera.observe_image(Image(now_ns, "camera_front", "camera_front", lit(i)), now_ns)
    early = camera.report(START_NS + 10 * from_ms(140))
    assert SensorProblem.LOW_RATE not in early.problems
    for i in range(20, 40):
        now_ns = START_NS + i * from_ms(140)
        camera.observe_image(Image(now_ns, "camera_front", "camera_front", lit(i)), now_ns)
    health = camera.report(now_ns)
    assert health.status is SensorStatus.DEGRADED
    assert health.problems == (SensorProblem.LOW_RATE,)
    assert health.rate_hz == pytest.approx(7.1, abs=0.4)


def test_dropped_frames_are_counted_and_many_of_them_degrade(camera: HealthMonitor) -> None:
    show(camera, [lit(i) for i in range(30)])
    single = show(camera, [lit(99)], first=31)
    assert (single.status, single.frames_dropped) == (SensorStatus.OK, 1)
    for i in range(33, 45, 2):
        many = show(camera, [lit(i)], first=i)
    assert many.frames_dropped == 7
    assert SensorProblem.DROPPED_FRAMES in many.problems
    assert many.status is SensorStatus.DEGRADED


@pytest.mark.parametrize(
    ("shift_ns", "problem"),
    [(from_s(0.2), SensorProblem.FUTURE_STAMP), (-from_s(0.5), SensorProblem.BACKWARDS_STAMP)],
)
def test_a_stamp_that_cannot_be_right_fails_for_a_while(
    camera: HealthMonitor, shift_ns: int, problem: SensorProblem
) -> None:
    show(camera, [lit(i) for i in range(10)])
    now_ns = START_NS + 10 * PERIOD_NS
    camera.observe_image(Image(now_ns + shift_ns, "camera_front", "camera_front", lit(10)), now_ns)
    health = camera.report(now_ns)
    assert health.status is SensorStatus.FAILED
    assert problem in health.problems
    assert health.frames_received == 11
    assert show(camera, [lit(i) for i in range(11, 50)], first=11).status is SensorStatus.OK


def test_a_clock_that_is_set_back_is_survived(camera: HealthMonitor) -> None:
    show(camera, [lit(i) for i in range(40)])
    an_hour = 36_000
    silent = camera.report(START_NS - an_hour * PERIOD_NS)
    assert silent.status is SensorStatus.FAILED
    assert SensorProblem.FUTURE_STAMP in silent.problems
    first = show(camera, [lit(40)], first=40 - an_hour)
    assert first.problems == (SensorProblem.LOW_RATE, SensorProblem.BACKWARDS_STAMP)
    again = show(camera, [lit(i) for i in range(41, 80)], first=41 - an_hour)
    assert (again.status, again.rate_hz) == (SensorStatus.OK, pytest.approx(10.0, rel=0.05))


def test_the_rate_is_right_from_the_second_image_on(camera: HealthMonitor) -> None:
    assert show(camera, [lit(0)]).rate_hz == 0.0
    assert show(camera, [lit(1)], first=1).rate_hz == pytest.approx(10.0, rel=0.2)


def test_lost_packets_degrade_when_there_are_many(lidar: HealthMonitor) -> None:
    turn(lidar, 20)
    lidar.packets_lost(3, START_NS + 20 * PERIOD_NS)
    few = turn(lidar, 1, first=20)
    assert (few.status, few.packets_dropped) == (SensorStatus.OK, 3)
    lidar.packets_lost(40, START_NS + 21 * PERIOD_NS)
    many = turn(lidar, 1, first=21)
    assert (many.status, many.packets_dropped) == (SensorStatus.DEGRADED, 43)
    assert many.problems == (SensorProblem.DROPPED_PACKETS,)


def test_malformed_data_is_told_for_a_while_with_its_reason(lidar: HealthMonitor) -> None:
    turn(lidar, 5)
    lidar.malformed(2, "a packet of 7 bytes, not 1206", START_NS + 5 * PERIOD_NS)
    health = turn(lidar, 1, first=5)
    assert (health.status, health.malformed) == (SensorStatus.DEGRADED, 2)
    assert health.text == "malformed; a packet of 7 bytes, not 1206"
    later = turn(lidar, 40, first=6)
    assert (later.status, later.malformed, later.text) == (SensorStatus.OK, 2, "ok")


def test_a_sector_that_goes_blind_is_named_and_stays_so(lidar: HealthMonitor) -> None:
    assert turn(lidar, 30).status is SensorStatus.OK
    missing = (math.radians(20), math.radians(60))
    assert turn(lidar, 9, first=30, without_rad=missing).status is SensorStatus.OK
    blind = turn(lidar, 5, first=39, without_rad=missing)
    assert blind.status is SensorStatus.DEGRADED
    assert blind.problems == (SensorProblem.SECTOR_BLIND,)
    np.testing.assert_allclose(blind.blind_sectors_rad, [missing], atol=1e-6)
    assert turn(lidar, 1000, first=44, without_rad=missing).problems == (SensorProblem.SECTOR_BLIND,)
    assert turn(lidar, 1, first=1044).status is SensorStatus.OK


def test_a_sector_that_never_had_returns_is_not_blind(lidar: HealthMonitor) -> None:
    assert turn(lidar, 100, without_rad=(0.0, 1.0)).status is SensorStatus.OK


def test_a_sector_that_seldom_has_returns_is_not_blind(lidar: HealthMonitor) -> None:
    gap = (math.radians(20), math.radians(60))
    statuses = set()
    for i in range(200):
        statuses.add(turn(lidar, 1, first=i, without_rad=None if i % 20 == 0 else gap).status)
    assert statuses == {SensorStatus.OK}


def test_a_cover_on_the_lens_is_blindness(lidar: HealthMonitor) -> None:
    turn(lidar, 30)
    health = turn(lidar, 15, first=30, range_m=0.1)
    assert health.status is SensorStatus.FAILED
    np.testing.assert_allclose(health.blind_sectors_rad, [(-math.pi, math.pi)])


def test_an_empty_sweep_is_survived(lidar: HealthMonitor) -> None:
    lidar.observe_cloud(
        PointCloud(START_NS, "lidar_top", "lidar_top", np.zeros((0, 3), dtype=np.float32)), START_NS
    )
    assert lidar.report(START_NS).frames_received == 1


AZIMUTHS_DEG = np.arange(-180.0, 180.0, 0.5)


def downward_sweep(t_ns: int, lost: npt.NDArray[np.bool_] | None = None, kept: float = 0.4) -> PointCloud:
    """Ground all around, met by eight beams; of some azimuths (degrees, -180 on) only a share comes back."""
    azimuth, below = np.meshgrid(np.radians(AZIMUTHS_DEG), np.radians(np.linspace(10, 24, 8)))
    rays = np.stack([np.cos(azimuth), np.sin(azimuth), -np.tan(below)], axis=-1)
    xyz_m = (rays / np.tan(below)[..., None]).astype(np.float32)
    if lost is not None:
        back = np.random.default_rng(t_ns // PERIOD_NS).random(azimuth.shape) < np.where(lost, kept, 1.0)
        xyz_m = xyz_m[back]
    return PointCloud(t_ns, "lidar_top", "lidar_top", np.ascontiguousarray(xyz_m.reshape(-1, 3)))


def look_down(lidar: HealthMonitor, first: int, count: int, lost: Any = None) -> SensorHealth:
    for i in range(first, first + count):
        t_ns = START_NS + i * PERIOD_NS
        lidar.observe_cloud(downward_sweep(t_ns, lost), t_ns + from_ms(5))
    return lidar.report(START_NS + (first + count - 1) * PERIOD_NS + from_ms(20))


def test_dirt_on_the_window_degrades_names_its_place_and_goes_when_cleaned(lidar: HealthMonitor) -> None:
    mud = (AZIMUTHS_DEG >= 20) & (AZIMUTHS_DEG < 60)
    assert look_down(lidar, 0, 40).status is SensorStatus.OK
    dirty = look_down(lidar, 40, 30, mud)
    assert dirty.status is SensorStatus.DEGRADED
    assert dirty.problems == (SensorProblem.DIRTY_WINDOW,)
    assert dirty.text == "dirty window; 20 to 60 deg"
    assert look_down(lidar, 70, 300, mud).problems == (SensorProblem.DIRTY_WINDOW,), "it becomes no habit"
    assert look_down(lidar, 370, 40).status is SensorStatus.OK


@pytest.mark.parametrize("others", range(12))
def test_what_stands_ahead_and_changes_how_many_beams_return_is_no_dirt(
    lidar: HealthMonitor, others: int
) -> None:
    """The eight downward beams return as ever; of those that look up, more in some azimuths, for a second or two."""
    look_down(lidar, 0, 40)
    azimuth, above = np.meshgrid(np.radians(AZIMUTHS_DEG[:80]), np.radians(np.arange(others)))
    wall = np.stack([np.cos(azimuth), np.sin(azimuth), np.tan(above)], axis=-1).astype(np.float32) * 4
    for i in range(40, 70):
        t_ns = START_NS + i * PERIOD_NS
        ground = downward_sweep(t_ns).xyz_m.reshape(8, len(AZIMUTHS_DEG), 3).swapaxes(0, 1)
        columns = [*np.concatenate([wall.swapaxes(0, 1), ground[:80]], axis=1), *ground[80:]]
        cloud = PointCloud(t_ns, "lidar_top", "lidar_top", np.concatenate(columns))
        lidar.observe_cloud(cloud, t_ns + from_ms(5))
        assert lidar.report(t_ns + from_ms(20)).status is SensorStatus.OK


def test_a_place_that_returns_less_all_around_is_no_dirt(lidar: HealthMonitor) -> None:
    look_down(lidar, 0, 40)
    assert look_down(lidar, 40, 100, AZIMUTHS_DEG < 180).status is SensorStatus.OK


def test_one_bad_sweep_is_no_dirt(lidar: HealthMonitor) -> None:
    look_down(lidar, 0, 40)
    assert look_down(lidar, 40, 1, AZIMUTHS_DEG < 0).status is SensorStatus.OK
