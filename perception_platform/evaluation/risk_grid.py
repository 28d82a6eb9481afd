"""The risk stage on a grid of cases whose truth is a closed form: does it stop in time, and never for nothing?

A case is one thing at one place in front of one robot at one speed, load and latency. The thing is there from the first
look on. The robot does what it is told, after all delays: it brakes with the emergency or the service brake, or down to
the limit. The formulas here are written out once more on purpose: they share nothing with the stage they judge.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import beta

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, SensorKind, Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Assessment
from perception_platform.risk.assess import Conditions, assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot

ROBOTS = ("amr", "forklift", "delivery_van")
SPEED_SHARES = (0.3, 0.65, 1.0)
LOAD_SHARES = (0.0, 0.5)  # of the robot's own mass
WAYS = (1.05, 1.4, 3.0)  # gap at the first look, in stopping distances of the emergency brake
LATENCIES_S = (0.1, 0.3)
LOOK_S, TICK_S, LONGEST_S = 0.1, 0.02, 12.0
WALKS_MPS = 1.2
LEAD_MPS2 = 6.0
PERSON_M, CAR_M, POST_M = (0.5, 0.5), (4.2, 1.8), (0.2, 0.2)
CLEAR_M = 0.15  # what stays so far out of path and zones is no matter of stopping
COMFORT = 1.3  # a stop this many times earlier than the service brake needs it is for nothing


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the grid.

    Attributes:
        robot: name.
        kind: wall, post, person, coming, crossing, lead or beside.
        speed_mps: at the first look.
        payload_kg: what is loaded.
        gap_m: free way at the first look.
        left_m: lateral position of the thing's middle.
        latency_s: from capture to assessment.
        curvature_per_m: of the robot's path.
        size_m: length along the path and width of the thing, where it stands.
    """

    robot: str
    kind: str
    speed_mps: float
    payload_kg: float
    gap_m: float
    left_m: float
    latency_s: float
    curvature_per_m: float = 0.0
    size_m: tuple[float, float] = POST_M


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case.

    Attributes:
        avoidable: braking as hard as it can from the first look on, the robot would not have touched it.
        harmless: nothing of it, ever, is a reason to stop; or at the first look not yet.
        touched: the robot touched it while it moved.
        stopped: a stop of either kind was asked for where that was for nothing.
    """

    avoidable: bool
    harmless: bool
    touched: bool
    stopped: bool


@dataclass(frozen=True, slots=True)
class _Robot:
    """A robot as the truth sees it."""

    config: RiskConfig
    mass_kg: float
    service_mps2: float
    emergency_mps2: float
    half_width_m: float
    front_m: float
    length_m: float

    def delay_s(self, case: Case, emergency: bool) -> float:
        """From capture to the beginning of braking, as late as can be; only the service brake waits for its jerk."""
        c = self.config
        waits_s = c.reaction_s - (c.jerk_s if emergency else 0.0)
        return case.latency_s + c.sweep_age_s + c.gate_period_s + waits_s

    def brake_mps2(self, case: Case, emergency: bool) -> float:
        """Newton's second law: the brakes' force is that of the robot without load."""
        decel = self.emergency_mps2 if emergency else self.service_mps2
        return decel * self.mass_kg / (self.mass_kg + case.payload_kg)

    def way_m(self, case: Case, emergency: bool) -> float:
        """To standstill from the first look on."""
        return case.speed_mps * self.delay_s(case, emergency) + case.speed_mps**2 / (
            2 * self.brake_mps2(case, emergency)
        )


def _robot(name: str) -> _Robot:
    described = load_robot(name)
    config = RiskConfig.from_robot(described)
    mass_kg = 1000.0
    config = replace(config, mass_kg=mass_kg, max_payload_kg=mass_kg, zones=())
    drive, footprint = described.drive, described.footprint
    return _Robot(
        config,
        mass_kg,
        drive.service_decel_mps2,
        drive.emergency_decel_mps2,
        float(footprint[:, 1].max()),
        float(footprint[:, 0].max()),
        float(np.ptp(footprint[:, 0])),
    )


def grid() -> Iterator[Case]:
    """All cases."""
    for name in ROBOTS:
        robot = _robot(name)
        for share, load, latency_s in itertools.product(SPEED_SHARES, LOAD_SHARES, LATENCIES_S):
            speed_mps = share * robot.config.max_speed_mps
            base = Case(name, "", speed_mps, load * robot.mass_kg, 0.0, 0.0, latency_s)
            for ways in WAYS:
                yield from _places(replace(base, gap_m=ways * robot.way_m(base, True)), robot)


def _places(base: Case, robot: _Robot) -> Iterator[Case]:
    half_m = robot.half_width_m
    yield replace(base, kind="wall")
    for left in (-0.9, 0.0, 0.9):
        yield replace(base, kind="post", left_m=left * half_m)
        yield replace(base, kind="person", left_m=left * half_m, size_m=PERSON_M)
    for bend in (
        -1.0,
        1.0,
    ):  # a lateral acceleration of 1 m/s², as long as the front's middle still leads the arc
        curvature = bend * min(1.0 / base.speed_mps**2, half_m / robot.front_m**2)
        yield replace(base, kind="post", curvature_per_m=curvature)
    yield replace(base, kind="coming")
    for seconds in (-1.0, 0.0, 4.0):  # when the person gets to the path, after the robot would be there
        yield replace(base, kind="crossing", left_m=_starts_m(base, robot, seconds))
    yield replace(base, kind="lead")
    clear_m = half_m + robot.config.beside_m + CLEAR_M
    for size_m, side in itertools.product((POST_M, PERSON_M, CAR_M), (-1.0, 1.0)):
        yield replace(base, kind="beside", left_m=side * (clear_m + size_m[1] / 2), size_m=size_m)


def _starts_m(base: Case, robot: _Robot, seconds: float) -> float:
    walks_s = max(base.gap_m / base.speed_mps + seconds, 0.0)
    return -(robot.half_width_m + PERSON_M[1] / 2 + WALKS_MPS * walks_s)


def judge(case: Case, robot: _Robot) -> Verdict:
    """Run one case to its end."""
    touched, stops, first = _drive(case, robot)
    harmless, ever = _harmless(case, robot)
    return Verdict(_avoidable(case, robot), harmless, touched, harmless and (stops if ever else first))


def _avoidable(case: Case, robot: _Robot) -> bool:
    way_m = robot.way_m(case, True)
    stands_s = robot.delay_s(case, True) + case.speed_mps / robot.brake_mps2(case, True)
    match case.kind:
        case "coming":
            return way_m + WALKS_MPS * stands_s < case.gap_m
        case "lead":  # it brakes with all it has from the first look on, which can be seen a look later
            return way_m + case.speed_mps * LOOK_S < case.gap_m + case.speed_mps**2 / (
                2 * robot.config.object_decel_mps2
            )
        case _:
            return way_m < case.gap_m


def _harmless(case: Case, robot: _Robot) -> tuple[bool, bool]:
    """Whether nothing is to be stopped for; and if so for ever, or only at the first look."""
    if case.kind == "beside":
        return True, True
    if case.kind == "crossing" and _enters_s(case, robot) > _leaves_s(case, robot) + 1.0:
        return True, False
    needs_m = COMFORT * robot.way_m(case, False) + robot.config.ahead_m
    if case.kind == "coming":
        needs_m += (
            WALKS_MPS
            * COMFORT
            * (robot.delay_s(case, False) + case.speed_mps / robot.brake_mps2(case, False))
        )
    return case.kind != "crossing" and case.gap_m > needs_m, False


def _enters_s(case: Case, robot: _Robot) -> float:
    return (-case.left_m - robot.half_width_m - robot.config.beside_m - PERSON_M[1] / 2) / WALKS_MPS


def _leaves_s(case: Case, robot: _Robot) -> float:
    """When the robot has passed the place, at its speed."""
    return (case.gap_m + PERSON_M[0] + robot.length_m) / case.speed_mps


def _drive(case: Case, robot: _Robot) -> tuple[bool, bool, bool]:
    """Whether it touched, whether a stop was ever asked for, and whether at the first look."""
    told: list[tuple[float, Action, float]] = []
    speed_mps, way_m, looks = case.speed_mps, 0.0, 0
    for tick in range(round(LONGEST_S / TICK_S)):
        t_s = tick * TICK_S
        if t_s >= looks * LOOK_S - 1e-9:
            verdict = _look(case, robot, speed_mps, way_m, t_s)
            first = verdict.findings[0] if verdict.findings else None
            action = first.action if first else Action.PROCEED
            limit_mps = min([np.inf, *(f.speed_limit_mps for f in verdict.findings)])
            hard = action is Action.EMERGENCY_STOP
            told.append((t_s + robot.delay_s(case, hard), action, limit_mps))
            looks += 1
        speed_mps = _after(speed_mps, [o for o in told if o[0] <= t_s + 1e-9][-1:], case, robot)
        way_m += speed_mps * TICK_S
        if speed_mps > 0 and _meets(case, robot, way_m, t_s):
            return True, any(a <= Action.STOP for _, a, _ in told), told[0][1] <= Action.STOP
        if speed_mps <= 0 or way_m > case.gap_m + CAR_M[0] + robot.length_m + case.speed_mps * 4:
            break
    return False, any(a <= Action.STOP for _, a, _ in told), told[0][1] <= Action.STOP


def _after(speed_mps: float, orders: list[tuple[float, Action, float]], case: Case, robot: _Robot) -> float:
    """Speed after one tick."""
    if not orders:
        return speed_mps
    _, action, limit_mps = orders[0]
    if action is Action.PROCEED:
        return speed_mps
    decel = robot.brake_mps2(case, action is Action.EMERGENCY_STOP)
    slowest = limit_mps if action is Action.LIMIT else 0.0
    return max(speed_mps - decel * TICK_S, min(slowest, speed_mps))


def _thing(case: Case, t_s: float) -> tuple[float, float, tuple[float, float], tuple[float, float]]:
    """Of the thing at a time: way from where the robot's front began, lateral position, size, velocity."""
    match case.kind:
        case "wall":
            return case.gap_m, 0.0, (0.2, 8.0), (0.0, 0.0)
        case "coming":
            return case.gap_m - WALKS_MPS * t_s, case.left_m, PERSON_M, (-WALKS_MPS, 0.0)
        case "crossing":
            return case.gap_m, case.left_m + WALKS_MPS * t_s, PERSON_M, (0.0, WALKS_MPS)
        case "lead":
            brakes_s = min(t_s, case.speed_mps / LEAD_MPS2)
            way_m = case.speed_mps * brakes_s - LEAD_MPS2 * brakes_s**2 / 2
            return case.gap_m + way_m, 0.0, CAR_M, (case.speed_mps - LEAD_MPS2 * brakes_s, 0.0)
        case _:
            return case.gap_m, case.left_m, case.size_m, (0.0, 0.0)


def _meets(case: Case, robot: _Robot, way_m: float, t_s: float) -> bool:
    near_m, left_m, (length_m, width_m), _ = _thing(case, t_s)
    beside = abs(left_m) >= robot.half_width_m + width_m / 2
    return not beside and way_m > near_m and way_m - robot.length_m < near_m + length_m


def _look(case: Case, robot: _Robot, speed_mps: float, way_m: float, t_s: float) -> Assessment:
    near_m, left_m, size_m, velocity_mps = _thing(case, t_s)
    ahead_m = near_m - way_m + robot.front_m
    t_ns = from_s(t_s)
    ego = EgoState(t_ns, Transform.identity(), (speed_mps, 0.0), case.curvature_per_m * speed_mps)
    tracks, clouds = Tracks.empty(t_ns, "odom"), []
    if case.kind in ("wall", "post") or (case.kind == "beside" and size_m == POST_M):
        xyz_m = _points(case, robot, ahead_m, left_m, size_m)
        clouds = [PointCloud(t_ns, "base_link", "lidar", xyz_m)]
    else:
        tracks = _track(t_ns, case, ahead_m + size_m[0] / 2, left_m, size_m, velocity_mps)
    now_ns = t_ns + from_s(case.latency_s)
    given = Conditions(payload_kg=case.payload_kg)
    return assess(tracks, clouds, ego, robot.config, now_ns=now_ns, conditions=given)


def _points(
    case: Case, robot: _Robot, ahead_m: float, left_m: float, size_m: tuple[float, float]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Points of a near face, 5 cm apart, laid along the path where that bends: the middle of the front, which is on the
    arc about ``front`` from the base's origin, has gone ``asin(front k) / k`` along it.
    """
    across = np.arange(left_m - size_m[1] / 2, left_m + size_m[1] / 2 + 1e-9, 0.05)
    front_m = robot.front_m
    angle = (ahead_m - front_m) * case.curvature_per_m + np.arcsin(front_m * case.curvature_per_m)
    bent = abs(case.curvature_per_m) > 1e-6
    radius = 1 / case.curvature_per_m if bent else 0.0
    x = (radius - across) * np.sin(angle) if bent else np.full(len(across), ahead_m)
    y = radius - (radius - across) * np.cos(angle) if bent else across
    return np.column_stack([x, y, np.full(len(across), 0.8)]).astype(np.float32)


def _track(
    t_ns: int,
    case: Case,
    x_m: float,
    y_m: float,
    size_m: tuple[float, float],
    velocity_mps: tuple[float, float],
) -> Tracks:
    vehicle = size_m == CAR_M
    return Tracks(
        t_ns,
        "odom",
        ids=np.array([1]),
        centers_m=np.array([[x_m, y_m, 0.9]]),
        velocities_mps=np.array([velocity_mps]),
        sizes_m=np.array([[*size_m, 1.7]]),
        yaws_rad=np.zeros(1),
        class_ids=np.array([int(ObjectClass.CAR if vehicle else ObjectClass.PERSON)]),
        class_scores=np.ones(1),
        existence=np.array([0.99]),
        state_cov=np.diag([0.03**2, 0.03**2, 0.1**2, 0.1**2])[None],
        last_seen_ns=np.array([t_ns]),
        first_seen_ns=np.array([t_ns]),
        sensors=np.array([int(SensorKind.LIDAR)]),
        accelerations_mps2=np.array(
            [[-LEAD_MPS2 if case.kind == "lead" and velocity_mps[0] > 0 and t_ns else 0.0, 0.0]]
        ),
    )


def judge_grid(on_progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """Run every case; late and false stops with the upper bounds of their rates (exact binomial, 95 %)."""
    robots = {name: _robot(name) for name in ROBOTS}
    cases = list(grid())
    counts: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    wrong: list[dict[str, Any]] = []
    for i, case in enumerate(cases):
        verdict = judge(case, robots[case.robot])
        late = verdict.avoidable and verdict.touched
        said = {
            "cases": True,
            "avoidable": verdict.avoidable,
            "late": late,
            "harmless": verdict.harmless,
            "false": verdict.stopped,
        }
        counts.update({k: int(v) for k, v in said.items()})
        kinds.setdefault(case.kind, Counter()).update({k: int(v) for k, v in said.items()})
        if late or verdict.stopped:
            wrong.append({"what": "late" if late else "false", **_as_dict(case)})
        on_progress((i + 1) / len(cases))
    return {
        **counts,
        "late_rate_at_most": _upper(counts["late"], counts["avoidable"]),
        "false_rate": counts["false"] / max(counts["harmless"], 1),
        "false_rate_at_most": _upper(counts["false"], counts["harmless"]),
        "by_kind": {kind: dict(count) for kind, count in sorted(kinds.items())},
        "wrong": wrong[:50],
    }


def _as_dict(case: Case) -> dict[str, Any]:
    return {
        name: round(v, 4) if isinstance(v := getattr(case, name), float) else v for name in Case.__slots__
    }


def _upper(wrong: int, of: int) -> float:
    """One-sided 95 % bound of Clopper and Pearson."""
    return 1.0 if wrong >= of else round(float(beta.ppf(0.95, wrong + 1, of - wrong)), 6)
