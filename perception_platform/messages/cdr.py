"""The gate's two messages as the bytes that DDS sends, written directly.

Making a message object of a decision, field by field, and having rclpy convert it costs several times what deciding
does. The bytes are the same (a test holds them against rclpy's): plain CDR, little-endian, every number aligned to its
own size from the end of the four-byte header on (OMG DDSI-RTPS 2.5, 10.2; OMG CDR, 9.3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from perception_platform.core.lineage import Lineage, StageTiming
from perception_platform.core.objects import ModelRef
from perception_platform.core.time import NS_PER_S
from perception_platform.core.verdicts import Decision, Finding
from perception_platform.messages.fields import Velocity
from perception_platform.messages.motion import SafeCommand
from perception_platform.robot.description import CommandType

_HEADER = b"\x00\x01\x00\x00"  # plain CDR, little-endian
_PADDING = tuple(bytes(n) for n in range(8))
_NUMBERS = {code: struct.Struct(f"<{code}") for code in "BHIQqd"}
_TIMES = struct.Struct("<7q")
_TWIST = struct.Struct("<6d")
_ACKERMANN = struct.Struct("<5f")  # steering angle, its velocity, speed, acceleration, jerk


class _Writer:
    """Bytes of one message, so far."""

    def __init__(self) -> None:
        self.data = bytearray(_HEADER)

    def align(self, size: int) -> None:
        """Pad so that a number of that size may follow."""
        self.data += _PADDING[-(len(self.data) - len(_HEADER)) % size]

    def number(self, code: str, value: float) -> None:
        """One number; ``code`` as in ``struct``."""
        number = _NUMBERS[code]
        self.align(number.size)
        self.data += number.pack(value)

    def text(self, value: str) -> None:
        """A string with its length and a zero at its end."""
        encoded = value.encode()
        self.number("I", len(encoded) + 1)
        self.data += encoded + b"\x00"

    def time(self, t_ns: int) -> None:
        """A ``builtin_interfaces/Time``."""
        seconds, rest_ns = divmod(int(t_ns), NS_PER_S)
        self.number("I", seconds)
        self.number("I", rest_ns)

    def header(self, t_ns: int, frame_id: str) -> None:
        """A ``std_msgs/Header``."""
        self.time(t_ns)
        self.text(frame_id)

    def twist(self, velocity: Velocity) -> None:
        """A ``geometry_msgs/Twist`` of (vx, vy, yaw rate)."""
        vx, vy, yaw_rate = velocity
        self.align(8)
        self.data += _TWIST.pack(vx, vy, 0.0, 0.0, 0.0, yaw_rate)


def command_to_cdr(command: SafeCommand, frame_id: str, kind: CommandType) -> bytes:
    """A TwistStamped, a Twist or, without bounds of how quickly, an AckermannDriveStamped."""
    out = _Writer()
    if kind != "twist":
        out.header(command.t_ns, frame_id)
    if kind == "ackermann":
        out.align(4)
        out.data += _ACKERMANN.pack(command.steering_rad, 0.0, command.velocity[0], 0.0, 0.0)
    else:
        out.twist(command.velocity)
    return bytes(out.data)


def decision_to_cdr(decision: Decision, base_frame: str) -> bytes:
    """A SafetyDecision: the fields of the message, one after the other."""
    out = _Writer()
    out.header(decision.t_ns, base_frame)
    out.number("Q", decision.sequence)
    out.number("B", decision.action)
    out.number("B", decision.state)
    out.number("d", decision.speed_limit_mps)
    out.number("d", decision.deceleration_mps2)
    reasons = decision.reasons
    out.number("I", len(reasons))
    for reason in reasons:
        out.number("H", reason)
    _findings(out, decision.findings)
    out.number("B", decision.latched)
    out.number("d", -1.0 if decision.latency_ns < 0 else decision.latency_ns / NS_PER_S)
    out.number("B", decision.command_mps is not None)
    out.twist(decision.command_mps or (0.0, 0.0, 0.0))
    out.twist(decision.output_mps)
    _lineage(out, decision.lineage)
    _models(out, decision.models)
    out.number("d", decision.profile_mps)
    out.number("B", decision.previous_state)
    out.text(decision.transition)
    without = decision.without
    out.number("B", without is not None)
    out.number("B", without.action if without else 0)
    out.number("d", without.speed_limit_mps if without else 0.0)
    out.number("H", (without.reason or 0) if without else 0)
    return bytes(out.data)


def _findings(out: _Writer, findings: Iterable[Finding]) -> None:
    found = tuple(findings)
    out.number("I", len(found))
    for finding in found:
        out.number("H", finding.reason)
        out.number("B", finding.action)
        out.number("d", finding.speed_limit_mps)
        out.text(finding.quantity)
        out.number("d", finding.value)
        out.number("d", finding.threshold)
        out.number("B", finding.upper)
        out.number("d", finding.margin)
        out.text(finding.unit)
        out.text(finding.zone)
        out.number("I", len(finding.track_ids))
        for track_id in finding.track_ids:
            out.number("Q", track_id)
        out.number("I", len(finding.points_m))
        for value in (v for point_m in finding.points_m for v in point_m):
            out.number("d", value)
        out.text(finding.sensor)
        out.text(finding.text)


def _lineage(out: _Writer, lineage: Lineage) -> None:
    out.number("I", len(lineage.sources))
    for source in lineage.sources:
        out.text(source.sensor)
    out.number("I", len(lineage.sources))
    for source in lineage.sources:
        out.time(source.t_ns)
    out.number("I", len(lineage.stages))
    for stage in lineage.stages:
        out.text(stage.stage)
        out.align(8)
        out.data += _TIMES.pack(*_times(stage))


def _times(stage: StageTiming) -> tuple[int, ...]:
    return (
        stage.received_ns,
        stage.queued_ns,
        stage.started_ns,
        stage.finished_ns,
        stage.published_ns,
        stage.gc_ns,
        stage.no_core_ns,
    )


def _models(out: _Writer, models: Iterable[ModelRef]) -> None:
    refs = tuple(models)
    out.number("I", len(refs))
    for ref in refs:
        out.text(ref.id)
        out.text(ref.digest)
