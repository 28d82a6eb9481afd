"""A pinhole camera that draws the world in flat shaded polygons, the farthest first (painter's algorithm)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import CameraModel, Image
from perception_platform.robot.description import Camera
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids
from perception_platform.simulation.world import Marking

NEAR_M = 0.05
FLOOR_BGR = (132, 138, 140)
HALL_BGR = (196, 190, 184)
LIGHT = np.array([-0.35, 0.45, 0.82])  # towards the lamps
SUBPIXEL_BITS = 4
SIDES = 12  # of a drawn cylinder
FAR_M = 200.0


def camera_model(sensor: Camera) -> CameraModel:
    """The intrinsics of a camera of the robot file."""
    i = sensor.intrinsics
    matrix = np.array([[i.fx_px, 0.0, i.cx_px], [0.0, i.fy_px, i.cy_px], [0.0, 0.0, 1.0]])
    return CameraModel(i.width_px, i.height_px, matrix, np.asarray(i.distortion))


def render(scene: Scene, sensor: Camera, t_s: float) -> Image:
    """What the camera sees at ``t_s``: undistorted, all rows at one moment.

    Faces are ordered by their farthest corner, which is right for things that stand clear of each other.
    """
    model = camera_model(sensor)
    world_from_camera = scene.trajectory.state_at(t_s).transform() @ sensor.mounting.transform()
    camera_from_world = world_from_camera.inverse()
    bgr = np.full((model.height_px, model.width_px, 3), HALL_BGR, dtype=np.uint8)
    floor = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * FAR_M + world_from_camera.translation_m[:2]
    for paint in (Marking(floor, FLOOR_BGR), *scene.world.markings):
        flat = np.column_stack([paint.outline_m, np.zeros(len(paint.outline_m))])
        _fill(bgr, model, camera_from_world.apply(flat), np.array(paint.bgr, dtype=np.float64))
    faces = list(_visible_faces(scene.world.solids_at(t_s), world_from_camera.translation_m))
    faces.sort(key=lambda face: -face[0])
    for _, corners, colour in faces:
        _fill(bgr, model, camera_from_world.apply(corners), colour)
    return Image(scene.stamp_ns(t_s), sensor.name, sensor.name, bgr)


def _visible_faces(solids: Solids, eye_m: Array) -> Iterator[tuple[float, Array, Array]]:
    """Faces turned to the eye: distance of the farthest corner, corners (K, 3) and shaded colour."""
    for is_round, sides in ((False, 4), (True, SIDES)):
        chosen = np.flatnonzero(solids.is_round == is_round)
        for corners, normals in _prism_faces(solids, chosen, sides):
            towards = np.einsum("sk,sk->s", normals, eye_m - corners.mean(axis=1)) > 0
            farthest = np.linalg.norm(corners - eye_m, axis=2).max(axis=1)
            shade = 0.55 + 0.45 * np.maximum(normals @ LIGHT, 0.0)
            for i in np.flatnonzero(towards):
                yield float(farthest[i]), corners[i], solids.bgr[chosen[i]] * shade[i]


def _prism_faces(solids: Solids, chosen: npt.NDArray[np.int64], sides: int) -> Iterator[tuple[Array, Array]]:
    """All faces of upright prisms, a face of each at a time: corners (S, K, 3), normals (S, 3)."""
    turn = solids.yaws_rad[chosen]
    angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    reach = 0.5 / np.cos(np.pi / sides) if sides == 4 else 0.5
    local = reach * np.column_stack([np.cos(angles), np.sin(angles)]) * solids.sizes_m[chosen, None, :2]
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    xy = np.stack([local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c], -1)
    xy += solids.centers_m[chosen, None, :2]
    middle, half = solids.centers_m[chosen, 2, None, None], solids.sizes_m[chosen, 2, None, None] / 2
    bottom, top = (np.concatenate([xy, np.broadcast_to(z, (*xy.shape[:2], 1))], -1)
                   for z in (middle - half, middle + half))  # fmt: skip
    vertical = np.tile([0.0, 0.0, 1.0], (len(chosen), 1))
    yield top, vertical
    yield bottom, -vertical
    for k in range(sides):
        after = (k + 1) % sides
        bearing = turn + angles[k] + np.pi / sides
        normals = np.column_stack([np.cos(bearing), np.sin(bearing), np.zeros(len(chosen))])
        yield np.stack([bottom[:, k], bottom[:, after], top[:, after], top[:, k]], axis=1), normals


def _fill(bgr: npt.NDArray[np.uint8], model: CameraModel, corners_m: Array, colour: Array) -> None:
    """Fill a convex polygon given in the camera's frame."""
    ahead = _clipped(corners_m)
    if len(ahead) < 3:
        return
    pixels = model.project(ahead) * 2**SUBPIXEL_BITS
    whole = np.clip(np.round(pixels), -(2**20), 2**20).astype(np.int32)
    cv2.fillConvexPoly(bgr, whole, [float(round(v)) for v in colour], cv2.LINE_8, SUBPIXEL_BITS)


def _clipped(corners_m: Array) -> Array:
    """The part of a convex polygon that lies ahead of the near plane (Sutherland and Hodgman, 1974)."""
    inside = corners_m[:, 2] > NEAR_M
    if inside.all():
        return corners_m
    kept: list[Array] = []
    for here, after, is_in, is_next in zip(
        corners_m, np.roll(corners_m, -1, axis=0), inside, np.roll(inside, -1), strict=True
    ):
        if is_in:
            kept.append(here)
        if is_in != is_next:
            share = (NEAR_M * 1.01 - here[2]) / (after[2] - here[2])
            kept.append(here + share * (after - here))
    return np.array(kept).reshape(-1, 3)
