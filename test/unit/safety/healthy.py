"""A gate with everything fresh and nothing in the way: what the tests of the gate begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perception_platform.core.lineage import Lineage, SourceStamp
from perception_platform.core.objects import Tracks
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action, Assessment, Decision, Finding, NearObjects, Reason
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from perception_platform.safety.config import Drive, GateConfig
from perception_platform.safety.gate import SafetyGate
from perception_platform.safety.inputs import GateInputs, Seen
from test.unit.scenes import ego_state, points

ROBOT = load_robot("amr")
CONFIG = GateConfig.from_robot(ROBOT)
PERIOD_NS = CONFIG.period_ns
# A footprint that is not the same on all sides: forks first, 2.1 m ahead and 1.2 m behind, 0.6 m to each side.
FORKLIFT = replace(GateConfig.from_robot(load_robot("forklift")), drive=Drive.DIFFERENTIAL)
NO_RISKS = assess(Tracks.empty(0, "odom"), (), ego_state(), RiskConfig.from_robot(ROBOT), now_ns=0).objects


def assessment(t_ns: int, *findings: Finding, near: NearObjects | None = None) -> Assessment:
    lineage = Lineage((SourceStamp("lidar_top", t_ns),))
    return Assessment(t_ns, findings, NO_RISKS, lineage, near=near or NearObjects.none())


def healthy(now_ns: int, speed_mps: float = 1.0, findings: tuple[Finding, ...] = ()) -> GateInputs:
    """Everything fresh, nothing in the way."""
    captured_ns = now_ns - from_s(0.1)
    return GateInputs(
        assessment=Seen(assessment(captured_ns, *findings), 0.05),
        ego=Seen(ego_state(speed_mps, t_ns=now_ns - from_s(0.02)), 0.02),
        obstacles={
            "lidar_top": Seen(points((9.0, 0.0, 0.5), t_ns=captured_ns), 0.05),
            "scan_front": Seen(points((9.0, 0.0, 0.2), sensor="scan_front", t_ns=captured_ns), 0.05),
        },
        command=Seen((1.0, 0.0, 0.2), 0.05),
    )


def finding(action: Action, limit_mps: float = 0.0, **changes: object) -> Finding:
    values: dict[str, object] = {"reason": Reason.OBJECT_IN_PATH, "track_ids": (3,)} | changes
    reason, ids = values.pop("reason"), values.pop("track_ids")
    return Finding(reason, action, limit_mps, "gap", 1.0, 1.5, "m", track_ids=ids, **values)  # type: ignore[arg-type]


def running_gate(config: GateConfig = CONFIG) -> tuple[SafetyGate, int]:
    """A gate that has had a complete set of inputs, and the time of its next beat."""
    gate = SafetyGate(config)
    gate.reset()
    assert gate.step(from_s(10.0), healthy(from_s(10.0))).action is Action.PROCEED
    return gate, from_s(10.0) + PERIOD_NS


def beats(
    gate: SafetyGate, from_ns: int, count: int, inputs: Callable[[int], GateInputs] = healthy
) -> list[Decision]:
    """Decisions of so many beats, a period apart."""
    return [gate.step(t_ns, inputs(t_ns)) for t_ns in range(from_ns, from_ns + count * PERIOD_NS, PERIOD_NS)]
