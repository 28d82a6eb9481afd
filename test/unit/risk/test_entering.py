"""What comes out of the edge of what is seen: told before a track knows it, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Finding, Reason
from perception_platform.risk import entering
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.entering import EdgeWatch
from perception_platform.risk.inferred import Approaching, Entering
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.load import load_robot
from test.unit.scenes import points, track

# The amr: scanner in front, 15 looks a second; 0.3 m to each side, 0.1 m beside that; front at 0.45 m.
CONFIG = RiskConfig.from_robot(load_robot("amr"))
SCAN = "scan_front"
PERIOD_S = 1 / 15
SPEED_MPS = 1.2
WALL_M = 2.0  # how far beside the way a wall stands


def ego_at(t_s: float, speed_mps: float = SPEED_MPS) -> EgoState:
    """The robot drives along x."""
    return EgoState(from_s(t_s), Transform.planar(speed_mps * t_s, 0.0, 0.0), (speed_mps, 0.0), 0.0)


def seen(t_s: float, *rows: tuple[float, float], speed_mps: float = SPEED_MPS) -> PointCloud:
    """A scan that sees the wall, but for what points (x, y) of the world hide of it, and these."""
    wall = [(x, WALL_M) for x in np.arange(-2.0, 8.0, 0.05)]
    eye_m = CONFIG.eyes_m[SCAN][0] + speed_mps * t_s
    shadow = [np.arctan2(y, x - eye_m) for x, y in rows]
    if shadow:
        wall = [p for p in wall if not min(shadow) <= np.arctan2(p[1], p[0] - eye_m) <= max(shadow)]
    here = [(x - speed_mps * t_s, y, 0.2) for x, y in [*wall, *rows]]
    return replace(points(*here, t_ns=from_s(t_s)), sensor=SCAN)


def box(x_m: float, edge_m: float) -> list[tuple[float, float]]:
    """The near face of a box 0.4 m wide."""
    return [(x, edge_m) for x in np.arange(x_m - 0.2, x_m + 0.2, 0.03)]


def watched(
    edges_m: list[float | None], x_m: float = 1.6, tracks: Tracks | None = None, speed_mps: float = SPEED_MPS
) -> list[PointCloud]:
    """What is told after looks at a box whose near face is so far from the middle of the way, look by look.

    None is a look before it is in sight.
    """
    watch, found = EdgeWatch(CONFIG), []
    for look, edge_m in enumerate(edges_m):
        t_s = look * PERIOD_S
        none = Tracks.empty(from_s(t_s), "odom")
        found = watch.look(
            [seen(t_s, *([] if edge_m is None else box(x_m, edge_m)), speed_mps=speed_mps)],
            tracks or none,
            ego_at(t_s, speed_mps),
        )
    return found


def coming(speed_mps: float, looks: int = 5, from_m: float = 1.4) -> list[float]:
    """Edges that come nearer at a speed."""
    return [from_m - speed_mps * PERIOD_S * look for look in range(looks)]


def judged(clouds: list[PointCloud], config: RiskConfig = CONFIG, **conditions: float) -> list[Finding]:
    """What the assessment makes of what was told at the last look, under conditions."""
    t_ns = from_s(4 * PERIOD_S)
    known = Conditions(**{"payload_kg": 0.0, **conditions})
    none = Tracks.empty(t_ns, "odom")
    found = assess(none, clouds, ego_at(4 * PERIOD_S), config, now_ns=t_ns, conditions=known).findings
    return [f for f in found if f.reason is Reason.POINTS_IN_PATH]


def test_an_edge_that_comes_is_told_where_and_when_it_enters() -> None:
    clouds = watched(coming(2.0))
    assert clouds
    left_m = float(CONFIG.footprint_m[:, 1].max()) + CONFIG.beside_m
    for cloud in clouds:
        assert isinstance(cloud, Entering)
        assert cloud.sensor == SCAN
        assert cloud.t_ns == from_s(4 * PERIOD_S)
        assert cloud.enters_s == pytest.approx((coming(2.0)[-1] - left_m) / 2.0, abs=0.01)
        assert cloud.xyz_m[:, 1] == pytest.approx(np.full(len(cloud), left_m - 0.01), abs=1e-6)
        assert np.abs(cloud.xyz_m[:, 0] - (1.6 - SPEED_MPS * 4 * PERIOD_S)).max() < 0.25


def test_the_robot_brakes_for_it_and_says_why() -> None:
    watch, stage = EdgeWatch(CONFIG), RiskStage(CONFIG)
    for look, edge_m in enumerate(coming(2.0)):
        t_s = look * PERIOD_S
        clouds, tracks, ego = [seen(t_s, *box(1.6, edge_m))], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s)
        blind = stage.copy().step(tracks, clouds, ego, now_ns=from_s(t_s))
        found = stage.step(tracks, [*clouds, *watch.look(clouds, tracks, ego)], ego, now_ns=from_s(t_s))
    assert all(finding.reason is not Reason.POINTS_IN_PATH for finding in blind.findings)
    first = found.findings[0]
    assert first.reason is Reason.POINTS_IN_PATH
    assert first.action <= Action.STOP
    assert f"points of {SCAN} that enter" in first.text
    assert all("that enter" not in f.text for f in found.findings if f.reason is Reason.ZONE)


@pytest.mark.parametrize(
    ("edges_m", "why"),
    [
        ([1.4] * 5, "stands"),
        ([1.4, 1.4, 1.4, 1.4, 0.9], "was not seen to come: it is there at once"),
        (list(reversed(coming(2.0))), "goes"),
        (coming(0.3), "comes slowly"),
        (coming(8.0, from_m=3.0), "comes faster than anything does"),
        (coming(2.0, looks=2), "was seen twice only"),
    ],
)
def test_what_does_not_come_is_not_told(edges_m: list[float], why: str) -> None:
    assert watched(edges_m) == [], why


def test_what_comes_out_of_nothing_is_told_at_its_second_look() -> None:
    nothing: list[float | None] = [None, None, None]
    clouds = watched([*nothing, *coming(2.0, looks=2)])
    assert clouds
    enters_s = [cloud.enters_s for cloud in clouds if isinstance(cloud, Entering)]
    left_m = float(CONFIG.footprint_m[:, 1].max()) + CONFIG.beside_m
    assert enters_s == pytest.approx([(coming(2.0)[1] - left_m) / 2.0] * len(clouds), abs=0.01)
    assert watched([*nothing, None, 1.27]) == [], "was seen once"
    assert watched([*nothing, 1.4, 1.4]) == [], "stands"
    assert watched([*nothing, *coming(0.7, looks=2)]) == [], (
        "comes slowly: noise could be as fast from look to look"
    )


def test_several_pairs_of_looks_that_show_an_edge_are_one_finding() -> None:
    clouds = watched(coming(2.0))
    assert len(clouds) > 1
    assert len(judged(clouds)) == 1


def test_there_is_time_to_wait_for_what_is_far_ahead() -> None:
    far = watched(coming(2.0), x_m=6.0)
    assert far
    assert judged(far) == []


def test_what_the_robot_has_passed_by_then_is_not_braked_for() -> None:
    late = watched(coming(0.6, from_m=1.9), x_m=0.9)
    assert late
    assert judged(late) == []


@pytest.mark.parametrize(
    ("worse", "config"),
    [
        ({"latency_s": 0.5}, CONFIG),
        ({"payload_kg": 2000.0}, replace(CONFIG, mass_kg=500.0)),
        ({}, replace(CONFIG, max_downhill=0.06)),
    ],
    ids=["a slow chain", "a load", "a slope"],
)
def test_what_could_be_waited_for_is_braked_for_under_worse_conditions(
    worse: dict[str, float], config: RiskConfig
) -> None:
    clouds = watched(coming(2.0), x_m=3.3)
    assert clouds
    assert judged(clouds) == []
    assert judged(clouds, config, **worse)


def test_a_robot_that_stands_waits() -> None:
    assert watched(coming(2.0), x_m=1.2, speed_mps=0.0) == []


def test_a_track_that_moves_accounts_for_its_points() -> None:
    size_m = (0.5, 0.5, 0.5)
    moving = track(
        1.6, 1.0, (0.0, -2.0), size_m=size_m, class_id=ObjectClass.UNKNOWN, t_ns=from_s(4 * PERIOD_S)
    )
    assert watched(coming(2.0), tracks=moving) == []
    standing = replace(moving, velocities_mps=np.zeros((1, 2)))
    assert watched(coming(2.0), tracks=standing)


def test_what_was_hidden_before_has_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something nearer gives a slanted wall free from look to look, so that its edge seems to come."""

    def told() -> list[PointCloud]:
        watch, found = EdgeWatch(CONFIG), []
        for look in range(5):
            t_s = look * PERIOD_S
            eye = np.array([CONFIG.eyes_m[SCAN][0] + SPEED_MPS * t_s, 0.0])
            slanted = np.column_stack([np.linspace(1.6, 1.7, 60), np.linspace(1.9, 0.5, 60)])
            hidden = slanted[:, 1] < 1.5 - 0.15 * look
            slanted[hidden] = eye + 0.6 * (slanted[hidden] - eye)
            here = [(x - SPEED_MPS * t_s, y, 0.2) for x, y in slanted]
            cloud = replace(points(*here, t_ns=from_s(t_s)), sensor=SCAN)
            found = watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s))
        return found

    assert told() == []
    monkeypatch.setattr(entering, "_is_fresh", lambda points_m, eye_m, free_m: np.ones(len(points_m), bool))
    assert told(), "the scene would be told if nothing asked for free space"


def test_a_clock_set_back_begins_afresh() -> None:
    watch = EdgeWatch(CONFIG)
    for t_s, edge_m in zip([100.0, 100.07, 100.13, 0.0, 0.07], coming(2.0), strict=True):
        cloud = replace(seen(0.0, *box(1.6, edge_m)), t_ns=from_s(t_s))
        found = watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), replace(ego_at(0.0), t_ns=from_s(t_s)))
    assert found == []


def test_sources_that_do_not_see_what_is_free_are_left_out() -> None:
    watch = EdgeWatch(CONFIG)
    for look, edge_m in enumerate(coming(2.0)):
        t_s = look * PERIOD_S
        cloud = replace(seen(t_s, *box(1.6, edge_m)), sensor="bumper")
        assert watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s)) == []


def test_dust_beside_the_way_is_no_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud throws beams back at depths that differ from one direction to the next."""

    def told() -> int:
        rng, count = np.random.default_rng(1), 0
        for _ in range(40):
            watch = EdgeWatch(CONFIG)
            for look in range(5):
                t_s = look * PERIOD_S
                eye_m = CONFIG.eyes_m[SCAN][0] + SPEED_MPS * t_s
                azimuths = np.deg2rad(rng.permutation(np.arange(40.0, 75.0, 0.5))[:45])
                depths_m = rng.uniform(0.8, 2.2, len(azimuths))
                rows = np.column_stack([eye_m + depths_m * np.cos(azimuths), depths_m * np.sin(azimuths)])
                here = [(x - SPEED_MPS * t_s, y, 0.2) for x, y in rows]
                cloud = replace(points(*here, t_ns=from_s(t_s)), sensor=SCAN)
                found = watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s))
            count += bool(found)
        return count

    assert told() == 0
    monkeypatch.setattr(entering, "_on_surface", lambda points_m, eye_m: np.ones(len(points_m), bool))
    assert told() > 0, "the scene would be told if nothing asked for a surface"


def test_what_drives_along_beside_the_way_does_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its front comes into each stretch of the path, as far beside it as the rest of it always was."""

    def told() -> int:
        watch, count = EdgeWatch(CONFIG), 0
        for look in range(20):
            t_s = look * PERIOD_S
            front_m = 6.0 - 2.4 * t_s
            flank = [(front_m + d, 0.9) for d in np.arange(0.0, 3.0, 0.05)]
            front = [(front_m + y - 0.9, y) for y in np.arange(0.95, 1.85, 0.03)]
            wall = [(x, 1.9) for x in np.arange(0.0, front_m - 0.1, 0.05)]
            here = [(x - SPEED_MPS * t_s, y, 0.2) for x, y in [*flank, *front, *wall]]
            cloud = replace(points(*here, t_ns=from_s(t_s)), sensor=SCAN)
            found = watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s))
            count += any(isinstance(cloud, Entering) for cloud in found)
        return count

    assert told() == 0
    monkeypatch.setattr(entering, "_drives_along", lambda edge, old: False)
    assert told() > 0, "the scene would be told if nothing asked what was there before"


def wall_ahead(t_s: float, x_m: float, speed_mps: float) -> PointCloud:
    """A scan of a flat front across the way at ``x_m`` of the world."""
    here = [(x_m - speed_mps * t_s, y, 0.2) for y in np.arange(-0.5, 0.5, 0.02)]
    return replace(points(*here, t_ns=from_s(t_s)), sensor=SCAN)


def ahead(comes_mps: float, speed_mps: float = 0.6, from_m: float = 4.0) -> list[PointCloud]:
    """What is told of a front that comes along the way."""
    watch, found = EdgeWatch(CONFIG), []
    for look in range(5):
        t_s = look * PERIOD_S
        cloud = wall_ahead(t_s, from_m - comes_mps * t_s, speed_mps)
        found = watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego_at(t_s, speed_mps))
    return found


@pytest.mark.parametrize("speed_mps", [0.0, 0.6])
def test_what_comes_along_the_way_is_told_with_its_speed(speed_mps: float) -> None:
    (cloud,) = ahead(1.5, speed_mps)
    assert isinstance(cloud, Approaching)
    assert cloud.approach_mps == pytest.approx(1.5, abs=0.01)
    assert cloud.xyz_m[:, 0] == pytest.approx(
        np.full(len(cloud), 4.0 - (1.5 + speed_mps) * 4 * PERIOD_S), abs=1e-5
    )


@pytest.mark.parametrize("comes_mps", [0.0, 0.3, -1.5, 6.0])
def test_what_stands_or_goes_or_cannot_be_is_not_told_to_come(comes_mps: float) -> None:
    assert ahead(comes_mps) == []


def test_what_comes_allows_less_than_what_stands() -> None:
    stage, t_s = RiskStage(CONFIG), 4 * PERIOD_S
    cloud, ego = wall_ahead(t_s, 2.8 - 1.5 * t_s, 0.6), ego_at(t_s, 0.6)
    tracks, comes = Tracks.empty(from_s(t_s), "odom"), ahead(1.5, from_m=2.8)
    stands = stage.copy().step(tracks, [cloud], ego, now_ns=from_s(t_s)).findings[0]
    found = stage.copy().step(tracks, [cloud, *comes], ego, now_ns=from_s(t_s)).findings[0]
    assert found.speed_limit_mps < stands.speed_limit_mps
    assert "that come at 1.5 m/s" in found.text


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.5, 5.0, 50.0]))
def test_any_points_are_survived(seed: int, count: int, scale_m: float) -> None:
    rng, watch = np.random.default_rng(seed), EdgeWatch(CONFIG)
    odd = [
        (np.nan, 0.0, 0.0),
        (np.inf, 1.0, 0.0),
        (1e30, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (2.0, 1.0, 0.2),
        (2.0, 1.0, 0.2),
    ]
    for look in range(6):
        t_s = look * float(rng.choice([0.0, 0.03, PERIOD_S, 0.2, 1.0]))
        rows = [*map(tuple, rng.uniform(-scale_m, scale_m, (count, 3)).tolist())]
        cloud = replace(points(*odd[: int(rng.integers(len(odd) + 1))], *rows, t_ns=from_s(t_s)), sensor=SCAN)
        ego = replace(ego_at(t_s, float(rng.uniform(-1, 2))), yaw_rate_radps=float(rng.uniform(-2, 2)))
        for found in watch.look([cloud], Tracks.empty(from_s(t_s), "odom"), ego):
            assert len(found) > 0
            assert np.isfinite(found.xyz_m).all()
