"""How the value of each topic becomes its message and back: one row a topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perception_platform.messages.cdr import command_to_cdr, decision_to_cdr
from perception_platform.messages.clouds import cloud_from_msg, cloud_to_msg
from perception_platform.messages.motion import ego_from_odometry, velocity_from_command
from perception_platform.messages.objects import (
    detections_from_msg,
    detections_to_msg,
    tracks_from_msg,
    tracks_to_msg,
)
from perception_platform.messages.runtime import (
    application_report_from_msg,
    application_report_to_msg,
    runtime_status_from_msg,
    runtime_status_to_msg,
)
from perception_platform.messages.verdicts import (
    assessment_from_msg,
    assessment_to_msg,
    decision_from_msg,
    health_from_msg,
    health_to_msg,
    model_status_from_msg,
    model_status_to_msg,
)
from perception_platform.robot.description import Robot
from perception_platform.ros.inputs import SOURCES, obstacles_in_base
from perception_platform.ros.make import make
from perception_platform.ros.topics import TOPICS, Topic

Decode = Callable[[Any, str, Robot], Any]
Encode = Callable[[Any, Robot], Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """Both ways: message, sensor and robot to value, and value and robot to message, or to its bytes.

    A topic that the platform only reads has no ``encode``, one that it only writes no ``decode``.
    """

    decode: Decode | None = None
    encode: Encode | None = None


# Images need OpenCV, which the gate's process does not load.
def _image_from_msg(message: Any, sensor: str, _robot: Robot) -> Any:
    from perception_platform.ros.images import decode_image

    return decode_image(message, sensor)


def _image_to_msg(image: Any, _robot: Robot) -> Any:
    from perception_platform.messages.images import image_to_msg

    return image_to_msg(image, make)


def _camera_info_to_msg(camera: Any, _robot: Robot) -> Any:
    """Of (model, time in ns, frame)."""
    from perception_platform.messages.images import camera_info_to_msg

    return camera_info_to_msg(*camera, make)


CODECS: dict[str, Codec] = {
    "image": Codec(_image_from_msg, _image_to_msg),
    "camera_info": Codec(encode=_camera_info_to_msg),
    "points": Codec(lambda m, s, _: cloud_from_msg(m, s), lambda v, _: cloud_to_msg(v, make)),
    **{kind: Codec(source_in_base) for kind, source_in_base in SOURCES.items()},
    "odometry": Codec(lambda m, _s, _r: ego_from_odometry(m)),
    "command": Codec(lambda m, _s, r: velocity_from_command(m, TOPICS["command"].name, r.drive.wheelbase_m)),
    "command_safe": Codec(encode=lambda v, r: command_to_cdr(v, r.base_frame, r.gate.output)),
    "sensor_health": Codec(lambda m, _s, _r: health_from_msg(m), lambda v, _: health_to_msg(v, make)),
    "model_status": Codec(
        lambda m, _s, _r: model_status_from_msg(m), lambda v, _: model_status_to_msg(v, make)
    ),
    "applications": Codec(
        lambda m, _s, _r: application_report_from_msg(m),
        lambda v, r: application_report_to_msg(v, r.base_frame, make),
    ),
    "detections": Codec(lambda m, _s, _r: detections_from_msg(m), lambda v, _: detections_to_msg(v, make)),
    "obstacles": Codec(obstacles_in_base, lambda v, _: cloud_to_msg(v, make)),
    "tracks": Codec(lambda m, _s, _r: tracks_from_msg(m), lambda v, _: tracks_to_msg(v, make)),
    "assessment": Codec(  # what the gate needs: the measures of hundreds of objects would keep it busy for nothing
        lambda m, _s, _r: assessment_from_msg(m),
        lambda v, r: assessment_to_msg(v, r.base_frame, make, with_objects=False),
    ),
    "assessment_full": Codec(
        lambda m, _s, _r: assessment_from_msg(m), lambda v, r: assessment_to_msg(v, r.base_frame, make)
    ),
    "decision": Codec(lambda m, _s, _r: decision_from_msg(m), lambda v, r: decision_to_cdr(v, r.base_frame)),
    "runtime_status": Codec(
        lambda m, _s, _r: runtime_status_from_msg(m), lambda v, _: runtime_status_to_msg(v, make)
    ),
}


def decoded(topic: Topic, message: Any, sensor: str, robot: Robot) -> Any:
    """The value of a message.

    Raises:
        InputError: if it is malformed.
        ValueError: if the platform never reads that topic.
    """
    decode = CODECS[topic.key].decode
    if decode is None:
        raise ValueError(f"{topic.key} is never read by the platform")
    return decode(message, sensor, robot)


def encoded(topic: Topic, value: Any, robot: Robot) -> Any:
    """The message of a value.

    Raises:
        ValueError: if the platform never publishes that topic.
    """
    encode = CODECS[topic.key].encode
    if encode is None:
        raise ValueError(f"{topic.key} is never published by the platform")
    return encode(value, robot)
