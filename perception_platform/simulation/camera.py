"""A pinhole camera that draws the world in flat shaded polygons; a depth buffer decides what hides what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.sensor_data import CameraModel, Image
from perception_platform.robot.sensors import Camera
from perception_platform.simulation.scene import Scene
from perception_platform.simulation.solids import Solids
from perception_platform.simulation.world import Marking

NEAR_M = 0.05
FLOOR_BGR = (132, 138, 140)
HALL_BGR = (196, 190, 184)
LIGHT = np.array([-0.35, 0.45, 0.82])  # towards the lamps
SUBPIXEL_BITS = 4
SUBPIXELS = 2**SUBPIXEL_BITS
SIDES = 12  # of a drawn cylinder
FAR_M = 200.0
NOISY_SHARE = 0.002  # of the pixels: more would be truer, and would make recordings many times larger


def render(scene: Scene, sensor: Camera, t_s: float) -> Image:
    """What the camera sees at ``t_s``: undistorted, all rows at one moment."""
    model = sensor.intrinsics.model()
    world_from_camera = scene.trajectory.state_at(t_s).transform() @ sensor.mounting.transform()
    camera_from_world = world_from_camera.inverse()
    canvas = _Canvas(model)
    reach = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * FAR_M
    for paint in (Marking(reach + world_from_camera.translation_m[:2], FLOOR_BGR), *scene.world.markings):
        flat = np.column_stack([paint.outline_m, np.zeros(len(paint.outline_m))])
        for face in _in_view(model, camera_from_world.apply(flat)[None]):
            canvas.fill(face, np.array(paint.bgr))
        canvas.inverse_depth[:] = 0.0  # what comes later lies or stands on this and hides it
    for corners, colours in _visible_faces(scene.world.solids_at(t_s), world_from_camera.translation_m):
        in_camera = camera_from_world.apply(corners.reshape(-1, 3)).reshape(corners.shape)
        for face in _in_view(model, in_camera):
            canvas.fill(face, colours[face.index])
    _add_noise(canvas.bgr, scene.noise(sensor.name, t_s))
    return Image(scene.stamp_ns(t_s), sensor.name, sensor.name, canvas.bgr)


@dataclass(frozen=True, slots=True)
class _Face:
    """A convex face ahead of the camera.

    Attributes:
        index: which of the given faces it is.
        outline: (K, 2) corners in parts of a pixel.
        plane: (3,) n / d of its plane n·p = d: the inverse depth along a ray (x, y, 1) is its product with the ray.
        inverse_depths: least and greatest of its corners.
    """

    index: int
    outline: npt.NDArray[np.int32]
    plane: Array
    inverse_depths: tuple[float, float]


class _Canvas:
    """An image in the making, with the inverse depth of what each pixel shows so far."""

    def __init__(self, model: CameraModel) -> None:
        height, width = model.height_px, model.width_px
        self.bgr = np.full((height, width, 3), HALL_BGR, dtype=np.uint8)
        self.inverse_depth = np.zeros((height, width))
        v, u = np.mgrid[0:height, 0:width].astype(np.float64)
        self._rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(model.matrix).T

    def fill(self, face: _Face, colour: npt.NDArray[Any]) -> None:
        """Draw a face where it is nearer than what is there."""
        height, width = self.inverse_depth.shape
        left, top = np.maximum(face.outline.min(axis=0) // SUBPIXELS, 0).tolist()
        right, bottom = (face.outline.max(axis=0) // SUBPIXELS + 2).tolist()
        part = (slice(top, min(bottom, height)), slice(left, min(right, width)))
        inside = np.zeros(self.inverse_depth[part].shape, dtype=np.uint8)
        if inside.size == 0:
            return
        shifted = face.outline - np.array([left, top], dtype=np.int32) * SUBPIXELS
        cv2.fillConvexPoly(inside, shifted, [1.0], cv2.LINE_8, SUBPIXEL_BITS)
        # Pixels that the outline only touches lie beyond the face, where its plane may be anywhere.
        inverse_depth = np.clip(self._rays[part] @ face.plane, *face.inverse_depths)
        nearer = (inside > 0) & (inverse_depth > self.inverse_depth[part])
        self.inverse_depth[part][nearer] = inverse_depth[nearer]
        self.bgr[part][nearer] = colour


def _add_noise(bgr: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Change some pixels a little: no two images of a real camera are equal, even of the same view."""
    height, width = bgr.shape[:2]
    count = int(NOISY_SHARE * height * width)
    rows, columns = rng.integers(height, size=count), rng.integers(width, size=count)
    noisy = bgr[rows, columns].astype(np.int16) + rng.integers(-4, 5, size=(count, 1))
    bgr[rows, columns] = np.clip(noisy, 0, 255).astype(np.uint8)


def _visible_faces(solids: Solids, eye_m: Array) -> Iterator[tuple[Array, Array]]:
    """Faces turned to the eye, those with as many corners together: corners (F, K, 3), shaded colours (F, 3)."""
    for is_round, sides in ((False, 4), (True, SIDES)):
        chosen = np.flatnonzero(solids.is_round == is_round)
        for corners, normals in _prism_faces(solids, chosen, sides):
            towards = np.einsum("sk,sk->s", normals, eye_m - corners.mean(axis=1)) > 0
            shade = 0.55 + 0.45 * np.maximum(normals @ LIGHT, 0.0)
            yield corners[towards], np.round(solids.bgr[chosen] * shade[:, None])[towards]


def _in_view(model: CameraModel, faces_m: Array) -> Iterator[_Face]:
    """Of faces (F, K, 3) in the camera's frame, those that are ahead and may be in the image."""
    ahead = faces_m[..., 2] > NEAR_M
    outlines = _fixed_point(model.project(faces_m.reshape(-1, 3))).reshape(*faces_m.shape[:2], 2)
    normals = np.cross(faces_m[:, 1] - faces_m[:, 0], faces_m[:, 2] - faces_m[:, 1])
    distances = np.einsum("fk,fk->f", normals, faces_m[:, 0])
    size = np.array([model.width_px, model.height_px]) * SUBPIXELS
    in_image = (outlines.max(axis=1) >= 0).all(axis=1) & (outlines.min(axis=1) <= size).all(axis=1)
    cut: npt.NDArray[np.bool_] = np.logical_not(ahead.all(axis=1))
    for i in np.flatnonzero(ahead.any(axis=1) & (in_image | cut) & (np.abs(distances) > 1e-12)):
        corners, outline = faces_m[i], outlines[i]
        if cut[i]:
            corners = _clipped(faces_m[i], ahead[i])
            outline = _fixed_point(model.project(corners))
        depths = 1.0 / corners[:, 2]
        yield _Face(int(i), outline, normals[i] / distances[i], (float(depths.min()), float(depths.max())))


def _fixed_point(pixels: Array) -> npt.NDArray[np.int32]:
    """Pixels as OpenCV wants them, bounded; points behind the camera become 0 and are not used."""
    scaled = np.nan_to_num(pixels, nan=0.0) * SUBPIXELS
    return np.asarray(np.round(np.clip(scaled, -(2**20), 2**20)), dtype=np.int32)


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


def _clipped(corners_m: Array, ahead: npt.NDArray[np.bool_]) -> Array:
    """The part of a convex polygon (K, 3) beyond the near plane (Sutherland and Hodgman, 1974)."""
    kept: list[Array] = []
    for here, after, is_ahead, is_next in zip(
        corners_m, np.roll(corners_m, -1, axis=0), ahead, np.roll(ahead, -1), strict=True
    ):
        if is_ahead:
            kept.append(here)
        if is_ahead != is_next:
            kept.append(here + (NEAR_M * 1.01 - here[2]) / (after[2] - here[2]) * (after - here))
    return np.array(kept)
