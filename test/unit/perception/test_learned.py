"""A learned lidar model beside the geometric path: it names and adds, and what it says takes nothing away."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import yaml
from hypothesis import given

from perception_platform.core.errors import InputError
from perception_platform.core.model_status import ModelState
from perception_platform.core.objects import Detections, ObjectClass, SensorKind
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.bird_view import (
    ANSWERS,
    CELLS,
    CLASSES,
    HALF_M,
    REGRESSED,
    BirdView,
    Heights,
    LearnedBoxes,
    boxes_of,
    nothing_from_above,
    planes,
    raster,
)
from perception_platform.perception.learned import name_and_add
from perception_platform.perception.lidar_model import LidarHead, lidar_heads, load_lidar_config
from perception_platform.perception.load import load_graph
from perception_platform.robot.load import load_robot, share_dir

BUNDLE = share_dir() / "config" / "models" / "bev_lidar"
ORIGIN = np.array([0.0, 0.0, 1.7])


def detections(centers: Any, class_ids: Any) -> Detections:
    """Objects of 1 m each way."""
    n = len(centers)
    return replace(
        Detections.empty(0, "base_link"),
        centers_m=np.column_stack([np.asarray(centers, dtype=np.float64).reshape(n, 2), np.full(n, 0.5)]),
        sizes_m=np.ones((n, 3)),
        yaws_rad=np.zeros(n),
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.full(n, 0.5),
        sensors=np.full(n, int(SensorKind.LIDAR), dtype=np.int64),
        num_points=np.full(n, 10, dtype=np.int64),
        position_cov_m2=np.tile(np.eye(2), (n, 1, 1)),
        image_boxes_px=np.full((n, 4), np.nan),
    )


def learned(
    centers: Any, class_ids: Any, scores: Any, size: tuple[float, float, float] = (1, 1, 1.7)
) -> LearnedBoxes:
    """Boxes of one size, surest first."""
    n = len(centers)
    return LearnedBoxes(
        np.column_stack([np.asarray(centers, dtype=np.float64).reshape(n, 2), np.full(n, 0.8)]),
        np.tile(np.array(size, dtype=np.float64), (n, 1)),
        np.zeros(n),
        np.array(class_ids, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        np.zeros((n, 2)),
        np.zeros(64),
    )


def points_at(*centers: tuple[float, float]) -> Any:
    """Ten points around each place."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [np.array([x, y, 0.8]) + rng.uniform(-0.2, 0.2, (10, 3)) for x, y in centers]
    ).astype(np.float32)


def test_it_names_what_has_no_name_and_no_other() -> None:
    objects = detections([(5, 0), (8, 0)], [ObjectClass.UNKNOWN, ObjectClass.CAR])
    found = learned([(5.1, 0), (8, 0)], [ObjectClass.PERSON, ObjectClass.PERSON], [0.9, 0.8])
    fused = name_and_add(objects, found, points_at((5, 0), (8, 0)), ORIGIN)
    assert fused.class_ids.tolist() == [ObjectClass.PERSON, ObjectClass.CAR]
    assert fused.scores.tolist() == [0.9, 0.5]


def test_it_adds_what_stands_between_boxes_if_there_are_points() -> None:
    objects = detections([(5, 0)], [ObjectClass.UNKNOWN])
    found = learned([(5, 3), (5, -3)], [ObjectClass.PERSON] * 2, [0.9, 0.8])
    fused = name_and_add(objects, found, points_at((5, 3)), ORIGIN)
    assert len(fused) == 2
    assert fused.centers_m[1, :2].tolist() == [5, 3]
    assert fused.num_points[1] == 10
    assert fused.class_ids.tolist() == [ObjectClass.UNKNOWN, ObjectClass.PERSON]


places = st.tuples(st.floats(-30, 30), st.floats(-30, 30))


@given(
    st.lists(st.tuples(places, st.sampled_from([0, 1, 3, 6])), max_size=8),
    st.lists(st.tuples(places, st.sampled_from([1, 2, 3, 4, 5]), st.floats(0.35, 1.0)), max_size=8),
    st.floats(0.3, 9.0),
)
def test_whatever_it_says_no_obstacle_is_taken_moved_or_made_smaller(
    objects: list[Any], boxes: list[Any], length: float
) -> None:
    given_ = detections([p for p, _ in objects], [c for _, c in objects])
    boxes = sorted(boxes, key=lambda b: -b[2])
    found = learned([b[0] for b in boxes], [b[1] for b in boxes], [b[2] for b in boxes], (length, 1.0, 1.7))
    obstacles = points_at((0.0, 0.0), *(p for p, _ in objects))
    fused = name_and_add(given_, found, obstacles, ORIGIN)
    n = len(given_)
    assert len(fused) >= n
    for name in ("centers_m", "sizes_m", "yaws_rad", "num_points", "position_cov_m2", "sensors"):
        assert np.array_equal(getattr(fused, name)[:n], getattr(given_, name)), name
    named = given_.class_ids != int(ObjectClass.UNKNOWN)
    assert np.array_equal(fused.class_ids[:n][named], given_.class_ids[named])


def test_a_point_sets_the_bit_of_its_cell_and_height() -> None:
    xyz = np.array([[1.05, -2.05, 0.0], [40.0, 0.0, 0.0]], dtype=np.float32)
    sweep = Heights(xyz, np.array([0.4, 0.4], dtype=np.float32))
    earlier = Heights(xyz, np.array([1.5, 1.5], dtype=np.float32))
    bits = raster(sweep, earlier)
    row, column = np.argwhere(bits)[0]
    assert (bits > 0).sum() == 1
    assert (column, row) == (int((1.05 + HALF_M) / 0.2), int((-2.05 + HALF_M) / 0.2))
    assert bits[row, column] == (1 << 2) | (1 << 11)
    unpacked = planes(bits)
    assert unpacked.shape == (1, 12, CELLS, CELLS)
    assert unpacked.sum() == 2


def test_order_of_points_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-35, 35, (5000, 3)).astype(np.float32)
    height = rng.uniform(-0.5, 4, 5000).astype(np.float32)
    order = rng.permutation(5000)
    one = raster(Heights(xyz, height), Heights(xyz, height))
    two = raster(Heights(xyz[order], height[order]), Heights(xyz[order], height[order]))
    assert np.array_equal(one, two)


def test_an_answer_is_decoded_where_it_stands() -> None:
    peaks = np.zeros((len(CLASSES), ANSWERS, ANSWERS), np.float32)
    regressed = np.zeros((REGRESSED, ANSWERS, ANSWERS), np.float32)
    peaks[2, 70, 90], peaks[0, 10, 20] = 0.8, 0.4
    regressed[:, 70, 90] = [0.25, -0.25, 0.9, np.log(4.2), np.log(1.8), np.log(1.5), 1.0, 0.0, 2.0, -1.0]
    found = boxes_of(peaks, regressed, np.zeros(64), 0.35, period_s=0.2)
    assert found.class_ids.tolist() == [ObjectClass.CAR, ObjectClass.PERSON]
    np.testing.assert_allclose(found.centers_m[0], [(90.75) * 0.4 - 32, (70.25) * 0.4 - 32, 0.9], atol=1e-6)
    np.testing.assert_allclose(found.sizes_m[0], [4.2, 1.8, 1.5], rtol=1e-6)
    assert found.yaws_rad[0] == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(found.velocities_mps[0], [1.0, -0.5])
    assert len(boxes_of(peaks, regressed, np.zeros(64), 0.5)) == 1


def test_the_bundle_gives_its_golden_outputs() -> None:
    (head,) = lidar_heads(BUNDLE)
    assert isinstance(head, LidarHead)
    head.check()
    with np.load(BUNDLE / "golden.npz") as golden:
        bits = np.packbits(golden["input/planes"][0], axis=0, bitorder="little").astype(np.uint16)
    known = BirdView(bits[0] | (bits[1] << 8))
    assert np.array_equal(planes(known.bits), np.load(BUNDLE / "golden.npz")["input/planes"])
    assert len(head.step(known)) > 0
    assert not head.assurance.out_of_domain
    assert len(head.step(nothing_from_above())) == 0
    assert head.assurance.out_of_domain
    noise = np.random.default_rng(0).integers(0, 2**12, (CELLS, CELLS)).astype(np.uint16)
    head.step(BirdView(noise))
    assert head.assurance.out_of_domain  # like no sweep that it knows


def test_bad_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model description"):
        load_lidar_config(tmp_path)
    shutil.copy(BUNDLE / "model.yaml", tmp_path)
    (broken,) = lidar_heads(tmp_path)
    assert "missing" in broken.problem  # type: ignore[union-attr]
    described = yaml.safe_load((BUNDLE / "model.yaml").read_text())
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({**described, "score_threshold": 3}))
    with pytest.raises(InputError, match="score_threshold"):
        load_lidar_config(tmp_path)


def van(tmp_path: Path, *fallbacks: str, path: str = "bev_lidar") -> Any:
    """The delivery van with the model."""
    described = yaml.safe_load((share_dir() / "config" / "robots" / "delivery_van.yaml").read_text())
    described["perception"] = "learned_lidar"
    described["models"] = [
        {"head": "learned_boxes", "sensor": "velodyne", "path": path, "fallbacks": list(fallbacks)}
    ]
    file = tmp_path / "van.yaml"
    file.write_text(yaml.safe_dump(described))
    return load_robot(str(file))


def street() -> PointCloud:
    """Ground, and somebody ten metres ahead, in the lidar's frame."""
    rng = np.random.default_rng(0)
    angle, away = rng.uniform(-np.pi, np.pi, 20_000), rng.uniform(3, 30, 20_000)
    ground = np.column_stack([away * np.cos(angle), away * np.sin(angle), np.full(20_000, -1.73)])
    person = np.array([10.0, 0.0, -1.73]) + rng.uniform([-0.15, -0.25, 0.05], [0.15, 0.25, 1.75], (300, 3))
    xyz = np.concatenate([ground, person]).astype(np.float32)
    return PointCloud(1_000_000_000, "velodyne", "velodyne", xyz)


@pytest.mark.slow
def test_the_graph_runs_it_beside_the_geometric_path(tmp_path: Path) -> None:
    graph, plain = load_graph(van(tmp_path)), load_graph(load_robot("delivery_van"))
    with_it, without = graph.step(street(), ()), plain.step(street(), ())
    assert np.array_equal(with_it.obstacles.xyz_m, without.obstacles.xyz_m)
    n = len(without.detections)
    assert np.array_equal(with_it.detections.centers_m[:n], without.detections.centers_m)
    assert "bev_lidar@1" in {model.id for model in with_it.detections.models}
    (status,) = [s for s in graph.model_status(0) if s.head.startswith("learned_boxes")]
    assert status.state is ModelState.ACTIVE


@pytest.mark.slow
def test_without_its_weights_the_geometric_path_goes_on_and_says_so(tmp_path: Path) -> None:
    graph = load_graph(van(tmp_path, path=str(tmp_path / "nothing")), keep_going=True)
    percept = graph.step(street(), ())
    plain = load_graph(load_robot("delivery_van")).step(street(), ())
    assert np.array_equal(percept.detections.centers_m, plain.detections.centers_m)
    (status,) = [s for s in graph.model_status(0) if s.head.startswith("learned_boxes")]
    assert status.state is ModelState.FAILED
    assert "geometric path alone" in status.text


def test_a_model_for_a_lidar_that_is_not_there_is_refused(tmp_path: Path) -> None:
    described = yaml.safe_load((share_dir() / "config" / "robots" / "delivery_van.yaml").read_text())
    described["models"] = [{"head": "learned_boxes", "sensor": "camera_left", "path": "bev_lidar"}]
    file = tmp_path / "van.yaml"
    file.write_text(yaml.safe_dump(described))
    with pytest.raises(InputError, match="no lidar 'camera_left', only velodyne"):
        load_robot(str(file))
