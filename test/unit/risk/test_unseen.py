"""What came too near for a lidar's beams: remembered while it stands and nothing is seen there, and no longer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_ms, from_s
from perception_platform.core.verdicts import Action
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.stage import RiskStage
from perception_platform.risk.unseen import Unseen
from perception_platform.robot.load import load_robot
from test.unit.scenes import points, track

# Of the amr: lidar at (0.10, 0, 1.10), lowest beam 15 degrees down. What is 0.6 m high goes out of its sight nearer
# than 0.10 + 0.5 / tan 15° = 1.966 m; the front is at 0.45 m.
CONFIG = RiskConfig.from_robot(load_robot("amr"))
GONE_M = 0.10 + 0.5 / np.tan(np.deg2rad(15))
BAR_M = 5.0  # where a bar hangs, in odom
SIZE_M = (0.2, 0.6, 0.2)


def at(x_m: float, look: int) -> EgoState:
    """The robot, so far along x, 100 ms a look."""
    return EgoState(from_ms(100 * look), Transform.planar(x_m, 0.0, 0.0), (0.5, 0.0), 0.0)


def bar(robot_x_m: float, look: int, bar_x_m: float = BAR_M) -> PointCloud:
    """The points of the bar that the lidar sees from there: none once it is too near."""
    ahead_m = bar_x_m - robot_x_m
    row = [(ahead_m, y, 0.6) for y in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    return points(*(row if ahead_m >= GONE_M else ()), t_ns=from_ms(100 * look))


def bar_track(look: int, **changes: object) -> Tracks:
    """Its track: it has been there for a second, and was seen just now."""
    t_ns = from_ms(100 * look)
    tracks = track(BAR_M, size_m=SIZE_M, class_id=ObjectClass.UNKNOWN, t_ns=t_ns)
    return replace(replace(tracks, first_seen_ns=np.array([t_ns - from_s(1.0)])), **changes)


def driven(unseen: Unseen, until_m: float, step_m: float = 0.1, **changes: object) -> list[PointCloud]:
    """What is remembered after the robot has driven up from 2 m."""
    found: list[PointCloud] = []
    for look, x_m in enumerate(np.arange(2.0, until_m + 1e-9, step_m)):
        found = unseen.look([bar(x_m, look)], bar_track(look, **changes), at(x_m, look))
    return found


def test_nothing_is_remembered_while_it_is_seen() -> None:
    assert driven(Unseen(CONFIG), BAR_M - GONE_M - 0.01) == []


def test_what_the_way_took_out_of_sight_stays_where_it_was() -> None:
    (cloud,) = driven(Unseen(CONFIG), 3.5)
    assert cloud.sensor == "lidar_top"
    assert cloud.t_ns == from_ms(1500)
    assert cloud.xyz_m[:, 0] == pytest.approx(np.full(5, BAR_M - 3.5), abs=1e-5)
    assert sorted(cloud.xyz_m[:, 1].tolist()) == pytest.approx([-0.2, -0.1, 0.0, 0.1, 0.2])


def test_a_bar_across_the_whole_hall_is_remembered_too() -> None:
    wide = np.array([[0.2, 20.0, 0.2]])
    assert len(driven(Unseen(CONFIG), 3.5, sizes_m=wide)[0]) == 5


def test_the_robot_stops_for_it_and_says_that_it_remembers() -> None:
    unseen, stage = Unseen(CONFIG), RiskStage(CONFIG)
    remembered = driven(unseen, 4.0)
    ego, now_ns, cloud = at(4.0, 20), from_ms(2000), bar(4.0, 20)
    tracks = Tracks.empty(now_ns, "odom")
    blind = stage.copy().step(tracks, [cloud], ego, now_ns=now_ns).findings
    found = stage.step(tracks, [cloud, *remembered], ego, now_ns=now_ns).findings
    assert all(finding.action > Action.STOP for finding in blind)
    assert found[0].action <= Action.STOP
    assert "remembered points of lidar_top" in found[0].text


def test_it_does_not_fade_with_time() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    for look in range(16, 400):
        (cloud,) = unseen.look([bar(3.5, look)], Tracks.empty(from_ms(100 * look), "odom"), at(3.5, look))
    assert len(cloud) == 5


def test_backing_out_brings_it_into_view_and_what_is_seen_counts() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    empty = points(t_ns=from_ms(1600))
    assert unseen.look([empty], Tracks.empty(from_ms(1600), "odom"), at(2.9, 16)) == []


def test_what_the_robot_stands_on_is_not_there() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    empty = points(t_ns=from_ms(1600))
    assert unseen.look([empty], Tracks.empty(from_ms(1600), "odom"), at(BAR_M, 16)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"velocities_mps": np.array([[0.0, 0.6]])},
        {"class_ids": np.array([int(ObjectClass.PERSON)])},
        {"class_ids": np.array([int(ObjectClass.CYCLIST)])},
        {"existence": np.array([0.3])},
        {"last_seen_ns": np.array([-from_s(1.0)])},
        {"first_seen_ns": np.array([from_s(60.0)])},
        {"centers_m": np.array([[BAR_M + 2.0, 0.0, 0.6]])},
    ],
    ids=["moves", "person", "cyclist", "doubtful", "long unseen", "just found", "elsewhere"],
)
def test_only_what_surely_stands_is_remembered(changes: dict[str, object]) -> None:
    assert driven(Unseen(CONFIG), 3.5, **changes) == []


def test_what_begins_to_move_takes_its_points_along() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    moving = bar_track(16, velocities_mps=np.array([[0.0, 0.6]]))
    assert unseen.look([bar(3.5, 16)], moving, at(3.5, 16)) == []


def drifting(size_m: tuple[float, float, float], share: float) -> list[PointCloud]:
    """What is remembered of a bar whose track drifts sideways, though it is said to stand."""
    unseen, found = Unseen(CONFIG), []
    for look, x_m in enumerate(np.arange(2.0, 3.5 + 1e-9, 0.1)):
        place = {"centers_m": np.array([[BAR_M, share * 0.1 * look, 0.6]]), "sizes_m": np.array([size_m])}
        found = unseen.look([bar(x_m, look)], bar_track(look, **place), at(x_m, look))
    return found


def test_what_drifts_is_not_remembered_however_slow_the_tracker_takes_it_to_be() -> None:
    """A truck that passes for a wall while it creeps by: its points would stay behind and hold the robot up."""
    assert drifting((0.2, 3.0, 0.2), 1.2) == []
    assert drifting((0.2, 3.0, 0.2), 0.4) != []


def test_what_is_longer_than_is_seen_at_once_may_seem_to_drift() -> None:
    assert drifting((0.2, 6.5, 0.2), 1.2) != []


def test_a_box_that_jumps_as_its_object_goes_out_of_sight_takes_nothing_along() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    jumped = bar_track(16, centers_m=np.array([[BAR_M, 0.8, 0.6]]))
    (cloud,) = unseen.look([bar(3.5, 16)], jumped, at(3.5, 16))
    assert len(cloud) == 5


def test_a_standing_robot_takes_nothing_in() -> None:
    """What comes near by itself, and noise at the edge of sight, are no reason to remember."""
    unseen = Unseen(CONFIG)
    for look in range(10):
        cloud = bar(3.0, look, bar_x_m=5.2 - 0.1 * look)
        assert unseen.look([cloud], bar_track(look), at(3.0, look)) == []


def test_the_same_sweep_again_changes_nothing() -> None:
    unseen = Unseen(CONFIG)
    (once,) = driven(unseen, 3.5)
    (again,) = unseen.look([bar(3.5, 15)], bar_track(15), at(3.6, 15))
    assert np.array_equal(once.xyz_m, again.xyz_m)


def test_a_clock_set_back_begins_afresh() -> None:
    unseen = Unseen(CONFIG)
    driven(unseen, 3.5)
    assert unseen.look([bar(3.5, 3)], bar_track(3), at(3.5, 3)) == []


def test_a_lidar_of_unknown_beams_and_a_scanner_are_left_out() -> None:
    assert list(CONFIG.sights) == ["lidar_top"]
    assert driven(Unseen(replace(CONFIG, sights={})), 3.5) == []


def test_what_is_nearer_than_the_lidar_measures_or_above_its_beams_is_out_of_sight() -> None:
    sight = CONFIG.sights["lidar_top"]
    xyz_m = np.array([[2.1, 0.0, 1.1], [2.1, 0.0, 1.7], [2.1, 0.0, 0.5], [0.5, 0.0, 1.1], [0.7, 0.0, 1.1]])
    assert sight.misses(xyz_m).tolist() == [False, True, True, True, False]
