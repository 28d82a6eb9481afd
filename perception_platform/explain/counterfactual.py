"""Why a decision was as it was: made again from its own inputs, without its object, and with changed numbers.

Nothing is estimated: every answer is the decision of the same risk stage and the same gate on changed inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, points_in_polygon
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Decision, Finding
from perception_platform.risk.objects import track_corners
from perception_platform.risk.stage import RiskStage
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen

OWN = 1.3  # points this much outside a track's box, as a share of its size, are the object's
TOGETHER_M = 0.3  # points closer than this to each other are one thing
FARTHEST_M = 30.0
LATEST_S = 1.0
STEPS = 60  # of the coarse search, whose step is then halved
HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Case:
    """One decision with all that it was made from.

    Attributes:
        now_ns: time of the beat, ns.
        gate: the gate as it was before the beat.
        inputs: of the gate.
        tracks: what the assessment among the inputs was made from.
        obstacles: the same.
        ego: the same.
        assessed_ns: when it was made, ns.
        risk: the risk stage as it was before that assessment.
    """

    now_ns: int
    gate: SafetyGate
    inputs: GateInputs
    tracks: Tracks
    obstacles: tuple[PointCloud, ...]
    ego: EgoState
    assessed_ns: int
    risk: RiskStage

    @property
    def ego_at_gate(self) -> EgoState | None:
        """The odometry that the gate had, which may be newer than the risk stage's."""
        return None if self.inputs.ego is None else self.inputs.ego.value


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change of one quantity after which another action is decided.

    Attributes:
        quantity: ``distance``, ``speed`` or ``latency``.
        change: by how much, in ``unit``.
        unit: m, m/s or s.
        value: what it is then; None for a distance, which objects differ in.
        becomes: the decision then.
    """

    quantity: str
    change: float
    unit: str
    value: float | None
    becomes: Decision


@dataclass(frozen=True, slots=True)
class Counterfactuals:
    """What would have been decided otherwise.

    Attributes:
        decision: made again from the same inputs.
        object_ids: tracks that the binding rule is about.
        object_points: number of points that were taken away with them.
        without_object: the decision without them; None if no object or points bind.
        changes: the smallest changes that flip the action; a quantity that does not flip it is left out.
    """

    decision: Decision
    object_ids: tuple[int, ...]
    object_points: int
    without_object: Decision | None
    changes: tuple[Change, ...]


def decide_again(case: Case) -> Decision:
    """The decision, made again: assessed again, and judged again by the gate as it was."""
    return _decide(case)


def counterfactuals(case: Case) -> Counterfactuals:
    """What would have been decided otherwise, as if no stop before were being held."""
    decision = decide_again(case)
    binding = next((f for f in decision.findings if f.track_ids or f.points_m), None)
    if binding is None or binding.action is Action.PROCEED:
        return Counterfactuals(decision, (), 0, None, tuple(_changes(case, None)))
    thing = _thing(case, binding)
    gone = replace(
        case,
        tracks=_rows(case.tracks, ~thing.tracks),
        obstacles=tuple(_points(c, ~mine) for c, mine in zip(case.obstacles, thing.points, strict=True)),
        inputs=_with_clouds(case.inputs, lambda cloud: _points(cloud, ~_own(case, cloud, thing))),
    )
    return Counterfactuals(
        decision,
        tuple(int(i) for i in case.tracks.ids[thing.tracks]),
        int(sum(mine.sum() for mine in thing.points)),
        _unheld(gone),
        tuple(_changes(case, thing)),
    )


@dataclass(frozen=True, slots=True)
class _Thing:
    """One object: rows of the tracks, and of the points of each obstacle cloud, and one place on it, base frame, m."""

    tracks: npt.NDArray[np.bool_]
    points: tuple[npt.NDArray[np.bool_], ...]
    place_m: Array


def _thing(case: Case, binding: Finding) -> _Thing:
    """What a finding is about: its tracks and the points on them, or its points and what hangs together with them."""
    corners_m = track_corners(case.tracks, case.ego.at(case.tracks.t_ns))
    middles_m = corners_m.mean(axis=1, keepdims=True)
    outlines_m = middles_m + (corners_m - middles_m) * OWN
    seeds_m = np.array([p[:2] for p in binding.points_m], dtype=np.float64).reshape(-1, 2)
    named = np.isin(case.tracks.ids, binding.track_ids)
    if not named.any():
        named = np.array([points_in_polygon(seeds_m, o).any() for o in outlines_m], dtype=np.bool_)
    points = tuple(_of_thing(cloud, outlines_m[named], seeds_m) for cloud in case.obstacles)
    places_m = np.concatenate([seeds_m, corners_m[named].reshape(-1, 2)])
    return _Thing(named, points, places_m[np.linalg.norm(places_m, axis=1).argmin()])


def _of_thing(cloud: PointCloud, outlines_m: Sequence[Array], seeds_m: Array) -> npt.NDArray[np.bool_]:
    """Points on one of the outlines, or that hang together with the seeds."""
    xy_m = cloud.xyz_m[:, :2].astype(np.float64)
    mine = np.zeros(len(xy_m), dtype=np.bool_)
    for outline_m in outlines_m:
        mine |= points_in_polygon(xy_m, outline_m)
    front_m = seeds_m
    while len(front_m):
        near = np.zeros(len(xy_m), dtype=np.bool_)
        for place_m in front_m:
            near |= np.hypot(*(xy_m - place_m).T) < TOGETHER_M
        front_m = xy_m[near & ~mine]
        mine |= near
    return mine


def _own(case: Case, cloud: PointCloud, thing: _Thing) -> npt.NDArray[np.bool_]:
    """The object's points in a cloud that the gate looks at, which may be newer than the risk stage's."""
    for mine, seen in zip(thing.points, case.obstacles, strict=True):
        if seen is cloud:
            return mine
    corners_m = track_corners(case.tracks, case.ego.at(cloud.t_ns))[thing.tracks]
    middles_m = corners_m.mean(axis=1, keepdims=True)
    return _of_thing(cloud, middles_m + (corners_m - middles_m) * OWN, thing.place_m[None])


def _changes(case: Case, thing: _Thing | None) -> list[Change]:
    """The smallest change of each quantity that flips the action."""
    speed_mps = case.ego.velocity_mps[0]
    top_mps = case.risk.config.max_speed_mps
    age_s = _age_s(case)
    found = [
        _smallest(
            "speed", "m/s", lambda by: _faster(case, by), (-abs(speed_mps), top_mps - abs(speed_mps)), case
        ),
        _smallest("latency", "s", lambda by: _later(case, by), (-age_s, LATEST_S), case),
    ]
    if thing is not None:
        found.insert(
            0, _smallest("distance", "m", lambda by: _farther(case, thing, by), (0.0, FARTHEST_M), case)
        )
    starts = {"speed": abs(speed_mps), "latency": age_s}
    return [
        replace(c, value=starts[c.quantity] + c.change if c.quantity in starts else None)
        for c in found
        if c is not None
    ]


def _smallest(
    quantity: str, unit: str, changed: Callable[[float], Case], bounds: tuple[float, float], case: Case
) -> Change | None:
    """The change nearest to none that makes another action, found on a grid and then by halving its step."""
    action = _unheld(case).action
    hits = []
    for bound in bounds:
        steps = np.linspace(0.0, bound, STEPS + 1)
        for before, by in pairwise(steps):
            if _unheld(changed(float(by))).action is not action:
                hits.append(_halved(changed, float(before), float(by), action))
                break
    if not hits:
        return None
    by = min(hits, key=abs)
    return Change(quantity, by, unit, None, _unheld(changed(by)))


def _halved(changed: Callable[[float], Case], same: float, other: float, action: Action) -> float:
    for _ in range(HALVINGS):
        middle = (same + other) / 2
        same, other = (middle, other) if _unheld(changed(middle)).action is action else (same, middle)
    return other


def _decide(case: Case, *, held: bool = True) -> Decision:
    """What stage and gate make of a case; without ``held`` they remember nothing that is over."""
    seen = case.inputs.assessment
    assert seen is not None  # a case has the inputs of one
    stage, gate = case.risk.copy(held=held), case.gate.copy(held=held)
    made = stage.step(case.tracks, list(case.obstacles), case.ego, now_ns=case.assessed_ns)
    made = replace(made, lineage=seen.value.lineage)
    return gate.step(case.now_ns, replace(case.inputs, assessment=Seen(made, seen.silence_s)))


def _unheld(case: Case) -> Decision:
    return _decide(case, held=False)


def _faster(case: Case, by_mps: float) -> Case:
    """The robot at another speed, on the same arc."""
    vx = case.ego.velocity_mps[0]
    if vx == 0.0:
        moved = replace(case.ego, velocity_mps=(by_mps, 0.0))
    else:
        share = 1.0 + by_mps / abs(vx)
        velocity = (vx * share, case.ego.velocity_mps[1] * share)
        moved = replace(case.ego, velocity_mps=velocity, yaw_rate_radps=case.ego.yaw_rate_radps * share)
    seen = case.inputs.ego
    assert seen is not None  # nothing is assessed without odometry
    at_gate = replace(seen.value, velocity_mps=moved.velocity_mps, yaw_rate_radps=moved.yaw_rate_radps)
    return replace(case, ego=moved, inputs=replace(case.inputs, ego=Seen(at_gate, seen.silence_s)))


def _later(case: Case, by_s: float) -> Case:
    """All data older by so much: captured earlier, on its way for longer."""
    by_ns = from_s(by_s)
    seen = case.inputs.assessment
    assert seen is not None
    lineage = seen.value.lineage
    older = Lineage(tuple(replace(s, t_ns=s.t_ns - by_ns) for s in lineage.sources), lineage.stages)
    aged = replace(seen.value, lineage=older)
    inputs = replace(case.inputs, assessment=Seen(aged, seen.silence_s))
    return replace(case, assessed_ns=case.assessed_ns + by_ns, inputs=inputs)


def _farther(case: Case, thing: _Thing, by_m: float) -> Case:
    """The object moved straight away from the robot."""
    away_m = thing.place_m / max(float(np.linalg.norm(thing.place_m)), 1e-6) * by_m
    in_odom = case.ego.odom_from_base.rotate(np.array([[*away_m, 0.0]]))[0]
    centers_m = case.tracks.centers_m.copy()
    centers_m[thing.tracks] += in_odom
    shifted = tuple(_shift(c, mine, away_m) for c, mine in zip(case.obstacles, thing.points, strict=True))
    inputs = _with_clouds(case.inputs, lambda cloud: _shift(cloud, _own(case, cloud, thing), away_m))
    return replace(case, tracks=replace(case.tracks, centers_m=centers_m), obstacles=shifted, inputs=inputs)


def _shift(cloud: PointCloud, mine: npt.NDArray[np.bool_], by_m: Array) -> PointCloud:
    xyz_m = cloud.xyz_m.copy()
    xyz_m[mine, :2] += by_m.astype(xyz_m.dtype)
    return replace(cloud, xyz_m=xyz_m)


def _with_clouds(inputs: GateInputs, change: Callable[[PointCloud], PointCloud]) -> GateInputs:
    clouds = {name: Seen(change(seen.value), seen.silence_s) for name, seen in inputs.obstacles.items()}
    return replace(inputs, obstacles=clouds)


def _age_s(case: Case) -> float:
    seen = case.inputs.assessment
    age_ns = seen.value.lineage.age_ns(case.now_ns) if seen else None
    return (age_ns or 0) / 1e9


Rows = TypeVar("Rows", Tracks, PointCloud)


def _rows(value: Rows, keep: npt.NDArray[np.bool_]) -> Rows:
    """Some rows of a struct of arrays."""
    arrays: dict[str, Any] = {f.name: getattr(value, f.name) for f in fields(value)}
    kept: dict[str, Any] = {k: v[keep] for k, v in arrays.items() if isinstance(v, np.ndarray)}
    return replace(value, **kept)


def _points(cloud: PointCloud, keep: npt.NDArray[np.bool_]) -> PointCloud:
    return _rows(cloud, keep)
