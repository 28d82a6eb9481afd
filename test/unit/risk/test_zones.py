"""Zones of every shape and action, and what a stage remembers of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Assessment, Finding
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, points, post, track

AMR = load_robot("amr")
NOTHING = Tracks.empty(0, "odom")
SQUARE = [[1.0, 0.5], [0.0, 0.5], [0.0, -0.5], [1.0, -0.5]]
FAR = [[9.0, 0.5], [8.0, 0.5], [8.0, -0.5], [9.0, -0.5]]


def with_zone(**zone: object) -> RiskConfig:
    """The AMR with one zone of its own."""
    file = AMR.model_dump(mode="json") | {"zones": [{"name": "zone", **zone}]}
    return RiskConfig.from_robot(Robot.model_validate(file))


def found(
    config: RiskConfig,
    *obstacles: PointCloud,
    tracks: Tracks = NOTHING,
    speed_mps: float = 0.0,
    yaw_rate_radps: float = 0.0,
    conditions: Conditions = Conditions(),  # noqa: B008, a frozen value
) -> Finding | None:
    """What the zone asks for."""
    ego = ego_state(speed_mps, yaw_rate_radps)
    got = assess(tracks, obstacles, ego, config, now_ns=from_s(0.05), conditions=conditions)
    return next((f for f in got.findings if f.zone == "zone"), None)


@pytest.mark.parametrize(
    ("shape", "inside", "outside"),
    [
        ({"polygon_m": SQUARE}, (0.9, 0.45), (0.9, 0.55)),
        ({"circle": {"center_m": [1.0, 0.0], "radius_m": 0.5}}, (1.34, 0.34), (1.37, 0.37)),
        ({"around_m": 0.2}, (0.58, 0.40), (0.62, 0.47)),
        ({"fields": [{"polygon_m": SQUARE}]}, (0.9, 0.45), (0.9, 0.55)),
    ],
)
def test_every_shape_has_an_inside_and_an_outside(
    shape: dict[str, object], inside: tuple[float, float], outside: tuple[float, float]
) -> None:
    config = with_zone(action="stop", **shape)
    assert found(config, post(*inside)).action is Action.STOP  # type: ignore[union-attr]
    assert found(config, post(*outside)) is None


@pytest.mark.parametrize(
    ("speed_mps", "yaw_rate_radps", "payload_kg", "which"),
    [
        (0.2, 0.0, 0.0, "near"),
        (1.0, 0.0, 0.0, "far"),
        (1.0, 0.5, 0.0, "left"),
        (0.2, 0.0, 80.0, "far"),
        (-0.5, 0.0, 0.0, "last"),
    ],
)
def test_fields_are_chosen_by_speed_turn_and_load(
    speed_mps: float, yaw_rate_radps: float, payload_kg: float, which: str
) -> None:
    at = {"near": (0.9, 0.0), "far": (8.5, 0.0), "left": (0.5, 3.5), "last": (-2.5, 0.0)}
    polygons = {
        name: [[x + 0.5, y + 0.5], [x - 0.5, y + 0.5], [x - 0.5, y - 0.5], [x + 0.5, y - 0.5]]
        for name, (x, y) in at.items()
    }
    fields = [
        {
            "polygon_m": polygons["near"],
            "speed_mps": [0, 0.5],
            "yaw_rate_radps": [-0.2, 0.2],
            "payload_kg": [0, 50],
        },
        {"polygon_m": polygons["left"], "speed_mps": [0, 2], "yaw_rate_radps": [0.2, 2]},
        {"polygon_m": polygons["far"], "speed_mps": [0, 2]},
        {"polygon_m": polygons["last"]},  # where nothing fits
    ]
    file = AMR.model_dump(mode="json")
    file["drive"] |= {"mass_kg": 200.0, "max_payload_kg": 100.0}
    file["zones"] = [{"name": "zone", "action": "stop", "fields": fields}]
    config = RiskConfig.from_robot(Robot.model_validate(file))
    given = Conditions(payload_kg=payload_kg)
    entered = {
        name
        for name, place in at.items()
        if found(config, post(*place), speed_mps=speed_mps, yaw_rate_radps=yaw_rate_radps, conditions=given)
    }
    assert entered == {which}


def test_a_zone_along_the_path_grows_with_speed_and_bends_with_the_turn() -> None:
    config = with_zone(action="slow", share=0.5, stopping_ways=1.5)
    ahead, beside = post(3.2), post(2.0, 1.1)
    assert found(config, ahead, speed_mps=0.5) is None
    slow = found(config, ahead, speed_mps=1.5)
    assert slow is not None
    assert (slow.action, slow.speed_limit_mps) == (Action.LIMIT, pytest.approx(0.75))
    assert found(config, beside, speed_mps=1.2) is None
    assert found(config, beside, speed_mps=1.2, yaw_rate_radps=0.6) is not None


def test_approach_keeps_its_time_to_what_is_in_the_path() -> None:
    config = with_zone(action="approach", least_time_s=4.0, stopping_ways=5.0)
    gap_m = 2.0
    by_points = found(config, post(0.45 + gap_m), speed_mps=1.2)
    assert by_points is not None
    assert (by_points.quantity, by_points.value) == (
        "time to collision",
        pytest.approx(gap_m / 1.2, abs=1e-6),
    )
    assert by_points.speed_limit_mps == pytest.approx(gap_m / 4.0, abs=1e-6)
    comes = track(0.45 + gap_m + 0.25, velocity_mps=(-0.45, 0.0))
    by_track = found(config, tracks=comes, speed_mps=1.2)
    assert by_track is not None
    assert by_track.action is Action.STOP, "whoever comes at 0.45 m/s is there within the time whatever we do"


def test_what_an_exclusion_holds_counts_for_nothing_and_all_else_does() -> None:
    config = with_zone(action="exclude", polygon_m=[[2.0, 0.5], [1.0, 0.5], [1.0, -0.5], [2.0, -0.5]])
    ego = ego_state(1.2)

    def actions(config: RiskConfig, x_m: float) -> list[Action]:
        tracks = track(x_m, class_id=ObjectClass.STRUCTURE)
        return [f.action for f in assess(tracks, (post(x_m),), ego, config, now_ns=0).findings]

    assert actions(config, 1.6) == []
    assert len(actions(replace(config, zones=()), 1.6)) == 2
    assert len(actions(config, 0.8)) == 2


def test_mistakes_are_named() -> None:
    for zone, said in [
        ({"action": "stop"}, "needs one of"),
        ({"action": "stop", "polygon_m": SQUARE, "around_m": 0.1}, "needs one of"),
        ({"action": "limit", "polygon_m": SQUARE}, "action limit takes speed_limit_mps"),
        ({"action": "stop", "polygon_m": SQUARE, "share": 0.5}, "action stop takes no further setting"),
        ({"action": "exclude", "stopping_ways": 1.0}, "does not go with action exclude"),
        ({"action": "stop", "fields": [{"polygon_m": SQUARE, "speed_mps": [2, 1]}]}, "2 is more than 1"),
        ({"action": "stop", "polygon_m": SQUARE, "trigger_s": 0.6}, "less than or equal to 0.5"),
    ]:
        with pytest.raises(ValidationError, match=said):
            with_zone(**zone)


def step(stage: RiskStage, t_s: float, *obstacles: PointCloud) -> Assessment:
    t_ns = from_s(t_s)
    clouds = [replace(cloud, t_ns=t_ns) for cloud in obstacles]
    return stage.step(Tracks.empty(t_ns, "odom"), clouds, ego_state(0.0, t_ns=t_ns), now_ns=t_ns)


def test_a_zone_asks_after_its_trigger_and_goes_on_until_its_release() -> None:
    stage = RiskStage(with_zone(action="stop", polygon_m=FAR, trigger_s=0.2, release_s=0.3))
    there, asked = post(8.5), []
    for i in range(12):
        inside = 2 <= i <= 5
        got = step(stage, 0.1 * i, *([there] if inside else [post(20.0)]))
        asked.append(any(f.zone == "zone" for f in got.findings))
    assert [i for i, on in enumerate(asked) if on] == [4, 5, 6, 7]


def test_a_flicker_shorter_than_the_trigger_never_asks() -> None:
    stage = RiskStage(with_zone(action="stop", polygon_m=FAR, trigger_s=0.2, release_s=1.0))
    got = [step(stage, 0.1 * i, post(8.5 if i % 2 else 20.0)).findings for i in range(12)]
    assert not any(f.zone for findings in got for f in findings)


def test_only_what_the_file_says_may_be_switched_and_it_is_said() -> None:
    stage = RiskStage(with_zone(action="stop", polygon_m=FAR, switchable=True))
    there = post(8.5)
    assert step(stage, 0.0, there).findings
    stage.enable("zone", False)
    off = step(stage, 0.1, there)
    assert (off.findings, off.disabled_zones) == ((), ("zone",))
    stage.enable("zone", True)
    on = step(stage, 0.2, there)
    assert on.findings
    assert on.disabled_zones == ()
    fixed = RiskStage(with_zone(action="stop", polygon_m=FAR))
    for name in ("zone", "other"):
        with pytest.raises(InputError, match=f"'{name}' is none that may be switched"):
            fixed.enable(name, False)


# --- occlusion ----------------------------------------------------------------------------------------------


def corner(beside_m: float, ahead_m: float = 3.0) -> PointCloud:
    """A shelf along the path that ends ``ahead_m`` before the robot's front, ``beside_m`` from its band."""
    y = 0.4 + beside_m
    along = np.arange(-1.0, 0.45 + ahead_m, 0.01)
    return points(*((x, y, z) for x in along for z in (0.8, 1.2)))


def occlusion(least_mps: float = 0.3, walking_mps: float = 1.6, shortest_m: float = 1.0) -> RiskConfig:
    return with_zone(
        action="occlusion",
        polygon_m=[[8.0, 4.0], [0.0, 4.0], [0.0, -4.0], [8.0, -4.0]],
        walking_mps=walking_mps,
        least_mps=least_mps,
        shortest_m=shortest_m,
    )


def limit(config: RiskConfig, cloud: PointCloud, speed_mps: float = 1.2) -> float:
    got = found(config, cloud, speed_mps=speed_mps)
    return config.max_speed_mps if got is None else got.speed_limit_mps


def test_past_a_corner_it_drives_as_fast_as_it_can_stop_for_who_steps_out() -> None:
    """At the corner itself: standing, by the emergency brake, before somebody who walks has come to the path."""
    config, beside_m = occlusion(), 1.4
    got = found(config, corner(beside_m, ahead_m=0.6), speed_mps=1.2)
    assert got is not None
    reaction_s = 0.05 + 0.05 + 0.05 + 0.10  # latency, half a sweep, the gate's period, the brakes
    assert got.speed_limit_mps == pytest.approx(2.0 * (beside_m / 1.6 - reaction_s), abs=0.05)
    assert "somebody may step out" in got.text


def test_with_the_service_brake_alone_it_is_slow_enough_at_every_corner() -> None:
    """From look to look the robot obeys as hard as that brake can: the emergency brake always makes it stand before."""
    look_s, reaction_s = 0.1, 0.25
    for beside_m in (0.05, 0.5, 1.0):
        v_mps, gap_m = 1.5, 4.0
        while gap_m > 0.1:
            allowed_mps = limit(occlusion(), corner(beside_m, ahead_m=gap_m), v_mps)
            v_mps = max(min(v_mps, allowed_mps), v_mps - 0.8 * look_s)
            gap_m -= v_mps * look_s
            stands_s = reaction_s + v_mps / 2.0
            stands_m = v_mps * reaction_s + v_mps**2 / (2 * 2.0)
            assert v_mps < 0.31 or stands_m < gap_m or stands_s < beside_m / 1.6
        at_most = max(0.3, 2.0 * (beside_m / 1.6 - reaction_s))
        assert v_mps == pytest.approx(at_most, abs=0.06)


def test_the_nearer_the_corner_to_the_path_the_slower_but_never_to_a_halt() -> None:
    limits = [limit(occlusion(), corner(beside_m, ahead_m=0.3)) for beside_m in (2.5, 1.6, 1.2, 0.8, 0.2)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] > limits[2] > limits[-1] == pytest.approx(0.3)


def test_a_corner_far_ahead_leaves_the_way_to_stop_before_it() -> None:
    near, far = (limit(occlusion(), corner(0.3, ahead_m=gap_m)) for gap_m in (1.0, 3.0))
    assert near < far


def end_of(*heights_m: float, ahead_m: float = 0.6) -> PointCloud:
    """A row of things along the path, 0.3 m beside it, of these heights from its near end on."""
    along = np.arange(0.0, 0.45 + ahead_m, 0.01)
    tops = np.array(heights_m)[(along / along[-1] * len(heights_m) * 0.999).astype(int)]
    rows = zip(along.tolist(), tops.tolist(), strict=True)
    return points(*((x, 0.7, z) for x, top in rows for z in np.arange(0.3, top + 0.01, 0.1)))


def test_over_what_is_low_enough_somebody_who_walks_is_seen() -> None:
    """Half a metre of the shortest of them."""
    for shortest_m in (1.2, 1.5):
        config = occlusion(shortest_m=shortest_m)
        assert limit(config, end_of(shortest_m - 0.6)) == AMR.drive.max_speed_mps
        assert limit(config, end_of(shortest_m - 0.4)) < 0.6


def test_a_lidar_lower_than_what_it_sees_does_not_see_over_it() -> None:
    file = AMR.model_dump(mode="json")
    file["zones"] = [zone | {"name": "zone"} for zone in file["zones"] if zone["action"] == "occlusion"]
    file["sensors"][0]["mounting"]["xyz_m"] = [0.1, 0.0, 0.7]
    low = RiskConfig.from_robot(Robot.model_validate(file))
    assert low.zones[0].hides_m == pytest.approx(0.6)
    assert limit(low, end_of(0.8)) < 0.6
    file["sensors"] = [sensor for sensor in file["sensors"] if sensor["kind"] == "scan"]
    file["perception"] = "legs"
    scanner = RiskConfig.from_robot(Robot.model_validate(file))
    assert scanner.zones[0].hides_m < 0.18, "a scanner does not know how tall anything is"


def test_where_a_shelf_is_only_filled_below_nobody_comes_through() -> None:
    """Tall, then low to the end of what is seen: who is behind the tall part cannot step over the low one."""
    config = occlusion(shortest_m=1.5)
    assert limit(config, end_of(1.2, 0.8, 0.8, ahead_m=2.4)) == AMR.drive.max_speed_mps
    for ends in ((1.2, 0.2, 0.2), (1.2, 1.2, 0.8), (1.2, 1.2, 1.2, 1.2, 0.8, 0.2, 0.2, 0.2)):
        assert limit(config, end_of(*ends, ahead_m=2.4)) < 1.2, (
            "who comes round half a metre is there at once"
        )


def test_low_things_and_an_open_hall_hide_nobody() -> None:
    low = replace(corner(0.3, 0.6), xyz_m=corner(0.3, 0.6).xyz_m * np.float32([1, 1, 0.2]))
    assert limit(occlusion(), low) == AMR.drive.max_speed_mps
    assert limit(occlusion(), post(20.0)) == AMR.drive.max_speed_mps


def test_a_person_hides_nobody_but_what_may_be_something_else_does() -> None:
    """The near side of somebody who strides, 0.8 m long, 0.9 m beside the path."""
    side = points(*((x, 1.3, z) for x in np.arange(1.2, 2.0, 0.02) for z in (0.8, 1.2)))
    person = track(1.6, 1.5, size_m=(0.8, 0.5, 1.7))
    assert found(occlusion(), side, tracks=person, speed_mps=1.2) is None
    others = [
        NOTHING,
        replace(person, class_ids=np.array([int(ObjectClass.UNKNOWN)])),
        replace(person, existence=np.array([0.3])),
        track(1.6, 1.5, size_m=(1.1, 0.5, 1.7)),
        replace(person, class_scores=np.array([0.4])),
        track(3.6, 1.5),
    ]
    for tracks in others:
        got = found(occlusion(), side, tracks=tracks, speed_mps=1.2)
        assert got is not None
        assert "somebody may step out" in got.text


def test_a_person_who_went_out_of_sight_may_step_out_again() -> None:
    seen = track(2.0, 1.6)
    hidden = replace(seen, region_radius_m=np.array([0.6]))
    config = occlusion()
    assert found(config, tracks=seen, speed_mps=1.2) is None
    got = found(config, tracks=hidden, speed_mps=1.2)
    assert got is not None
    assert got.track_ids == (1,)
    grown = found(config, tracks=replace(hidden, region_radius_m=np.array([1.1])), speed_mps=1.2)
    assert grown is not None
    assert grown.speed_limit_mps < got.speed_limit_mps


def test_a_person_who_went_out_of_sight_is_not_where_it_is_seen_to_be_empty() -> None:
    """Nor do they come through a wall, but from behind a box that would hide nobody else, and from behind others."""
    hidden = replace(track(2.0, 2.0), region_radius_m=np.array([1.4]))
    wall = [(x, y, z) for x in np.arange(-3.0, 6.0, 0.02) for y in (-1.6, 1.6) for z in (0.6, 1.2)]
    wall += [(6.0, y, z) for y in np.arange(-1.6, 1.6, 0.02) for z in (0.6, 1.2)]
    assert found(occlusion(), points(*wall), tracks=hidden, speed_mps=1.2) is None
    low = [(x, y, 0.3) for x in np.arange(1.6, 2.2, 0.01) for y in (0.8, 1.3)]
    low += [(x, y, 0.3) for x in (1.6, 2.2) for y in np.arange(0.8, 1.3, 0.01)]
    assert found(occlusion(), points(*wall, *low), speed_mps=1.2) is None
    got = found(occlusion(), points(*wall, *low), tracks=hidden, speed_mps=1.2)
    assert got is not None
    assert got.track_ids == (1,)


@pytest.mark.parametrize("speed_mps", [0.2, 0.6, 1.0])
def test_more_speed_never_raises_the_bound(speed_mps: float) -> None:
    for beside_m in (0.3, 0.9, 1.5):
        slow, fast = (limit(occlusion(), corner(beside_m, 0.6), v) for v in (speed_mps, speed_mps + 0.3))
        assert fast <= slow + 1e-9
