"""The live view: a WebSocket server that Foxglove connects to, on loopback unless told otherwise."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

import foxglove
import foxglove.channels as fgc
import foxglove.messages as fg

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud
from perception_platform.core.time import NS_PER_S, to_ms
from perception_platform.core.verdicts import Action, Assessment, Decision, Reason
from perception_platform.robot.description import Robot
from perception_platform.view import scene

_LOG_LEVELS = {
    Action.EMERGENCY_STOP: fg.LogLevel.Error,
    Action.STOP: fg.LogLevel.Error,
    Action.LIMIT: fg.LogLevel.Warning,
    Action.PROCEED: fg.LogLevel.Info,
}
_DECISION_SCHEMA = {
    "type": "object",
    "properties": {
        "action": {"type": "string"},
        "state": {"type": "string"},
        "reason": {"type": "string"},
        "text": {"type": "string"},
        "speed_limit_mps": {"type": "number"},
        "speed_mps": {"type": "number"},
        "gap_m": {"type": ["number", "null"]},
        "latency_ms": {"type": ["number", "null"]},
    },
}


class FoxgloveLive:
    """Serves what the stack sees and decides; a channel nobody looks at costs next to nothing.

    Channel names do not depend on the robot, so that one layout (``config/foxglove``) fits all: cameras, and
    lidars followed by scanners, are numbered in the order of the robot file.

    Args:
        robot: whose stack it is.
        host: address to listen on.
        port: TCP port; 0 takes a free one.

    Raises:
        InputError: if the port is taken or the address is not ours.
    """

    def __init__(self, robot: Robot, host: str = "127.0.0.1", port: int = 8765) -> None:
        self._robot = robot
        self._context = foxglove.Context()
        self._frames = fgc.FrameTransformsChannel("/tf", context=self._context)
        self._body = fgc.SceneUpdateChannel("/robot", context=self._context)
        self._tracks = fgc.SceneUpdateChannel("/tracks", context=self._context)
        self._log = fgc.LogChannel("/decision_log", context=self._context)
        self._decision = foxglove.Channel("/decision", schema=_DECISION_SCHEMA, context=self._context)
        self._clouds = {
            s.name: fgc.PointCloudChannel(f"/obstacles/{i}", context=self._context)
            for i, s in enumerate([*robot.lidars, *robot.sources], 1)
        }
        self._cameras = {c.name: self._camera_channels(i) for i, c in enumerate(robot.cameras, 1)}
        self._speed_mps = 0.0
        self._gap_m = math.inf
        self._said = ""
        self._drawn: tuple[int, frozenset[str]] = (-1, frozenset())
        try:
            self._server = foxglove.start_server(
                name=f"perception_platform {robot.name}",
                host=host,
                port=port,
                capabilities=[foxglove.Capability.Time],
                context=self._context,
            )
        except (RuntimeError, OSError) as error:
            raise InputError(f"{host}:{port}", f"the live view cannot listen there: {error}") from error

    def __enter__(self) -> FoxgloveLive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.port)

    def show(self, value: object) -> None:
        """Show a core value; kinds that the view has no picture for are passed over."""
        match value:
            case EgoState():
                self._show_ego(value)
            case PointCloud():
                self._show_cloud(value)
            case Image():
                self._show_image(value)
            case Tracks():
                self._tracks.log(scene.tracks_scene(value), log_time=value.t_ns)
            case Assessment():
                self._gap_m = float(min(value.objects.gap_m, default=math.inf))
            case Decision():
                self._show_decision(value)

    def _camera_channels(self, number: int) -> tuple[fgc.RawImageChannel, fgc.CameraCalibrationChannel]:
        base = f"/camera/{number}"
        return (
            fgc.RawImageChannel(f"{base}/image", context=self._context),
            fgc.CameraCalibrationChannel(f"{base}/calibration", context=self._context),
        )

    def _show_ego(self, ego: EgoState) -> None:
        self._speed_mps = math.hypot(*ego.velocity_mps)
        self._server.broadcast_time(ego.t_ns)
        self._frames.log(scene.frames(self._robot, ego), log_time=ego.t_ns)

    def _show_cloud(self, cloud: PointCloud) -> None:
        channel = self._clouds[cloud.sensor]
        if channel.has_sinks():
            channel.log(scene.cloud(cloud), log_time=cloud.t_ns)

    def _show_image(self, image: Image) -> None:
        picture, calibration = self._cameras[image.sensor]
        if picture.has_sinks():
            picture.log(scene.image(image), log_time=image.t_ns)
        camera = next(c for c in self._robot.cameras if c.name == image.sensor)
        calibration.log(scene.calibration(image.t_ns, camera), log_time=image.t_ns)

    def _show_decision(self, decision: Decision) -> None:
        first = decision.findings[0] if decision.findings else None
        text = first.text if first else "free to proceed"
        row: dict[str, Any] = {
            "action": decision.action.name.lower(),
            "state": decision.state.name.lower(),
            "reason": first.reason.name.lower() if first else "",
            "text": text,
            "speed_limit_mps": decision.speed_limit_mps,
            "speed_mps": self._speed_mps,
            "gap_m": self._gap_m if math.isfinite(self._gap_m) else None,
            "latency_ms": to_ms(decision.latency_ns) if decision.latency_ns >= 0 else None,
        }
        self._decision.log(row, log_time=decision.t_ns)
        self._draw_body(decision)
        self._say(decision, first.reason if first else None, text)

    def _draw_body(self, decision: Decision) -> None:
        """When a zone is entered or left, and once a second for those who connect late."""
        entered = frozenset(f.zone for f in decision.findings if f.zone)
        second = decision.t_ns // NS_PER_S
        if self._drawn != (second, entered):
            self._drawn = (second, entered)
            self._body.log(scene.robot_scene(decision.t_ns, self._robot, entered), log_time=decision.t_ns)

    def _say(self, decision: Decision, reason: Reason | None, text: str) -> None:
        """A line in the log when action or reason change, not at every beat."""
        said = f"{decision.action.name} {reason}"
        if said == self._said:
            return
        self._said = said
        line = fg.Log(
            timestamp=scene.timestamp(decision.t_ns),
            level=_LOG_LEVELS[decision.action],
            message=f"{decision.action.name.lower()}: {text}",
            name="safety_gate",
        )
        self._log.log(line, log_time=decision.t_ns)
