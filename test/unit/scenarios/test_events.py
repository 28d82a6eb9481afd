"""Events from a made-up drive: what is a collision, a late stop, a false stop, and what time is lost."""

import numpy as np
import pytest

from perception_platform.robot.load import load_robot
from perception_platform.scenarios.events import EventLog, no_events
from perception_platform.scenarios.geometry import Around

AMR = load_robot("amr")  # 0.5 m of clearance ahead


def told(speeds, ahead_m, distance_m=None, faults_s=(), end_s=None):
    """Events of a drive of one tick each 20 ms past one actor."""
    log = EventLog(AMR, 1.0, np.array([True]))
    speeds = np.asarray(speeds, dtype=float)
    ahead = np.broadcast_to(ahead_m, speeds.shape)
    distance = ahead if distance_m is None else np.broadcast_to(distance_m, speeds.shape)
    accel = np.gradient(speeds, 0.02) if len(speeds) > 1 else np.zeros(1)
    for k, speed in enumerate(speeds):
        around = Around(np.array([distance[k]]), np.array([ahead[k]]), np.array([ahead[k]]))
        log.tick(k * 0.02, float(speed), float(accel[k]), around)
        if log.touched:
            break
    return log.events(
        float(speeds.sum() * 0.02), end_s if end_s is not None else len(speeds) * 0.02, list(faults_s)
    )


def test_driving_into_something_is_a_collision_at_its_speed():
    events = told([1.0, 1.0, 0.8], [0.05, 0.03, 0.0])
    assert events["collision"] is True
    assert events["impact_speed_mps"] == 0.8
    assert events["min_separation_m"] == 0.0
    assert events["late_stop"] is True


def test_being_run_into_is_not():
    stood = told([0.0, 0.0], [0.3, 0.0])
    from_the_side = told([1.0, 1.0], np.inf, [0.2, 0.0])
    for events in (stood, from_the_side):
        assert events["collision"] is False
        assert events["struck"] is True
        assert events["impact_speed_mps"] is None


def test_a_stop_is_late_when_half_the_clearance_is_gone_while_the_robot_drives():
    assert told([0.5, 0.5], [0.3, 0.24])["late_stop"] is True
    assert told([0.5, 0.0], [0.3, 0.24])["late_stop"] is False  # it stood by then


def standing(ahead_m, **others):
    """Drives for two seconds, stands for two, drives on for two."""
    return told(np.repeat([1.0, 0.0, 1.0], 100), ahead_m, **others)


def test_a_stop_is_false_only_where_nothing_was_near_before_and_after():
    assert standing(np.inf)["false_stop"] is True
    assert standing(0.8)["false_stop"] is False
    assert standing(np.repeat([np.inf, np.inf, 0.8], 100))["false_stop"] is False  # it came a moment later
    assert standing(np.inf, faults_s=[(1.0, 3.5)])["false_stop"] is False
    assert standing(np.inf)["stops"] == 1


def test_time_lost_is_what_the_way_would_not_have_taken():
    assert standing(0.8)["time_lost_s"] == pytest.approx(2.0)
    assert standing(0.8, end_s=10.0)["time_lost_s"] == pytest.approx(6.0)
    assert told(np.ones(100), np.inf)["time_lost_s"] == pytest.approx(0.0)


def test_comfort_is_felt_over_a_tenth_of_a_second():
    braking = np.concatenate([np.ones(50), np.linspace(1.0, 0.0, 26)[1:], np.zeros(50)])  # 2 m/s²
    assert told(braking, 5.0)["peak_decel_mps2"] == pytest.approx(2.0, abs=0.05)
    assert told(braking, 5.0)["peak_jerk_mps3"] == pytest.approx(20.0, rel=0.1)


def test_of_a_run_that_crashed_the_same_things_are_unknown():
    assert set(no_events()) == set(told([1.0], [5.0]))
    assert set(no_events().values()) == {None}
