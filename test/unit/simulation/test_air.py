"""Rain weakens echoes and adds drops; dust answers where Beer and Lambert's law says."""

import numpy as np
import pytest

from perception_platform.simulation.air import DustCloud, Echo, through_dust, through_rain


def echoes(range_m: float, count: int = 20_000) -> Echo:
    return Echo(np.full((count, 1), range_m), np.full((count, 1), 0.5))


def test_rain_takes_the_more_light_the_further_it_falls():
    rng = np.random.default_rng(0)
    near, far, pour = (
        through_rain(echoes(r), mm_h, rng) for r, mm_h in ((5.0, 5.0), (40.0, 5.0), (40.0, 30.0))
    )
    lost = [float(np.median(e.strength)) for e in (near, far, pour)]
    assert 0.5 > lost[0] > lost[1] > lost[2]
    assert lost[1] == pytest.approx(0.5 * np.exp(-0.02 * 5.0**0.6 * 40.0))


def test_drops_are_few_and_near():
    wet = through_rain(echoes(30.0), 10.0, np.random.default_rng(1))
    drops = wet.range_m[wet.range_m < 25.0]
    assert len(drops) / 20_000 == pytest.approx(0.004, rel=0.3)
    assert np.median(drops) < 5.0


def test_an_open_sky_stays_open_but_for_drops():
    sky = through_rain(echoes(np.inf), 10.0, np.random.default_rng(2))
    assert np.isinf(sky.range_m).mean() > 0.99


def test_dust_answers_inside_its_ball_by_its_depth():
    cloud = DustCloud((5.0, 0.0, 0.0), 1.0, 0.7)
    origin, ahead = np.zeros((20_000, 3)), np.tile([[1.0, 0.0, 0.0]], (20_000, 1))[:, None]
    seen = through_dust(echoes(10.0), origin, ahead, cloud, np.random.default_rng(3))
    struck = seen.range_m < 9.0
    assert struck.mean() == pytest.approx(1 - np.exp(-0.7 * 2.0), abs=0.01)
    assert seen.range_m[struck].min() >= 4.0
    assert seen.range_m[struck].max() <= 6.0


def test_dust_behind_a_wall_or_beside_the_beam_is_not_seen():
    origin, ahead = np.zeros((100, 3)), np.tile([[1.0, 0.0, 0.0]], (100, 1))[:, None]
    for center in ((12.0, 0.0, 0.0), (5.0, 3.0, 0.0), (-5.0, 0.0, 0.0)):
        cloud = DustCloud(center, 1.0, 5.0)
        seen = through_dust(echoes(10.0, 100), origin, ahead, cloud, np.random.default_rng(4))
        assert (seen.range_m == 10.0).all()
