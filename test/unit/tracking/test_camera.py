"""Objects that only a camera sees: they keep tracks alive through gaps of the lidar, and become tracks of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import Detections, ModelRef, ObjectClass, SensorKind, Tracks
from perception_platform.perception.fusion import ImageObjects, fuse, project_boxes
from perception_platform.robot.load import load_robot
from perception_platform.tracking.tracker import Tracker
from test.unit.tracking.scenes import FRAME_NS, Box, detections, ego

AMR = load_robot("amr")
CAMERA = AMR.cameras[0]
MODEL = ModelRef("test@1", "0" * 64)
BOTTOM_SIGMA_PX = 1.0


def in_image(boxes: Sequence[Box], t_ns: int, rng: np.random.Generator) -> ImageObjects:
    """The boxes as a detector would mark them in the robot's camera, off by a pixel or so."""
    whole = detections(t_ns, boxes, Transform.identity())
    boxes_px = project_boxes(whole, CAMERA.mounting.transform(), CAMERA.intrinsics.model())
    boxes_px = boxes_px + rng.normal(0, BOTTOM_SIGMA_PX, boxes_px.shape)
    return ImageObjects(CAMERA.name, t_ns, boxes_px, whole.class_ids, np.full(len(boxes), 0.9), MODEL)


def look(
    t_ns: int, by_lidar: Sequence[Box], by_camera: Sequence[Box], rng: np.random.Generator
) -> Detections:
    found = detections(t_ns, by_lidar, Transform.identity())
    return fuse(found, in_image(by_camera, t_ns, rng), AMR) if by_camera else found


def person(x_m: float, y_m: float) -> Box:
    return Box(x_m, y_m, 0.5, 0.6, object_class=ObjectClass.PERSON)


def through_a_gap(with_camera: bool) -> list[Tracks]:
    """A person walks across; the lidar misses them for one second."""
    tracker, rng, out = Tracker(), np.random.default_rng(3), []
    for i in range(40):
        box = person(6.0, -1.2 + 0.08 * i)
        lidar = [] if 15 <= i < 25 else [box]
        found = look(i * FRAME_NS, lidar, [box] if with_camera else [], rng)
        out.append(tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS)))
    return out


def test_a_camera_keeps_a_track_alive_where_lidar_alone_loses_it() -> None:
    fused, alone = through_a_gap(True), through_a_gap(False)
    assert {tuple(tracks.ids) for tracks in fused} == {(1,)}
    assert len(alone[24]) == 0
    assert alone[-1].ids[0] != 1
    assert SensorKind(int(fused[24].sensors[0])) is SensorKind.CAMERA
    assert fused[24].centers_m[0, 1] == pytest.approx(-1.2 + 0.08 * 24, abs=0.3)
    assert fused[24].last_seen_ns[0] == 24 * FRAME_NS


def test_a_camera_alone_changes_neither_size_nor_heading() -> None:
    tracker, rng = Tracker(), np.random.default_rng(4)
    car = Box(9.0, 1.0, 3.4, 1.5, 0.6, ObjectClass.CAR)
    for i in range(30):
        found = look(i * FRAME_NS, [car] if i < 15 else [], [car], rng)
        tracks = tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS))
        if i == 14:
            before = tracks
    assert tracks.ids.tolist() == before.ids.tolist() == [1]
    assert tracks.sizes_m == pytest.approx(before.sizes_m)
    assert tracks.yaws_rad == pytest.approx(before.yaws_rad)
    assert tracks.yaw_var_rad2[0] > before.yaw_var_rad2[0]


def test_what_only_a_camera_sees_becomes_a_track_that_is_unsure_of_its_range() -> None:
    rng, squared = np.random.default_rng(5), []
    for _ in range(60):
        tracker = Tracker()
        pitch_px = rng.normal(0, np.deg2rad(0.5)) * CAMERA.intrinsics.model().matrix[1, 1]
        objects = in_image([person(8.0, 1.0)], 0, rng)
        tilted = replace(objects, boxes_px=objects.boxes_px + np.array([0, pitch_px, 0, pitch_px]))
        tracks = tracker.step(0, fuse(detections(0, [], Transform.identity()), tilted, AMR), ego(0))
        assert SensorKind(int(tracks.sensors[0])) is SensorKind.CAMERA
        assert ObjectClass(int(tracks.class_ids[0])) is ObjectClass.PERSON
        cov = tracks.state_cov[0, :2, :2]
        sigmas_m = np.sqrt(np.linalg.eigvalsh(cov))
        assert sigmas_m[1] > 2 * sigmas_m[0]
        off_m = tracks.centers_m[0, :2] - np.array([8.0, 1.0])
        squared.append(off_m @ np.linalg.solve(cov, off_m))
    # No surer than it may be; a little doubt too much is no harm.
    assert 0.2 < np.mean(squared) < chi2.ppf(0.975, 120) / 60


def test_lidar_and_camera_that_disagree_about_an_object_make_one_track_of_it() -> None:
    """At the edge of what the lidar sees, its part of a person and the camera's whole are apart in the image."""
    tracker, rng, apart = Tracker(), np.random.default_rng(6), 0
    for i in range(14):
        whole = person(6.0, -0.4 + 0.08 * i)
        low_m, high_m = whole.y_m - 0.3, min(whole.y_m + 0.3, 0.25)  # what is left of it to the lidar
        part = Box(6.0, (low_m + high_m) / 2, 0.5, high_m - low_m, object_class=ObjectClass.PERSON)
        found = look(i * FRAME_NS, [part], [whole], rng)
        apart += len(found) - 1
        tracks = tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS))
        assert tracks.ids.tolist() == [1]
    assert apart


def test_a_camera_alone_still_finds_somebody_beside_a_person_whom_the_lidar_sees() -> None:
    tracker, rng = Tracker(), np.random.default_rng(7)
    for i in range(6):
        beside = [person(6.0, 0.0), person(6.0, 0.9)]
        found = look(i * FRAME_NS, beside[:1], beside, rng)
        tracks = tracker.step(i * FRAME_NS, found, ego(i * FRAME_NS))
    assert len(tracks) == 2
    assert sorted(tracks.centers_m[:, 1]) == pytest.approx([0.0, 0.9], abs=0.2)
