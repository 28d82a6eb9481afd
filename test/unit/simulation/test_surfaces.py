"""Glass lets beams through unless they come square; a mirror shows what stands in front of it behind it."""

import numpy as np
import pytest

from perception_platform.core.geometry import Transform
from perception_platform.simulation.lidar import fans_of
from perception_platform.simulation.solids import Surface, box, join
from perception_platform.simulation.surfaces import cast_to_echoes

EYE = Transform.from_xyz_rpy((0.0, 0.0, 1.0), (0.0, 0.0, 0.0))


def look(azimuths_deg, solids, elevations_deg=(0.0,)):
    azimuths = np.deg2rad(np.atleast_1d(azimuths_deg).astype(float))
    fans = fans_of(
        azimuths,
        np.deg2rad(np.asarray(elevations_deg)),
        np.ones(len(azimuths)),
        np.zeros((len(azimuths), 3)),
        EYE,
    )
    return cast_to_echoes(fans, solids, solids)


PANE = box((3.0, 0.0), (0.02, 4.0, 2.0), surface=Surface.GLASS)
WALL = box((6.1, 0.0), (0.2, 20.0, 3.0))


def test_a_pane_is_seen_square_on_and_looked_through_aslant():
    hits = look([0.0, 5.0, 15.0, 30.0], join([PANE, WALL]))
    assert hits.index[:, 0].tolist() == [0, 0, 1, 1]
    assert hits.range_m[0, 0] == pytest.approx(2.99)
    assert hits.range_m[3, 0] == pytest.approx(6.0 / np.cos(np.deg2rad(30.0)))


def test_a_turned_pane_is_seen_along_its_own_normal():
    turned = box((3.0, 0.0), (0.02, 4.0, 2.0), yaw_rad=np.deg2rad(20.0), surface=Surface.GLASS)
    assert np.isinf(look(0.0, turned).range_m).all()
    assert np.isfinite(look(20.0, turned).range_m).all()


def test_through_glass_one_sees_the_floor_and_the_sky():
    hits = look(30.0, PANE, (-10.0, 10.0))
    assert hits.range_m[0, 0] == pytest.approx(1.0 / np.sin(np.deg2rad(10.0)))
    assert np.isinf(hits.range_m[0, 1])


def test_a_mirror_shows_a_ghost_behind_it():
    mirror = box((4.0, 0.0), (0.05, 6.0, 2.0), surface=Surface.MIRROR)
    behind_me = box((-2.1, 0.0), (0.2, 2.0, 3.0))
    hits = look(0.0, join([mirror, behind_me]))
    assert hits.index[0, 0] == 1
    assert hits.range_m[0, 0] == pytest.approx(3.975 + 3.975 + 2.0, abs=1e-3)


def test_a_mirror_sends_a_beam_off_at_the_angle_it_came():
    mirror = box((4.025, 0.0), (0.05, 6.0, 2.0), yaw_rad=0.0, surface=Surface.MIRROR)
    aside = box((2.0, 4.1), (20.0, 0.2, 3.0))  # its near side at y = 4
    azimuth = np.deg2rad(30.0)
    hits = look(30.0, join([mirror, aside]))
    assert hits.index[0, 0] == 1
    assert hits.range_m[0, 0] == pytest.approx(4.0 / np.sin(azimuth), abs=1e-3)
