"""The vehicle in a loop: orders come late, floors let wheels slide, slopes push."""

import pytest

from perception_platform.robot.load import load_robot
from perception_platform.simulation.chassis import GRAVITY_MPS2, Chassis, Ground
from perception_platform.simulation.vehicle import VehicleState

DRIVE = load_robot("amr").drive  # 0.8 and 2.0 m/s², 0.1 s


def stopping_way_m(ground: Ground, decel_mps2: float, speed_mps: float = 1.2) -> float:
    chassis = Chassis(DRIVE, ground, VehicleState(speed_mps=speed_mps))
    chassis.command(0.0, 0.0, 0.0, decel_mps2)
    chassis.advance_to(10.0)
    assert chassis.state.speed_mps == 0.0
    return chassis.state.x_m


def test_an_order_takes_the_reaction_time_and_then_the_braking_distance():
    way_m = stopping_way_m(Ground(), 0.8)
    assert way_m == pytest.approx(1.2 * 0.1 + 1.2**2 / 1.6, abs=0.01)
    assert stopping_way_m(Ground(delay_s=0.3), 0.8) == pytest.approx(way_m + 1.2 * 0.3, abs=0.01)


def test_a_slippery_floor_bounds_the_deceleration_and_the_wheels_lie():
    assert stopping_way_m(Ground(grip_mps2=0.5), 2.0) == pytest.approx(0.12 + 1.2**2 / 1.0, abs=0.01)
    chassis = Chassis(DRIVE, Ground(grip_mps2=0.5), VehicleState(speed_mps=1.2))
    chassis.command(0.0, 0.0, 0.0, 2.0)
    chassis.advance_to(0.75)
    assert chassis.wheel_mps == pytest.approx(0.0, abs=1e-6)
    assert chassis.state.speed_mps > 0.8


def test_downhill_the_brakes_have_less_left():
    grade, share = -0.03, 1.0
    reached = 0.8 * share + GRAVITY_MPS2 * grade
    assert stopping_way_m(Ground(grade=grade), 0.8) == pytest.approx(0.12 + 1.2**2 / (2 * reached), abs=0.02)
    assert stopping_way_m(Ground(grade=0.03), 0.8) < stopping_way_m(Ground(), 0.8)


def test_it_speeds_up_at_the_service_rate_and_no_further_than_its_top_speed():
    chassis = Chassis(DRIVE, Ground(), VehicleState())
    chassis.command(0.0, 9.0, 0.0, 0.8)
    chassis.advance_to(1.1)
    assert chassis.state.speed_mps == pytest.approx(0.8, abs=0.01)
    chassis.advance_to(5.0)
    assert chassis.state.speed_mps == DRIVE.max_speed_mps


def test_its_past_is_there_for_sensors_that_look_back():
    chassis = Chassis(DRIVE, Ground(), VehicleState(speed_mps=1.0))
    chassis.advance_to(1.0)
    past = chassis.trajectory()
    assert past.state_at(0.9).x_m == pytest.approx(0.9, abs=1e-6)
    assert past.t_s[-1] == pytest.approx(1.0)
