"""Distances in closed form, and against a fine sampling of outlines."""

import numpy as np
import pytest

from perception_platform.robot.load import load_robot
from perception_platform.scenarios.geometry import look_around
from perception_platform.simulation.solids import box, cylinder, join, outlines
from perception_platform.simulation.vehicle import VehicleState

AMR = load_robot("amr")  # front at 0.45 m, sides at 0.3 m, 1.2 m high


def around(*solids, x_m=0.0, yaw_rad=0.0):
    return look_around(AMR, join(solids), VehicleState(x_m=x_m, yaw_rad=yaw_rad))


def test_ahead_beside_and_behind():
    found = around(
        box((2.0, 0.0), (0.2, 0.2, 1.0)), cylinder((2.0, 0.0), 0.2, 1.0), box((0.0, 1.0), (0.2, 0.2, 1.0)),
        box((-2.0, 0.0), (0.2, 0.2, 1.0)),
    )  # fmt: skip
    assert found.distance_m == pytest.approx([1.45, 1.45, 0.6, 1.45])
    assert found.ahead_m == pytest.approx([1.45, 1.45, np.inf, np.inf])


def test_what_passes_overhead_or_lies_flat_cannot_be_hit():
    found = around(box((2.0, 0.0), (1, 1, 0.2), bottom_m=1.25), box((2.0, 0.0), (1, 1, 0.04)))
    assert np.isinf(found.distance_m).all()
    assert np.isinf(found.ahead_m).all()


def test_overlap_is_no_distance_and_a_robot_inside_a_box_touches_it():
    found = around(
        box((0.5, 0.0), (0.2, 0.2, 1.0)), box((0.0, 0.0), (4.0, 4.0, 1.0)), cylinder((0.0, 0.0), 0.1, 1.0)
    )
    assert found.distance_m.tolist() == [0.0, 0.0, 0.0]


def test_a_corner_counts_as_far_as_it_reaches_into_the_way():
    turned = box((2.0, 0.5), (1.0, 1.0, 1.0), yaw_rad=np.pi / 4)
    assert around(turned).ahead_m[0] == pytest.approx(2.0 - np.sqrt(0.5) + 0.2 - 0.45)
    assert around(turned).near_ahead_m[0] == pytest.approx(2.0 - np.sqrt(0.5) + 0.1 - 0.45)
    assert around(cylinder((2.0, 0.35), 0.2, 1.0)).ahead_m[0] == pytest.approx(
        2.0 - np.sqrt(0.01 - 0.0025) - 0.45
    )


@pytest.mark.parametrize("seed", range(20))
def test_distances_are_those_of_sampled_outlines(seed):
    rng = np.random.default_rng(seed)
    solids = join(
        [
            box(tuple(rng.uniform(-3, 3, 2)), (*rng.uniform(0.1, 1.5, 2), 1.0), yaw_rad=rng.uniform(-3, 3)),
            cylinder(tuple(rng.uniform(-3, 3, 2)), rng.uniform(0.1, 1.0), 1.0),
        ]
    )
    state = VehicleState(x_m=rng.uniform(-1, 1), y_m=rng.uniform(-1, 1), yaw_rad=rng.uniform(-3, 3))
    found = look_around(AMR, solids, state).distance_m
    corners = state.transform().apply(np.column_stack([AMR.footprint, np.zeros(4)]))[:, :2]
    edge = np.concatenate(
        [np.linspace(a, b, 200) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )
    for i, outline in enumerate(outlines(solids)):
        sampled = np.linalg.norm(edge[:, None] - outline[None], axis=-1).min()
        if found[i] > 0:
            assert found[i] == pytest.approx(sampled, abs=0.02)
        else:
            assert sampled < 1.6  # they overlap: outlines cross or one lies inside the other
