"""Lineage, ego motion and the orderings that decisions rest on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming, merge
from perception_platform.core.sensor_data import CameraModel, EgoState
from perception_platform.core.time import from_ms, from_s, to_ms, to_s
from perception_platform.core.verdicts import Action


def test_merged_lineage_names_each_source_and_stage_once_in_time_order() -> None:
    lidar, scan = SourceStamp("lidar_top", 200), SourceStamp("scan_front", 100)
    perceived = StageTiming("perception", 205, 210, 210, 240, 241)
    merged = merge([Lineage((lidar,), (perceived,)), Lineage((scan, lidar)).then(perceived)])
    assert merged.sources == (scan, lidar)
    assert merged.stages == (perceived,)
    assert merged.oldest_ns == 100


def test_age_is_of_the_oldest_source_and_never_negative() -> None:
    lineage = Lineage((SourceStamp("a", 100), SourceStamp("b", 300)))
    assert lineage.age_ns(350) == 250
    assert lineage.age_ns(50) == 0
    assert Lineage().age_ns(50) is None


@pytest.mark.parametrize("times", [(2, 1, 3, 4, 5), (1, 2, 4, 3, 5), (1, 2, 3, 4, 3)])
def test_a_stage_that_ends_before_it_begins_is_refused(times: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        StageTiming("risk", *times)


def test_ego_motion_at_another_time_follows_the_arc() -> None:
    quarter_turn = EgoState(0, Transform.identity(), (np.pi / 2, 0.0), np.pi / 2)
    steps = quarter_turn
    for t_ns in range(0, from_s(1.0) + 1, from_ms(10)):
        steps = steps.at(t_ns)
    assert steps.odom_from_base.translation_m == pytest.approx((1.0, 1.0, 0.0), abs=1e-3)
    assert steps.odom_from_base.yaw_rad == pytest.approx(np.pi / 2)


@given(st.floats(-3.0, 3.0), st.floats(-1.0, 1.0), st.integers(-(10**9), 10**9))
def test_ego_motion_forth_and_back_ends_where_it_began(vx: float, yaw_rate: float, dt_ns: int) -> None:
    ego = EgoState(0, Transform.planar(1.0, 2.0, 0.3), (vx, 0.1), yaw_rate)
    back = ego.at(dt_ns).at(0)
    assert back.odom_from_base.translation_m == pytest.approx(ego.odom_from_base.translation_m, abs=1e-9)


def test_the_camera_projects_what_is_ahead_and_nothing_else() -> None:
    camera = CameraModel(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]))
    pixels = camera.project(np.array([[0.0, 0.0, 2.0], [1.0, -0.5, 5.0], [0.0, 0.0, -2.0]]))
    assert pixels[0] == pytest.approx((320, 240))
    assert pixels[1] == pytest.approx((420, 190))
    assert np.isnan(pixels[2]).all()


def test_an_empty_message_is_the_strictest_action() -> None:
    assert min(Action) is Action(0) is Action.EMERGENCY_STOP


@given(st.integers(-(10**15), 10**15))
def test_seconds_and_milliseconds_round_trip(t_ns: int) -> None:
    assert from_s(to_s(t_ns)) == pytest.approx(t_ns, abs=1)
    assert from_ms(to_ms(t_ns)) == pytest.approx(t_ns, abs=1)
