"""Which errors of perception would have changed what the robot should do: only those count as critical.

Each error is looked at by itself: the risk stage judges the labelled scene, and the same scene with that one error in
it. What it costs is measured by the effort it asks for, after Kaul et al., Effort-based criticality metrics for
evaluating 3D perception errors in autonomous driving, 2026 (arXiv 2603.28029): the speed that a phantom takes away
(their false speed reduction, here at one moment), the deceleration that a missed object asks for (their maximum
deceleration rate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Ints, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.verdicts import Action, Assessment
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig

Kind = Literal["missed", "phantom", "displaced"]


@dataclass(frozen=True, slots=True)
class Scene:
    """N boxes in the base frame, taken to stand.

    Attributes:
        centers_m: (N, 3) centres.
        sizes_m: (N, 3) length, width, height.
        yaws_rad: (N,) headings.
        class_ids: (N,) values of ObjectClass.
    """

    centers_m: Array
    sizes_m: Array
    yaws_rad: Array
    class_ids: Ints

    def __len__(self) -> int:
        return len(self.class_ids)

    def select(self, rows: Ints) -> Scene:
        """Some of them."""
        return Scene(*(getattr(self, f.name)[rows] for f in fields(self)))

    def without(self, row: int) -> Scene:
        """All but one."""
        return self.select(np.delete(np.arange(len(self)), row))

    def beside(self, other: Scene) -> Scene:
        """These and others."""
        return Scene(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def tracks(self) -> Tracks:
        """As tracks that certainly exist, at time 0."""
        n = len(self)
        none = np.zeros(n, dtype=np.int64)
        return replace(
            Tracks.empty(0, "odom"),
            ids=np.arange(n),
            centers_m=self.centers_m,
            velocities_mps=np.zeros((n, 2)),
            sizes_m=self.sizes_m,
            yaws_rad=self.yaws_rad,
            class_ids=self.class_ids,
            class_scores=np.ones(n),
            existence=np.ones(n),
            state_cov=np.zeros((n, 4, 4)),
            last_seen_ns=none,
            first_seen_ns=none,
            sensors=none,
            accelerations_mps2=np.zeros((n, 2)),
            acceleration_cov=np.zeros((n, 2, 2)),
            yaw_var_rad2=np.zeros(n),
            region_radius_m=np.zeros(n),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What the robot should do now: which action, and how fast it may go on at most, m/s."""

    action: Action
    allowed_mps: float


@dataclass(frozen=True, slots=True)
class Error:
    """One error and what it would have led to.

    Attributes:
        kind: of error.
        row: of the label, or of the result for a phantom.
        right: what the labelled scene asks for.
        wrong: what it asks for with the error in it.
        required_decel_mps2: to stop before a missed object; None where it is not in the way, or no braking would do.
        critical: whether the robot would have done something else.
    """

    kind: Kind
    row: int
    right: Asked
    wrong: Asked
    required_decel_mps2: float | None
    critical: bool

    @property
    def dangerous(self) -> bool:
        """Critical, and the robot would have driven faster than it should."""
        right, wrong = self.right, self.wrong
        return self.critical and (wrong.action, wrong.allowed_mps) > (right.action, right.allowed_mps)

    @property
    def lost_mps(self) -> float:
        """The speed that the error takes away; 0 if it takes none."""
        return max(self.right.allowed_mps - self.wrong.allowed_mps, 0.0)


@dataclass(frozen=True, slots=True)
class Judge:
    """The risk stage at one speed, straight ahead.

    Attributes:
        config: the robot.
        speed_mps: how fast it drives.
        tolerance_mps: allowed speeds that differ by less are the same.
    """

    config: RiskConfig
    speed_mps: float
    tolerance_mps: float = 0.25

    def assess(self, scene: Scene) -> Assessment:
        """What the risk stage says of a scene by its boxes alone."""
        ego = EgoState(0, Transform.identity(), (self.speed_mps, 0.0), 0.0)
        return assess(scene.tracks(), [], ego, self.config, now_ns=0)

    def asked(self, scene: Scene) -> Asked:
        """What it asks for. A limit above the present speed asks for nothing."""
        findings = self.assess(scene).findings
        if not findings:
            return Asked(Action.PROCEED, self.speed_mps)
        strictest = findings[0]
        if strictest.action is Action.LIMIT and strictest.speed_limit_mps >= self.speed_mps:
            return Asked(Action.PROCEED, self.speed_mps)
        return Asked(strictest.action, min(strictest.speed_limit_mps, self.speed_mps))

    def differ(self, one: Asked, other: Asked) -> bool:
        """Whether the robot would do something else."""
        stops = (Action.STOP, Action.EMERGENCY_STOP)
        if one.action in stops or other.action in stops:
            return one.action is not other.action
        return abs(one.allowed_mps - other.allowed_mps) > self.tolerance_mps

    def errors(self, labels: Scene, results: Scene, pairs: Mapping[int, int]) -> Iterator[Error]:
        """Each error of a frame.

        Args:
            labels: what is there.
            results: what was found.
            pairs: the row of the result of each label that was found.
        """
        right = self.asked(labels)
        needed = self.assess(labels).objects.required_decel_mps2
        for row in range(len(labels)):
            kind: Kind = "displaced" if row in pairs else "missed"
            scene = labels.without(row)
            if row in pairs:
                scene = scene.beside(results.select(np.array([pairs[row]])))
            yield self._error(kind, row, right, scene, float(needed[row]))
        for row in sorted(set(range(len(results))) - set(pairs.values())):
            yield self._error("phantom", row, right, labels.beside(results.select(np.array([row]))), 0.0)

    def _error(self, kind: Kind, row: int, right: Asked, scene: Scene, needed_mps2: float) -> Error:
        wrong = self.asked(scene)
        missed = kind == "missed" and 0.0 < needed_mps2 < np.inf
        return Error(kind, row, right, wrong, needed_mps2 if missed else None, self.differ(right, wrong))
