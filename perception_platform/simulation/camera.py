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
NOISY_SHARE = 0.005  # of the pixels: more would be truer, and would make recordings many times larger


def camera_model(sensor: Camera) -> CameraModel:
    """The intrinsics of a camera of the robot file."""
    i = sensor.intrinsics
    matrix = np.array([[i.fx_px, 0.0, i.cx_px], [0.0, i.fy_px, i.cy_px], [0.0, 0.0, 1.0]])
    return CameraModel(i.width_px, i.height_px, matrix, np.asarray(i.distortion))


def render(scene: Scene, sensor: Camera, t_s: float) -> Image:
    """What the camera sees at ``t_s``: undistorted, all rows at one moment.

    Faces are ordered by their farthest corner over ground: right for upright things that stand clear of each
    other.
    """
    model = camera_model(sensor)
    world_from_camera = scene.trajectory.state_at(t_s).transform() @ sensor.mounting.transform()
    camera_from_world = world_from_camera.inverse()
    eye_m = world_from_camera.translation_m
    bgr = np.full((model.height_px, model.width_px, 3), HALL_BGR, dtype=np.uint8)
    floor = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * FAR_M + eye_m[:2]
    for paint in (Marking(floor, FLOOR_BGR), *scene.world.markings):
        flat = np.column_stack([paint.outline_m, np.zeros(len(paint.outline_m))])
        for _, pixels in _outlines_px(model, camera_from_world.apply(flat)[None]):
            cv2.fillConvexPoly(bgr, pixels, paint.bgr, cv2.LINE_8, SUBPIXEL_BITS)
    polygons: list[tuple[float, npt.NDArray[np.int32], list[float]]] = []
    for corners, colours in _visible_faces(scene.world.solids_at(t_s), eye_m):
        farthest = np.linalg.norm(corners[..., :2] - eye_m[:2], axis=2).max(axis=1)
        in_camera = camera_from_world.apply(corners.reshape(-1, 3)).reshape(corners.shape)
        for i, pixels in _outlines_px(model, in_camera):
            polygons.append((float(farthest[i]), pixels, colours[i].tolist()))
    for _, pixels, colour in sorted(polygons, key=lambda polygon: -polygon[0]):
        cv2.fillConvexPoly(bgr, pixels, colour, cv2.LINE_8, SUBPIXEL_BITS)
    _add_noise(bgr, scene.noise(sensor.name, t_s))
    return Image(scene.stamp_ns(t_s), sensor.name, sensor.name, bgr)


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


def _outlines_px(model: CameraModel, corners_m: Array) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Of faces (F, K, 3) in the camera's frame, those ahead of it: index and outline in parts of a pixel."""
    ahead = corners_m[..., 2] > NEAR_M
    pixels = _fixed_point(model.project(corners_m.reshape(-1, 3))).reshape(*corners_m.shape[:2], 2)
    for i in np.flatnonzero(ahead.any(axis=1)):
        whole = bool(ahead[i].all())
        yield int(i), pixels[i] if whole else _fixed_point(model.project(_clipped(corners_m[i], ahead[i])))


def _fixed_point(pixels: Array) -> npt.NDArray[np.int32]:
    """Pixels as OpenCV wants them, bounded; points behind the camera become 0 and are not used."""
    scaled = np.nan_to_num(pixels, nan=0.0) * 2**SUBPIXEL_BITS
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
