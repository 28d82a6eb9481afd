"""Ranges against closed-form distances."""

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.simulation.lidar import fans_of
from perception_platform.simulation.raycast import FLOOR, NOTHING, Hits, cast
from perception_platform.simulation.solids import Solids, box, cylinder, join

EYE = Transform.from_xyz_rpy((0.0, 0.0, 1.0), (0.0, 0.0, 0.0))


def look(
    azimuths_deg, elevations_deg, start: Solids, end: Solids | None = None, share=1.0, mounting=EYE
) -> Hits:
    azimuths = np.deg2rad(np.atleast_1d(azimuths_deg).astype(float))
    fans = fans_of(
        azimuths,
        np.deg2rad(np.atleast_1d(elevations_deg).astype(float)),
        np.broadcast_to(share, azimuths.shape).astype(float),
        np.zeros((len(azimuths), 3)),
        mounting,
    )
    return cast(fans, start, end or start)


def test_floor_is_height_over_sine_away_and_the_sky_is_empty():
    elevations = np.array([-30.0, -10.0, 0.0, 10.0])
    hits = look(20.0, elevations, join([]))
    assert hits.range_m[0, :2] == pytest.approx(1.0 / np.sin(np.deg2rad(-elevations[:2])))
    assert np.isinf(hits.range_m[0, 2:]).all()
    assert hits.index[0].tolist() == [FLOOR, FLOOR, NOTHING, NOTHING]


def test_a_wall_ahead_is_its_distance_over_the_cosines():
    wall = box((5.1, 0.0), (0.2, 40.0, 30.0))
    azimuths, elevations = np.linspace(-60, 60, 25), np.array([-5.0, 0.0, 12.0])
    hits = look(azimuths, elevations, wall)
    expected = 5.0 / (np.cos(np.deg2rad(azimuths))[:, None] * np.cos(np.deg2rad(elevations)))
    assert hits.range_m == pytest.approx(expected)
    assert (hits.index == 0).all()


def test_a_turned_box_shows_its_corner():
    cube = box((4.0, 0.0), (1.0, 1.0, 2.0), yaw_rad=np.pi / 4)
    assert look(0.0, 0.0, cube).range_m[0, 0] == pytest.approx(4.0 - np.sqrt(0.5))
    half_deg = np.rad2deg(np.arctan2(np.sqrt(0.5), 4.0))
    assert np.isinf(look(half_deg + 0.1, 0.0, cube).range_m).all()
    assert np.isfinite(look(half_deg - 0.1, 0.0, cube).range_m).all()


def test_a_cylinder_is_met_where_the_chord_begins():
    azimuth = np.deg2rad(3.0)
    hits = look(3.0, 0.0, cylinder((4.0, 0.0), 1.0, 2.0))
    miss = 4.0 * np.sin(azimuth)
    assert hits.range_m[0, 0] == pytest.approx(4.0 * np.cos(azimuth) - np.sqrt(0.25 - miss**2))


def test_a_beam_passes_over_and_under():
    board = box((3.0, 0.0), (0.1, 2.0, 0.1), bottom_m=0.95)
    assert np.isfinite(look(0.0, 0.0, board).range_m[0, 0])
    assert look(0.0, [-3.0, 3.0], board).index[0].tolist() == [FLOOR, NOTHING]


def test_the_top_of_a_low_box_is_seen_from_above():
    low = box((2.0, 0.0), (1.0, 1.0, 0.5))
    hits = look(0.0, -15.0, low)  # passes the front edge (1.5 m) at 0.598 m, comes down to 0.5 m at 1.866 m
    assert hits.range_m[0, 0] == pytest.approx(0.5 / np.sin(np.deg2rad(15.0)))


def test_the_nearer_of_two_hides_the_other():
    both = join([box((6.0, 0.0), (1.0, 4.0, 3.0)), cylinder((3.0, 0.0), 0.4, 2.0)])
    hits = look([0.0, 10.0], 0.0, both)
    assert hits.index[:, 0].tolist() == [1, 0]


def test_nothing_behind_is_seen_ahead():
    assert np.isinf(look(0.0, 0.0, box((-3.0, 0.0), (1.0, 1.0, 3.0))).range_m).all()


def test_a_solid_is_where_it_is_when_the_beam_fires():
    start, end = box((4.0, 0.0), (1.0, 1.0, 3.0)), box((6.0, 0.0), (1.0, 1.0, 3.0))
    hits = look([0.0, 0.0, 0.0], 0.0, start, end, share=np.array([0.0, 0.5, 1.0]))
    assert hits.range_m[:, 0] == pytest.approx([3.5, 4.5, 5.5])


def test_a_tilted_sensor_sees_the_same_world():
    tilted = Transform.from_xyz_rpy((0.0, 0.0, 1.0), np.deg2rad((5.0, 20.0, 30.0)))
    things = join([box((4.0, 1.0), (1.0, 2.0, 3.0), yaw_rad=0.4), cylinder((3.0, -1.0), 0.5, 1.5)])
    azimuths, elevations = np.linspace(-170, 180, 120), np.linspace(-20, 20, 21)
    hits = look(azimuths, elevations, things, mounting=tilted)
    assert {0, 1} <= set(hits.index.ravel().tolist())
    one_by_one = [look(a, elevations, things, mounting=tilted).range_m[0] for a in azimuths]
    np.testing.assert_allclose(hits.range_m, one_by_one)
    a, e = np.deg2rad(azimuths)[:, None], np.deg2rad(elevations)
    rays = np.stack(np.broadcast_arrays(np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)), -1)
    z = tilted.apply(
        (rays * np.where(np.isfinite(hits.range_m), hits.range_m, 0.0)[..., None]).reshape(-1, 3)
    )[:, 2]
    assert z[hits.index.ravel() == FLOOR] == pytest.approx(0.0, abs=1e-9)
