"""What a stack says, made up."""

from __future__ import annotations

from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.objects import ModelRef
from perception_platform.core.runtime_status import EdgeCount, RuntimeStatus
from perception_platform.core.sensor_data import SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.verdicts import Action, Decision, Finding, GateState, Reason

MS = 1_000_000
START = 100_000 * MS


def stage(name: str, *times_ms: float, gc_ms: float = 0.0) -> StageTiming:
    """A stage; received, queued, started, finished and published after ``START``."""
    return StageTiming(name, *(START + round(t * MS) for t in times_ms), gc_ns=round(gc_ms * MS))


PERCEPTION = stage("perception", 2, 3, 7, 37, 38, gc_ms=4)
TRACKER = stage("tracker", 39, 39, 39, 44, 45)
SWEEP = SourceStamp("lidar_top", START)


def decision(
    t_ms: float,
    *,
    sequence: int = 1,
    action: Action = Action.PROCEED,
    sources: tuple[SourceStamp, ...] = (SWEEP,),
    stages: tuple[StageTiming, ...] = (PERCEPTION, TRACKER),
) -> Decision:
    """A decision; its own stage comes last, as the gate puts it."""
    sent_ms = max((s.published_ns - START for s in stages), default=0) / MS
    beat = stage("safety_gate", sent_ms + 1, sent_ms + 1, t_ms, t_ms, t_ms + 0.1)
    findings = () if action is Action.PROCEED else (finding(action),)
    return Decision(
        t_ns=START + round(t_ms * MS),
        sequence=sequence,
        action=action,
        state=GateState.NORMAL if action is Action.PROCEED else GateState.STOPPED,
        speed_limit_mps=1.5 if action is Action.PROCEED else 0.0,
        deceleration_mps2=0.8,
        findings=findings,
        latched=False,
        latency_ns=round(t_ms * MS) if sources else -1,
        command_mps=(0.7, 0.0, 0.0),
        output_mps=(0.7 if action is Action.PROCEED else 0.0, 0.0, 0.0),
        lineage=Lineage(sources, (*stages, beat)),
        models=(ModelRef("fastestdet", "0" * 64),),
    )


def finding(action: Action) -> Finding:
    """Somebody in the way."""
    return Finding(Reason.OBJECT_IN_PATH, action, 0.0, "gap", 0.4, 0.5, "m")


def status(node: str = "tracker", *edges: EdgeCount, **fields: object) -> RuntimeStatus:
    """A node's report."""
    return RuntimeStatus(START, node, edges, **fields)  # type: ignore[arg-type]


def edge(topic: str = "/perception/detections", **counts: int) -> EdgeCount:
    """An input that counted this."""
    return EdgeCount(topic, "latest", **counts)


def health(sensor: str = "lidar_top", **fields: object) -> SensorHealth:
    """A sensor that loses packets."""
    given: dict[str, object] = {
        "t_ns": START,
        "sensor": sensor,
        "status": SensorStatus.DEGRADED,
        "problems": (SensorProblem.DROPPED_PACKETS,),
        "rate_hz": 9.7,
        "age_s": 0.08,
        "frames_received": 500,
        "frames_dropped": 3,
        "packets_dropped": 40,
        "malformed": 1,
        "blind_sectors_rad": (),
        "text": "",
    }
    return SensorHealth(**{**given, **fields})  # type: ignore[arg-type]


def model(**fields: object) -> ModelStatus:
    """A camera head that runs the model it was given."""
    given: dict[str, object] = {
        "t_ns": START,
        "head": "camera_objects",
        "model": ModelRef("fastestdet", "0" * 64),
        "state": ModelState.ACTIVE,
        "backend": "onnxruntime/CPUExecutionProvider",
        "run_time_p50_s": 0.012,
        "run_time_p99_s": 0.02,
        "runs": 300,
        "failures": 2,
        "text": "",
    }
    return ModelStatus(**{**given, **fields})  # type: ignore[arg-type]
