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
from perception_platform.perception.camera_regions import asked_regions
from perception_platform.perception.camera_views import PointedImage
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
from perception_platform.robot.sensors import Camera
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


def test_a_score_belongs_to_its_name() -> None:
    """What the shape was sure of says nothing of another name; of the same name the surer of both counts."""
    shapes = lidar_only()
    car = replace(
        shapes, class_ids=np.full(len(shapes), int(ObjectClass.CAR)), scores=np.full(len(shapes), 0.97)
    )
    box = tuple(project_boxes(car, CAMERA.mounting.transform(), CAMERA.intrinsics.model())[0])
    assert fuse(car, in_image(box), AMR).scores.tolist() == [0.8]
    assert fuse(car, in_image(box, class_id=ObjectClass.CAR), AMR).scores.tolist() == [0.97]


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
    contact_m, cov_m2 = ground_contact(boxes, mounting, model, np.full(3, 3.0))
    assert contact_m == pytest.approx(places[:, :2], abs=1e-6)
    along = cov_m2[:, 0, 0]
    assert along[1] > 8 * along[0]
    assert along[2] > 8 * along[1]
    assert (cov_m2[1:, 1, 1] < along[1:]).all()
    _, unsure_m2 = ground_contact(boxes, mounting, model, np.full(3, 9.0))
    assert (unsure_m2[:, 0, 0] > 1.5 * along).all(), "a box of an unsure lower side is an unsure range"


@pytest.mark.parametrize("box", [(100.0, 10.0, 120.0, 100.0), (100.0, 100.0, 120.0, 240.0)])
def test_feet_above_the_horizon_or_outside_the_image_place_nothing(box: tuple[float, ...]) -> None:
    assert len(fuse(lidar_only(), in_image(box), AMR)) == len(lidar_only())


def person_box(at_m: tuple[float, float], camera: Camera) -> tuple[float, ...]:
    """The box of a person of 1.7 m who stands there."""
    ends = np.array([[*at_m, 0.0], [*at_m, 1.7]])
    (x, low), (_, high) = camera.intrinsics.model().project(camera.mounting.transform().inverse().apply(ends))
    return (x - 0.2 * (low - high), high, x + 0.2 * (low - high), low)


def test_lidar_points_in_a_box_give_its_range_where_the_lidar_made_no_object() -> None:
    """A person before a wall, of whom a few points are known."""
    box = in_image(person_box((7.0, -1.0), CAMERA))
    nothing = Detections.empty(100, "base_link")
    points_m = np.array([[6.9, -1.0 + 0.05 * i, 0.7 + 0.1 * i] for i in range(-2, 3)])
    wall_m = np.array([[13.0, y, z] for y in np.linspace(-3, 1, 60) for z in np.linspace(0.3, 2, 15)])
    by_contact = fuse(nothing, box, AMR)
    by_points = fuse(nothing, box, AMR, np.vstack([points_m, wall_m]))
    assert by_points.centers_m[0, :2] == pytest.approx((7.15, -1.04), abs=0.1)
    assert np.trace(by_points.position_cov_m2[0]) < 0.3 * np.trace(by_contact.position_cov_m2[0])
    by_wall = fuse(nothing, box, AMR, wall_m)
    assert by_wall.centers_m[0] == pytest.approx(by_contact.centers_m[0]), (
        "the wall is not where the feet are"
    )


def test_feet_outside_the_image_do_not_hide_a_person_of_whom_there_are_points() -> None:
    box = in_image((100.0, 60.0, 160.0, 240.0))
    mounting, model = CAMERA.mounting.transform(), CAMERA.intrinsics.model()
    ray = mounting.rotate(np.array([[130.0, 150.0, 1.0]]) @ np.linalg.inv(model.matrix).T)
    points_m = mounting.translation_m + 1.5 * ray + np.linspace(-0.02, 0.02, 5)[:, None]
    found = fuse(Detections.empty(100, "base_link"), box, AMR, points_m)
    assert len(found) == 1
    assert np.hypot(*(found.centers_m[0, :2] - points_m.mean(axis=0)[:2])) == pytest.approx(0.25, abs=0.05)


def test_two_cameras_that_see_one_person_make_one_object_and_a_surer_one() -> None:
    left = CAMERA.model_copy(
        update={
            "name": "camera_left",
            "mounting": CAMERA.mounting.model_copy(update={"xyz_m": (0.4, 1.5, 0.6)}),
        }
    )
    robot = AMR.model_copy(update={"sensors": [*AMR.sensors, left]})
    nothing = Detections.empty(100, "base_link")
    front_box, left_box = in_image(person_box((6.0, 0.5), CAMERA)), in_image(person_box((6.1, 0.55), left))
    once = fuse(nothing, front_box, robot)
    both = fuse(once, replace(left_box, sensor="camera_left", scores=np.array([0.9])), robot)
    assert len(both) == 1
    assert both.scores.tolist() == [0.9]
    assert np.linalg.det(both.position_cov_m2[0]) < 0.6 * np.linalg.det(once.position_cov_m2[0])
    assert np.hypot(*(both.centers_m[0, :2] - once.centers_m[0, :2])) < 0.3
    elsewhere = replace(in_image(person_box((6.0, -2.0), left)), sensor="camera_left")
    assert len(fuse(once, elsewhere, robot)) == 2
    a_car = replace(left_box, sensor="camera_left", class_ids=np.array([int(ObjectClass.CAR)]))
    assert len(fuse(once, a_car, robot)) == 2


def test_fusion_never_deletes_a_lidar_object() -> None:
    found = lidar_only()
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.uniform(0, 200, (5, 2))
        boxes = np.hstack([low, low + rng.uniform(1, 120, (5, 2))])
        fused = fuse(found, replace(in_image(*map(tuple, boxes)), class_ids=rng.integers(0, 7, 5)), AMR)
        assert np.array_equal(fused.centers_m[: len(found)], found.centers_m)
        assert np.array_equal(fused.num_points[: len(found)], found.num_points)


def test_the_graph_points_a_model_to_what_the_lidar_saw() -> None:
    seen: list[Image] = []

    def look(image: Image) -> ImageObjects:
        seen.append(image)
        return in_image()

    head = SimpleNamespace(model=MODEL, backend="test", assurance=Assurance(), step=look, check=lambda: None)
    graph_with(head).step(CLOUD, [IMAGE])  # type: ignore[arg-type]
    (pointed,) = seen
    assert isinstance(pointed, PointedImage)
    assert np.array_equal(pointed.asked_px, asked_regions(lidar_only(), CAMERA))
    assert pointed.t_ns == IMAGE.t_ns


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
