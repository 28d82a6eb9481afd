"""Boxes into the tracker's world and back, and the whole run on made-up sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import Detections, Ints, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.evaluation.baseline import BaselineTracker
from perception_platform.evaluation.kitti_config import CATEGORY_CLASSES, load_kitti_config
from perception_platform.evaluation.kitti_files import CATEGORIES, KittiBoxes
from perception_platform.evaluation.kitti_run import (
    TrackedSequence,
    ego_states,
    frame_detections,
    image_boxes,
    read_states,
    scores_with_mean,
    track_sequence,
    write_states,
)
from perception_platform.tracking.tracker import Tracker
from test.unit.evaluation.boxes import boxes

PROJECTION = np.array([[720.0, 0, 610, 45], [0, 720, 173, 0.2], [0, 0, 1, 0.003]])
CAR = load_kitti_config("Car")


class Parrot:
    """Gives back what it saw, in the fixed frame."""

    def step(self, t_ns: int, detections: Detections, ego: EgoState) -> Tracks:
        n = len(detections)
        return Tracks(
            t_ns, "odom",
            ids=np.arange(n), centers_m=ego.odom_from_base.apply(detections.centers_m), velocities_mps=np.zeros((n, 2)),
            sizes_m=detections.sizes_m, yaws_rad=detections.yaws_rad + ego.odom_from_base.yaw_rad,
            class_ids=detections.class_ids, class_scores=np.ones(n), existence=detections.scores,
            state_cov=np.tile(np.eye(4), (n, 1, 1)), last_seen_ns=np.full(n, t_ns), first_seen_ns=np.full(n, t_ns),
            sensors=detections.sensors,
        )  # fmt: skip

    def confidences(self, ids: Ints) -> Array:
        return np.ones(len(ids))


def driving(frames: int, step_m: float, turn_rad: float = 0.0) -> list[Transform]:
    """Camera poses of a car that goes ahead, along z, and turns about y, which points down."""
    poses, pose = [], Transform.identity()
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    step = Transform(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), np.array([0.0, 0.0, step_m]))
    for _ in range(frames):
        poses.append(pose)
        pose = pose @ step
    return poses


def run(found: KittiBoxes, frames: int, poses: list[Transform] | None, tracker: object) -> TrackedSequence:
    return track_sequence(
        tracker,
        found,
        frames,
        "Car",
        CAR.detector,
        CAR.output,
        PROJECTION,
        poses,  # type: ignore[arg-type]
    )


def test_a_box_comes_back_where_it_was_whatever_the_pose() -> None:
    found = replace(
        boxes([(0, 0, -3.0), (1, 0, 2.0), (2, 0, 4.0)], score=9.0), ry_rad=np.array([0.3, -2.9, 1.4])
    )
    back = run(found, 3, driving(3, 1.0, 0.1), Parrot()).boxes
    assert back.bottoms_m == pytest.approx(found.bottoms_m)
    assert back.sizes_m == pytest.approx(found.sizes_m)
    assert back.ry_rad == pytest.approx(found.ry_rad)


def test_what_stands_in_the_world_stands_in_the_fixed_frame() -> None:
    poses = driving(5, 1.2, 0.05)
    in_world_m = np.array([[2.0, 1.6, 30.0]])
    seen_m = np.concatenate([pose.inverse().apply(in_world_m) for pose in poses])
    found = replace(boxes([(i, 0, 0.0) for i in range(5)], score=9.0), bottoms_m=seen_m)
    states = run(found, 5, poses, Parrot()).states
    assert states[:, :2] == pytest.approx(np.tile([30.0, -2.0], (5, 1)))


def test_scores_become_probabilities_and_doubt_grows_with_range() -> None:
    near = frame_detections(boxes([(0, 0, 0.0)], score=5.0, z_m=5.0), 0, "Car", CAR.detector)
    far = frame_detections(boxes([(0, 0, 0.0)], score=-1.0, z_m=60.0), 0, "Car", CAR.detector)
    assert 0 < far.scores[0] < 0.5 < near.scores[0] < 1
    assert far.position_cov_m2[0, 0, 0] > near.position_cov_m2[0, 0, 0]
    assert near.class_ids[0] == CATEGORY_CLASSES["Car"]


def test_the_box_in_the_image_is_around_the_projected_corners() -> None:
    cube = (np.array([[0.0, 1.0, 10.0]]), np.array([[2.0, 2.0, 2.0]]), np.zeros(1))
    projection = np.hstack([PROJECTION[:, :3], np.zeros((3, 1))])
    found, visible = image_boxes(*cube, projection)
    assert visible.all()
    assert found[0] == pytest.approx([610 - 720 / 9, 173 - 720 / 9, 610 + 720 / 9, 173 + 720 / 9])
    _, behind = image_boxes(cube[0] * [1, 1, -1], cube[1], cube[2], projection)
    assert not behind.any()


def test_an_overlooked_car_is_held_inside_the_image_and_dropped_at_its_edge() -> None:
    frames = 30
    rows = [(i, 0, 0.0) for i in range(frames) if i != 20]
    inside = run(boxes(rows, score=9.0), frames, None, Tracker(CAR.tracker_config("Car"))).boxes
    assert inside.frames.tolist() == list(range(frames))
    assert len(set(inside.ids.tolist())) == 1
    edge_m = -15.5  # its left end is out of the image
    edge = run(
        boxes([(i, 0, edge_m) for i, *_ in rows], score=9.0), frames, None, Tracker(CAR.tracker_config("Car"))
    )
    assert 20 not in edge.boxes.frames


def test_the_baseline_follows_a_car_that_drives() -> None:
    rows = [(i, 0, -6.0 + 0.8 * i) for i in range(15)]
    found = run(boxes(rows, score=9.0), 15, None, BaselineTracker())
    assert set(found.boxes.ids.tolist()) == {1}
    assert found.boxes.frames.tolist() == list(range(15))
    assert found.states[-1, 3] == pytest.approx(-8.0, abs=0.3)  # y is to the left


def test_states_come_back_as_written_and_must_fit_the_results(tmp_path: Path) -> None:
    tracked = run(
        boxes([(i, 0, 0.1 * i) for i in range(8)], score=9.0), 8, None, Tracker(CAR.tracker_config("Car"))
    )
    path = tmp_path / "s.csv"
    write_states(path, tracked)
    states, cov = read_states(path, len(tracked.boxes))
    assert states == pytest.approx(tracked.states, rel=1e-4, abs=1e-4)
    assert cov == pytest.approx(tracked.state_cov, rel=1e-4, abs=1e-6)
    with pytest.raises(InputError, match="expected 3 lines"):
        read_states(path, 3)


def test_poses_missing_means_the_camera_stands() -> None:
    egos = ego_states(None, 3)
    assert [ego.t_ns for ego in egos] == [0, 100_000_000, 200_000_000]
    assert all(np.array_equal(ego.odom_from_base.rotation, np.eye(3)) for ego in egos)


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_settings_that_come_with_the_package_are_whole(category: str) -> None:
    for with_ego in (True, False):
        assert load_kitti_config(category, with_ego).tracker_config(category).whole_boxes


def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(InputError, match="detector"):
        load_kitti_config("Car", path=path)


def test_a_score_is_worth_more_the_farther_off_its_box_is() -> None:
    found = replace(
        boxes([(0, 0, 0.0), (0, 1, 0.0)], score=3.0), bottoms_m=np.array([[0.0, 1.6, 10.0], [0.0, 1.6, 50.0]])
    )
    near, far = frame_detections(found, 0, "Car", CAR.detector).scores
    flat = CAR.detector.model_copy(update={"score_per_m": 0.0})
    assert near < far
    assert np.ptp(frame_detections(found, 0, "Car", flat).scores) == 0
    logits = np.log([near / (1 - near), far / (1 - far)])
    assert np.diff(logits) == pytest.approx(40 * CAR.detector.score_per_m)


def test_at_any_box_of_a_trajectory_the_mean_score_so_far_is_the_trust() -> None:
    rng = np.random.default_rng(2)
    ids, trust = rng.integers(0, 4, 60), rng.random(60)
    scores = scores_with_mean(trust, ids)
    for i in range(60):
        own = np.flatnonzero(ids[: i + 1] == ids[i])
        assert scores[own].mean() == pytest.approx(trust[i])
    assert len(scores_with_mean(np.zeros(0), np.zeros(0, dtype=np.int64))) == 0
