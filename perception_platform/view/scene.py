"""Core values as Foxglove messages: clouds, boxes, outlines, frames and images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import foxglove.messages as fg
import numpy as np

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud
from perception_platform.core.time import NS_PER_S
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Camera
from perception_platform.robot.zones import Zone

_RED = fg.Color(r=0.90, g=0.16, b=0.16, a=1.0)
_AMBER = fg.Color(r=0.98, g=0.70, b=0.10, a=1.0)
_BLUE = fg.Color(r=0.25, g=0.55, b=0.95, a=0.9)
_WHITE = fg.Color(r=0.95, g=0.95, b=0.95, a=1.0)
_TRACK_COLORS = {
    ObjectClass.PERSON: fg.Color(r=0.95, g=0.35, b=0.60, a=0.55),
    ObjectClass.CYCLIST: fg.Color(r=0.75, g=0.45, b=0.95, a=0.55),
    ObjectClass.CAR: fg.Color(r=0.25, g=0.75, b=0.45, a=0.55),
    ObjectClass.TRUCK: fg.Color(r=0.20, g=0.65, b=0.65, a=0.55),
    ObjectClass.FORKLIFT: fg.Color(r=0.95, g=0.60, b=0.20, a=0.55),
}
_OTHER_COLOR = fg.Color(r=0.65, g=0.68, b=0.72, a=0.45)
_FLOAT32 = fg.PackedElementFieldNumericType.Float32
_XYZ = [fg.PackedElementField(name=name, offset=4 * i, type=_FLOAT32) for i, name in enumerate("xyz")]


def timestamp(t_ns: int) -> fg.Timestamp:
    """A time in ns as Foxglove's."""
    return fg.Timestamp(t_ns // NS_PER_S, t_ns % NS_PER_S)


def _pose(xyz_m: Iterable[float], yaw_rad: float = 0.0) -> fg.Pose:
    x, y, z = (float(v) for v in xyz_m)
    turn = fg.Quaternion(x=0.0, y=0.0, z=float(np.sin(yaw_rad / 2)), w=float(np.cos(yaw_rad / 2)))
    return fg.Pose(position=fg.Vector3(x=x, y=y, z=z), orientation=turn)


def frame(t_ns: int, parent: str, child: str, parent_from_child: Transform) -> fg.FrameTransform:
    """One edge of the tree of frames."""
    x, y, z, w = (float(v) for v in parent_from_child.quaternion_xyzw())
    tx, ty, tz = (float(v) for v in parent_from_child.translation_m)
    return fg.FrameTransform(
        timestamp=timestamp(t_ns),
        parent_frame_id=parent,
        child_frame_id=child,
        translation=fg.Vector3(x=tx, y=ty, z=tz),
        rotation=fg.Quaternion(x=x, y=y, z=z, w=w),
    )


def frames(robot: Robot, ego: EgoState) -> fg.FrameTransforms:
    """The whole tree at one moment: odometry frame, base, sensors."""
    base = frame(ego.t_ns, robot.odom_frame, robot.base_frame, ego.odom_from_base)
    mounts = [frame(ego.t_ns, robot.base_frame, s.name, s.mounting.transform()) for s in robot.sensors]
    return fg.FrameTransforms(transforms=[base, *mounts])


def cloud(points: PointCloud) -> fg.PointCloud:
    """A point cloud in its own frame."""
    data = np.ascontiguousarray(points.xyz_m, dtype="<f4").tobytes()
    return fg.PointCloud(
        timestamp=timestamp(points.t_ns),
        frame_id=points.frame_id,
        pose=_pose((0.0, 0.0, 0.0)),
        point_stride=12,
        fields=_XYZ,
        data=data,
    )


def image(picture: Image) -> fg.RawImage:
    """A camera image, uncompressed: the view is local."""
    height, width = picture.bgr.shape[:2]
    return fg.RawImage(
        timestamp=timestamp(picture.t_ns),
        frame_id=picture.frame_id,
        width=width,
        height=height,
        encoding="bgr8",
        step=3 * width,
        data=np.ascontiguousarray(picture.bgr).tobytes(),
    )


def calibration(t_ns: int, camera: Camera) -> fg.CameraCalibration:
    """A camera's intrinsics, so that the 3D scene can be drawn into its image."""
    lens = camera.intrinsics
    k = [lens.fx_px, 0.0, lens.cx_px, 0.0, lens.fy_px, lens.cy_px, 0.0, 0.0, 1.0]
    return fg.CameraCalibration(
        timestamp=timestamp(t_ns),
        frame_id=camera.name,
        width=lens.width_px,
        height=lens.height_px,
        distortion_model="plumb_bob",
        D=list(lens.distortion),
        K=k,
        R=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        P=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
    )


def _outline(
    polygon_m: Sequence[Sequence[float]] | Array, color: fg.Color, thickness_m: float
) -> fg.LinePrimitive:
    return fg.LinePrimitive(
        type=fg.LinePrimitiveLineType.LineLoop,
        pose=_pose((0.0, 0.0, 0.02)),
        thickness=thickness_m,
        points=[fg.Point3(x=float(x), y=float(y), z=0.0) for x, y in polygon_m],
        color=color,
    )


def _body(robot: Robot) -> fg.CubePrimitive:
    low, high = robot.footprint.min(axis=0), robot.footprint.max(axis=0)
    middle = (low + high) / 2
    length_m, width_m = (float(v) for v in high - low)
    return fg.CubePrimitive(
        pose=_pose((*middle, robot.height_m / 2)),
        size=fg.Vector3(x=length_m, y=width_m, z=robot.height_m),
        color=fg.Color(r=0.25, g=0.55, b=0.95, a=0.25),
    )


def _zone(zone: Zone, robot: Robot, entered: bool) -> list[fg.LinePrimitive]:
    color = _RED if zone.action == "stop" else _AMBER
    thickness = 0.10 if entered else 0.025
    return [_outline(outline_m, color, thickness) for outline_m in zone.outlines_m(robot.footprint)]


def robot_scene(t_ns: int, robot: Robot, entered: Collection[str] = ()) -> fg.SceneUpdate:
    """Body, footprint and zones of the robot; zones something has entered are drawn bold.

    Args:
        t_ns: time of the drawing, ns.
        robot: whose.
        entered: names of the zones with something in them.
    """
    zones = [line for zone in robot.zones for line in _zone(zone, robot, zone.name in entered)]
    lines = [_outline(robot.footprint, _BLUE, 0.04), *zones]
    entity = fg.SceneEntity(
        timestamp=timestamp(t_ns),
        frame_id=robot.base_frame,
        id="robot",
        frame_locked=True,
        cubes=[_body(robot)],
        lines=lines,
    )
    return fg.SceneUpdate(entities=[entity])


def _track(tracks: Tracks, i: int) -> fg.SceneEntity:
    kind = ObjectClass(int(tracks.class_ids[i]))
    center, size = tracks.centers_m[i], tracks.sizes_m[i]
    vx, vy = (float(v) for v in tracks.velocities_mps[i])
    label = f"#{int(tracks.ids[i])} {kind.name.lower()} {float(np.hypot(vx, vy)):.1f} m/s"
    ahead = fg.LinePrimitive(  # where it will be in a second
        type=fg.LinePrimitiveLineType.LineStrip,
        pose=_pose(center),
        thickness=0.06,
        points=[fg.Point3(x=0.0, y=0.0, z=0.0), fg.Point3(x=vx, y=vy, z=0.0)],
        color=_WHITE,
    )
    box = fg.CubePrimitive(
        pose=_pose(center, float(tracks.yaws_rad[i])),
        size=fg.Vector3(x=float(size[0]), y=float(size[1]), z=float(size[2])),
        color=_TRACK_COLORS.get(kind, _OTHER_COLOR),
    )
    text = fg.TextPrimitive(
        pose=_pose((center[0], center[1], center[2] + size[2] / 2 + 0.3)),
        billboard=True,
        font_size=14.0,
        scale_invariant=True,
        color=_WHITE,
        text=label,
    )
    return fg.SceneEntity(
        timestamp=timestamp(tracks.t_ns),
        frame_id=tracks.frame_id,
        id=str(int(tracks.ids[i])),
        cubes=[box],
        lines=[ahead],
        texts=[text],
    )


def tracks_scene(tracks: Tracks) -> fg.SceneUpdate:
    """Every track as a labelled box; what the last update drew is taken away."""
    clear = fg.SceneEntityDeletion(timestamp=timestamp(tracks.t_ns), type=fg.SceneEntityDeletionType.All)
    return fg.SceneUpdate(deletions=[clear], entities=[_track(tracks, i) for i in range(len(tracks))])
