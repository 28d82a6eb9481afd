"""Detections and tracks with their lineage and models."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.objects import Detections, ModelRef, ObjectClass, Tracks
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.messages.fields import Make, set_array, set_header, set_xyz, time_ns, time_to_msg

_PACKAGE = "perception_platform_msgs/msg/"
_CLASS_IDS = [int(c) for c in ObjectClass]
_STAGE_TIMES = [f.name for f in fields(StageTiming) if f.name != "stage"]


def lineage_from_msg(msg: Any, source: str) -> Lineage:
    """A Lineage message.

    Raises:
        InputError: names source and field if sensors and stamps differ in number or times are out of order.
    """
    if len(msg.sensors) != len(msg.stamps):
        raise InputError(source, f"{len(msg.sensors)} sensors, {len(msg.stamps)} stamps", "lineage")
    stamps = [time_ns(stamp, source, "lineage.stamps") for stamp in msg.stamps]
    try:
        stages = tuple(
            StageTiming(s.stage, *(int(getattr(s, name)) for name in _STAGE_TIMES)) for s in msg.stages
        )
    except ValueError as error:
        raise InputError(source, str(error), "lineage.stages") from error
    return Lineage(tuple(SourceStamp(*pair) for pair in zip(msg.sensors, stamps, strict=True)), stages)


def lineage_to_msg(lineage: Lineage, make: Make) -> Any:
    """A Lineage message."""
    msg = make(_PACKAGE + "Lineage")
    msg.sensors = [s.sensor for s in lineage.sources]
    msg.stamps = [time_to_msg(s.t_ns, make) for s in lineage.sources]
    msg.stages = [_stage_to_msg(s, make) for s in lineage.stages]
    return msg


def model_ref_to_msg(model: ModelRef, make: Make) -> Any:
    """A ModelRef message."""
    msg = make(_PACKAGE + "ModelRef")
    msg.id, msg.digest = model.id, model.digest
    return msg


def models_from_msg(msgs: Any) -> tuple[ModelRef, ...]:
    """A list of ModelRef messages."""
    return tuple(ModelRef(m.id, m.digest) for m in msgs)


def detections_from_msg(msg: Any, topic: str = "/perception/detections") -> Detections:
    """A DetectionArray.

    Raises:
        InputError: names the topic and the field if a box is not finite or a class is unknown.
    """
    ds = msg.detections
    n = len(ds)
    return Detections(
        t_ns=time_ns(msg.header.stamp, topic),
        frame_id=msg.header.frame_id,
        centers_m=_finite(
            [(d.center.x, d.center.y, d.center.z) for d in ds], (n, 3), topic, "detections.center"
        ),
        sizes_m=_sizes([(d.size.x, d.size.y, d.size.z) for d in ds], topic, "detections.size"),
        yaws_rad=_finite([d.yaw for d in ds], (n,), topic, "detections.yaw"),
        class_ids=_classes([d.class_id for d in ds], topic, "detections.class_id"),
        scores=_finite([d.score for d in ds], (n,), topic, "detections.score"),
        sensors=_ints([d.sensors for d in ds]),
        num_points=_ints([d.num_points for d in ds]),
        position_cov_m2=_finite(
            [d.position_covariance for d in ds], (n, 2, 2), topic, "detections.position_covariance"
        ),
        image_boxes_px=np.asarray([d.image_box for d in ds], dtype=np.float64).reshape(n, 4),
        lineage=lineage_from_msg(msg.lineage, topic),
        models=models_from_msg(msg.models),
    )


def detections_to_msg(detections: Detections, make: Make) -> Any:
    """A DetectionArray."""
    msg = make(_PACKAGE + "DetectionArray")
    set_header(msg, detections.t_ns, detections.frame_id)
    msg.lineage = lineage_to_msg(detections.lineage, make)
    msg.models = [model_ref_to_msg(m, make) for m in detections.models]
    msg.detections = [_detection_to_msg(detections, i, make) for i in range(len(detections))]
    return msg


def tracks_from_msg(msg: Any, topic: str = "/tracks") -> Tracks:
    """A TrackArray.

    Raises:
        InputError: names the topic and the field if a state is not finite or a class is unknown.
    """
    ts = msg.tracks
    n = len(ts)
    return Tracks(
        t_ns=time_ns(msg.header.stamp, topic),
        frame_id=msg.header.frame_id,
        ids=_ints([t.id for t in ts]),
        centers_m=_finite([_xyz(t.center) for t in ts], (n, 3), topic, "tracks.center"),
        velocities_mps=_finite([(t.velocity.x, t.velocity.y) for t in ts], (n, 2), topic, "tracks.velocity"),
        sizes_m=_sizes([_xyz(t.size) for t in ts], topic, "tracks.size"),
        yaws_rad=_finite([t.yaw for t in ts], (n,), topic, "tracks.yaw"),
        class_ids=_classes([t.class_id for t in ts], topic, "tracks.class_id"),
        class_scores=_finite([t.class_score for t in ts], (n,), topic, "tracks.class_score"),
        existence=_finite([t.existence for t in ts], (n,), topic, "tracks.existence"),
        state_cov=_finite([t.state_covariance for t in ts], (n, 4, 4), topic, "tracks.state_covariance"),
        last_seen_ns=_ints([time_ns(t.last_seen, topic, "tracks.last_seen") for t in ts]),
        first_seen_ns=_ints([time_ns(t.first_seen, topic, "tracks.first_seen") for t in ts]),
        sensors=_ints([t.sensors for t in ts]),
        lineage=lineage_from_msg(msg.lineage, topic),
        models=models_from_msg(msg.models),
        events=tuple(_event_from_msg(event, topic) for event in msg.events),
        accelerations_mps2=_finite(
            [(t.acceleration.x, t.acceleration.y) for t in ts], (n, 2), topic, "tracks.acceleration"
        ),
        acceleration_cov=_finite(
            [t.acceleration_covariance for t in ts], (n, 2, 2), topic, "tracks.acceleration_covariance"
        ),
        yaw_var_rad2=_finite([t.yaw_variance for t in ts], (n,), topic, "tracks.yaw_variance"),
        region_radius_m=_finite([t.region_radius for t in ts], (n,), topic, "tracks.region_radius"),
    )


def tracks_to_msg(tracks: Tracks, make: Make) -> Any:
    """A TrackArray."""
    msg = make(_PACKAGE + "TrackArray")
    set_header(msg, tracks.t_ns, tracks.frame_id)
    msg.lineage = lineage_to_msg(tracks.lineage, make)
    msg.models = [model_ref_to_msg(m, make) for m in tracks.models]
    msg.tracks = [_track_to_msg(tracks, i, make) for i in range(len(tracks))]
    msg.events = [_event_to_msg(event, make) for event in tracks.events]
    return msg


def _stage_to_msg(stage: StageTiming, make: Make) -> Any:
    msg = make(_PACKAGE + "StageTiming")
    msg.stage = stage.stage
    for name in _STAGE_TIMES:
        setattr(msg, name, getattr(stage, name))
    return msg


def _detection_to_msg(detections: Detections, i: int, make: Make) -> Any:
    msg = make(_PACKAGE + "Detection")
    set_xyz(msg.center, detections.centers_m[i])
    set_xyz(msg.size, detections.sizes_m[i])
    msg.yaw, msg.score = float(detections.yaws_rad[i]), float(detections.scores[i])
    msg.class_id, msg.sensors = int(detections.class_ids[i]), int(detections.sensors[i])
    msg.num_points = int(detections.num_points[i])
    set_array(msg, "position_covariance", detections.position_cov_m2[i].reshape(-1))
    set_array(msg, "image_box", detections.image_boxes_px[i])
    return msg


def _track_to_msg(tracks: Tracks, i: int, make: Make) -> Any:
    msg = make(_PACKAGE + "Track")
    msg.id, msg.class_id, msg.sensors = int(tracks.ids[i]), int(tracks.class_ids[i]), int(tracks.sensors[i])
    set_xyz(msg.center, tracks.centers_m[i])
    set_xyz(msg.size, tracks.sizes_m[i])
    set_xyz(msg.velocity, (*tracks.velocities_mps[i], 0.0))
    msg.yaw = float(tracks.yaws_rad[i])
    msg.class_score, msg.existence = float(tracks.class_scores[i]), float(tracks.existence[i])
    set_array(msg, "state_covariance", tracks.state_cov[i].reshape(-1))
    set_xyz(msg.acceleration, (*tracks.accelerations_mps2[i], 0.0))
    set_array(msg, "acceleration_covariance", tracks.acceleration_cov[i].reshape(-1))
    msg.yaw_variance, msg.region_radius = float(tracks.yaw_var_rad2[i]), float(tracks.region_radius_m[i])
    msg.last_seen = time_to_msg(int(tracks.last_seen_ns[i]), make)
    msg.first_seen = time_to_msg(int(tracks.first_seen_ns[i]), make)
    return msg


def _event_from_msg(msg: Any, topic: str) -> TrackEvent:
    try:
        change, reason = TrackChange(msg.change), TrackReason(msg.reason)
    except ValueError as error:
        raise InputError(topic, str(error), "events") from error
    t_ns = time_ns(msg.stamp, topic, "events.stamp")
    return TrackEvent(t_ns, int(msg.track_id), change, reason, float(msg.existence), int(msg.other_id))


def _event_to_msg(event: TrackEvent, make: Make) -> Any:
    msg = make(_PACKAGE + "TrackEvent")
    msg.stamp = time_to_msg(event.t_ns, make)
    msg.track_id, msg.other_id = event.track_id, event.other_id
    msg.change, msg.reason, msg.existence = int(event.change), int(event.reason), event.existence
    return msg


def _xyz(vector: Any) -> tuple[float, float, float]:
    return (vector.x, vector.y, vector.z)


def _ints(values: list[int]) -> npt.NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


def _finite(values: list[Any], shape: tuple[int, ...], topic: str, field: str) -> Array:
    array = np.asarray(values, dtype=np.float64).reshape(shape)
    if not np.isfinite(array).all():
        index = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(topic, f"object {index} is not finite", field)
    return array


def _sizes(values: list[Any], topic: str, field: str) -> Array:
    sizes_m = _finite(values, (len(values), 3), topic, field)
    if (sizes_m < 0).any():
        raise InputError(topic, f"negative: {float(sizes_m.min())}", field)
    return sizes_m


def _classes(values: list[int], topic: str, field: str) -> npt.NDArray[np.int64]:
    class_ids = _ints(values)
    unknown = class_ids[~np.isin(class_ids, _CLASS_IDS)]
    if unknown.size:
        raise InputError(topic, f"{unknown[0]} is no class", field)
    return class_ids
