"""Fusion and the graph around it: cameras name and add, and never take away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.model_status import Assurance, ModelState
from perception_platform.core.objects import Detections, ModelRef, ObjectClass, SensorKind
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import ModelError
from perception_platform.inference.chain import Chain, ChainRules, Link
from perception_platform.perception.camera_chain import CameraChain
from perception_platform.perception.fusion import (
    ImageObjects,
    fuse,
    ground_contact,
    project_boxes,
)
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.load import build_graph, graph_path, load_graph
from perception_platform.robot.description import Model
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, is_valid, sweep

AMR = load_robot("amr")
LIDAR = AMR.sensor("lidar_top").mounting.transform()
CAMERA = AMR.cameras[0]
CLOUD = replace(sweep([Solid(4.0, 0.5, PERSON_SIZE_M)], LIDAR, "lidar_top"), t_ns=100)
IMAGE = Image(90, "camera_front", "camera_front", np.zeros((240, 320, 3), dtype=np.uint8))
MODEL = ModelRef("tiny@1", "0" * 64)


def lidar_only() -> Detections:
    return load_graph(AMR).step(CLOUD).detections


def in_image(*boxes_px: tuple[float, ...], class_id: ObjectClass = ObjectClass.PERSON) -> ImageObjects:
    n = len(boxes_px)
    boxes = np.array(boxes_px, dtype=np.float64).reshape(n, 4)
    return ImageObjects("camera_front", 90, boxes, np.full(n, int(class_id)), np.full(n, 0.8), MODEL)


def head_that(answers: ImageObjects | Exception) -> Link[Image, ImageObjects]:
    def step(image: Image) -> ImageObjects:
        if isinstance(answers, Exception):
            raise answers
        return answers

    return SimpleNamespace(model=MODEL, backend="test", assurance=Assurance(), step=step, check=lambda: None)  # type: ignore[return-value]


def graph_with(
    *heads: Link[Image, ImageObjects], clock_ns: Callable[[], int] | None = None
) -> PerceptionGraph:
    """The robots' graph with these models in one chain."""
    chain = Chain("camera_objects/camera_front", heads, ChainRules(limit_s=5.0), clock_ns)
    return build_graph(graph_path("shared"), AMR, [CameraChain("camera_front", chain)], clock_ns)


def test_a_box_over_a_lidar_object_names_it() -> None:
    found = lidar_only()
    found = replace(found, class_ids=np.zeros_like(found.class_ids))
    box_px = project_boxes(found, CAMERA.mounting.transform(), CAMERA.intrinsics.model())[0]
    fused = fuse(found, in_image(tuple(box_px + 2)), AMR)
    assert len(fused) == len(found)
    assert fused.class_ids[0] == ObjectClass.PERSON
    assert fused.sensors[0] == SensorKind.LIDAR | SensorKind.CAMERA
    assert fused.image_boxes_px[0] == pytest.approx(box_px + 2)
    assert np.array_equal(fused.centers_m, found.centers_m), "the lidar measures, the camera names"


def test_a_projected_box_lies_where_the_object_is_seen() -> None:
    found = lidar_only()
    box_px = project_boxes(found, CAMERA.mounting.transform(), CAMERA.intrinsics.model())[0]
    # The person's near face, 4 - 0.2 - 0.44 m ahead of the camera and 0.5 m to its left.
    assert box_px[[0, 2]].mean() == pytest.approx(119.5 + 40 - 0.5 / 3.36 * 200, abs=6)


def test_a_person_that_only_the_camera_sees_stands_at_its_feet() -> None:
    pixel = CAMERA.intrinsics.model().project(
        CAMERA.mounting.transform().inverse().apply(np.array([[6.0, -1.0, 0.0]]))
    )[0]
    box = (pixel[0] - 8, pixel[1] - 60, pixel[0] + 8, pixel[1])
    fused = fuse(lidar_only(), in_image(box), AMR)
    assert len(fused) == len(lidar_only()) + 1
    assert np.hypot(*(fused.centers_m[-1, :2] - (6.0, -1.0))) < 0.3
    assert fused.sensors[-1] == SensorKind.CAMERA
    assert fused.num_points[-1] == 0
    assert is_valid(fused)


def test_camera_ranges_are_less_sure_the_farther_they_are() -> None:
    mounting, model = CAMERA.mounting.transform(), CAMERA.intrinsics.model()
    places = np.array([[3.0, 0.0, 0.0], [6.0, 0.0, 0.0], [12.0, 0.0, 0.0]])
    pixels = model.project(mounting.inverse().apply(places))
    boxes = np.column_stack([pixels - np.array([5, 40]), pixels + np.array([5, 0])])
    contact_m, cov_m2 = ground_contact(boxes, mounting, model)
    assert contact_m == pytest.approx(places[:, :2], abs=1e-6)
    along = cov_m2[:, 0, 0]
    assert along[1] > 8 * along[0]
    assert along[2] > 8 * along[1]
    assert (cov_m2[1:, 1, 1] < along[1:]).all()


@pytest.mark.parametrize("box", [(100.0, 10.0, 120.0, 100.0), (100.0, 100.0, 120.0, 240.0)])
def test_feet_above_the_horizon_or_outside_the_image_place_nothing(box: tuple[float, ...]) -> None:
    assert len(fuse(lidar_only(), in_image(box), AMR)) == len(lidar_only())


def test_fusion_never_deletes_a_lidar_object() -> None:
    found = lidar_only()
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.uniform(0, 200, (5, 2))
        boxes = np.hstack([low, low + rng.uniform(1, 120, (5, 2))])
        fused = fuse(found, replace(in_image(*map(tuple, boxes)), class_ids=rng.integers(0, 7, 5)), AMR)
        assert np.array_equal(fused.centers_m[: len(found)], found.centers_m)
        assert np.array_equal(fused.num_points[: len(found)], found.num_points)


def test_lineage_and_models_name_the_camera_too() -> None:
    fused = graph_with(head_that(in_image())).step(CLOUD, [IMAGE]).detections
    assert [(s.sensor, s.t_ns) for s in fused.lineage.sources] == [("camera_front", 90), ("lidar_top", 100)]
    assert [m.id for m in fused.models] == ["geometry@1", "tiny@1"]


@pytest.mark.parametrize("failure", [ModelError("output boxes is not finite"), RuntimeError("out of memory")])
def test_a_failing_model_is_counted_and_the_lidars_objects_stay(failure: Exception) -> None:
    graph = graph_with(head_that(failure))
    for _ in range(3):
        percept = graph.step(CLOUD, [IMAGE])
    assert np.array_equal(percept.detections.centers_m, lidar_only().centers_m)
    assert [s.sensor for s in percept.detections.lineage.sources] == ["lidar_top"]
    geometry, camera = graph.model_status(5)
    assert geometry.state == ModelState.ACTIVE
    assert (camera.head, camera.state, camera.runs, camera.failures) == (
        "camera_objects/camera_front",
        ModelState.FAILED,
        3,
        3,
    )
    assert str(failure) in camera.text


def test_a_healthy_model_reports_its_run_times() -> None:
    ticks = iter(range(0, 1_000_000_000, 5_000_000))
    graph = graph_with(head_that(in_image()), clock_ns=lambda: next(ticks))
    graph.step(CLOUD, [IMAGE])
    graph.step(CLOUD)
    status = graph.model_status(0)[1]
    assert (status.state, status.runs, status.failures) == (ModelState.ACTIVE, 1, 0)
    assert status.run_time_p50_s == pytest.approx(0.005)


def test_a_missing_model_stops_a_tool_but_not_a_node(tmp_path: Path) -> None:
    model = Model(head="camera_objects", sensor="camera_front", path=str(tmp_path))
    robot = AMR.model_copy(update={"models": [model]})
    with pytest.raises(InputError, match=r"model\.yaml: no model description"):
        load_graph(robot)
    graph = load_graph(robot, keep_going=True)
    assert len(graph.step(CLOUD, [IMAGE]).detections) == len(lidar_only())
    status = graph.model_status(0)[1]
    assert status.state == ModelState.FAILED
    assert "no model description" in status.text
