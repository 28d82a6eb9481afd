"""The camera path: model folders, preprocessing, decoders, and detectors made on the spot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Detections, ModelRef, ObjectClass
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import ModelError
from perception_platform.perception.camera_head import CameraHead, suppress
from perception_platform.perception.camera_regions import asked_regions
from perception_platform.perception.camera_views import Fitter, PointedImage, choose_views
from perception_platform.perception.decoders import Candidates
from perception_platform.perception.detector_config import (
    Calibration,
    DetectorConfig,
    ImageInput,
    Views,
    load_detector_config,
)
from perception_platform.perception.image_domain import image_measures, out_of_domain
from perception_platform.perception.load import load_camera_head
from perception_platform.perception.score_calibration import calibrate
from perception_platform.robot.load import load_robot, share_dir
from test.unit.inference.tiny_models import constant_detector

CONFIG: dict[str, Any] = {
    "version": 1,
    "id": "tiny@1",
    "weights": "tiny.onnx",
    "input": {"width_px": 64, "height_px": 64, "fit": "squash"},
    "decoder": "fastestdet",
    "classes": {0: "person", 2: "car"},
    "score_threshold": 0.5,
    "iou_threshold": 0.45,
}


def config(**changes: Any) -> DetectorConfig:
    return DetectorConfig.model_validate({**CONFIG, **changes})


def one_person_grid(row: int = 1, column: int = 2, classes: int = 3) -> np.ndarray:
    """FastestDet output of a 4 x 4 grid: one person whose box begins at its cell's corner, a quarter wide."""
    grid = np.zeros((1, 5 + classes, 4, 4))
    grid[0, 3:5] = -20.0
    grid[0, 0, row, column] = 0.9
    grid[0, 3:5, row, column] = np.log((0.25, 0.5)) - np.log1p((-0.25, -0.5))
    grid[0, 5, row, column] = 0.9
    return grid


def model_folder(folder: Path, output: np.ndarray, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.yaml").write_text(yaml.safe_dump({**CONFIG, **changes}))
    constant_detector(folder / "tiny.onnx", output)
    return folder


def test_a_detector_is_a_folder(tmp_path: Path) -> None:
    head = load_camera_head(model_folder(tmp_path / "m", one_person_grid()), "camera_front")
    found = head.step(Image(7, "camera_front", "camera_front", np.zeros((240, 320, 3), dtype=np.uint8)))
    assert found.class_ids.tolist() == [ObjectClass.PERSON]
    assert found.scores == pytest.approx([0.9])
    assert found.boxes_px[0] == pytest.approx([120, 0, 200, 120], abs=0.5)
    assert (found.sensor, found.t_ns, found.model.id) == ("camera_front", 7, "tiny@1")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"decoder": "magic"}, "decoder"),
        ({"decoder": {"type": "yolox", "strides": []}}, "decoder.yolox.strides"),
        ({"decoder": {"type": "yolov8", "strides": [8]}}, "decoder.yolov8.strides"),
        ({"views": {"whole": False}}, "views"),
        ({"views": {"tiles": {"columns": 0}}}, "views.tiles.columns"),
        (
            {"calibration": {"method": "temperature", "error": 0.1, "temperature": float("nan")}},
            "calibration.temperature",
        ),
        (
            {
                "calibration": {
                    "method": "isotonic",
                    "error": 0.1,
                    "raw": [0.1, 0.2],
                    "calibrated": [0.5, 0.4],
                }
            },
            "calibration",
        ),
        ({"calibration": {"method": "isotonic", "error": 0.1}}, "calibration"),
        ({"calibration": {"method": "isotonic"}}, "calibration.error"),
        ({"classes": {0: "unicorn"}}, "classes"),
        ({"score_threshold": 0}, "score_threshold"),
        ({"weights": "../elsewhere.onnx"}, "weights"),
        ({"input": {"width_px": 64, "height_px": 64, "std": [0, 1, 1]}}, "input.std.0"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_model_yaml_names_the_field(tmp_path: Path, change: dict[str, Any], where: str) -> None:
    folder = model_folder(tmp_path / "m", one_person_grid(), **change)
    with pytest.raises(InputError) as raised:
        load_detector_config(folder)
    assert raised.value.where == where
    assert raised.value.source == str(folder / "model.yaml")


def test_a_missing_description_or_weight_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model description"):
        load_camera_head(tmp_path, "camera_front")
    folder = model_folder(tmp_path / "m", one_person_grid())
    (folder / "tiny.onnx").unlink()
    with pytest.raises(InputError, match="weights of tiny@1 are missing"):
        load_camera_head(folder, "camera_front")


@pytest.mark.parametrize("name", ["fastestdet", "nanodet_m", "picodet_s"])
def test_the_folders_that_come_along_are_valid(name: str) -> None:
    described = load_detector_config(share_dir() / "config" / "models" / name)
    assert described.class_map[0] == ObjectClass.PERSON


def whole(image: np.ndarray) -> np.ndarray:
    return np.array([0, 0, image.shape[1], image.shape[0]])


@pytest.mark.parametrize("how", [("letterbox", "centre"), ("letterbox", "top_left"), ("squash", "centre")])
@pytest.mark.parametrize("shape", [(240, 320), (375, 1242), (500, 100)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_come_back_to_where_they_were(
    how: tuple[str, str], shape: tuple[int, int], mirrored: bool
) -> None:
    """A white block is found again at its place by going through the network's input and back."""
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    network = ImageInput(width_px=352, height_px=352, fit=how[0], align=how[1])  # type: ignore[arg-type]
    fitter = Fitter(network)
    tensor = fitter.tensor(1)
    fitted = fitter.fit(image, whole(image), tensor[0], mirrored)
    assert tensor.shape == (1, 3, 352, 352)
    rows, columns = np.nonzero(tensor[0, 0] > 200)
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)
    height, width = shape
    assert fitted.to_image(box)[0] == pytest.approx(
        [width // 4, height // 4, width // 2, height // 2], abs=max(shape) / 352 * 1.5
    )


def test_channels_layout_type_and_scale_are_the_models_own() -> None:
    image = np.full((8, 8, 3), (10, 20, 30), dtype=np.uint8)
    for layout in ("nhwc", "nchw"):
        for dtype in ("float32", "float16"):
            how = ImageInput(
                width_px=8,
                height_px=8,
                layout=layout,
                dtype=dtype,
                channels="rgb",
                mean=(30, 0, 0),
                std=(1, 2, 10),
            )  # type: ignore[arg-type]
            tensor = Fitter(how).tensor(1)
            Fitter(how).fit(image, whole(image), tensor[0])
            assert tensor.dtype == dtype
            assert (tensor[0, 4, 4] if layout == "nhwc" else tensor[0, :, 4, 4]) == pytest.approx([0, 10, 1])


def test_padding_is_laid_anew_when_images_change_their_shape() -> None:
    fitter = Fitter(ImageInput(width_px=64, height_px=64))
    tensor = fitter.tensor(1)
    for shape in ((64, 64), (32, 64), (64, 32)):
        image = np.full((*shape, 3), 255, dtype=np.uint8)
        fitter.fit(image, whole(image), tensor[0])
        assert (tensor == 255).sum() == 3 * shape[0] * shape[1]
        assert ((tensor == 255) | (tensor == 114)).all()


NETWORK = ImageInput(width_px=64, height_px=64)


def views(asked_px: Any = (), **what: Any) -> np.ndarray:
    return choose_views(
        375, 1242, Views.model_validate(what), NETWORK, np.asarray(asked_px, dtype=np.float64).reshape(-1, 4)
    )


def test_tiles_cover_the_image_and_overlap() -> None:
    whole_px, *tiles_px = views(tiles={"columns": 3, "rows": 2, "overlap": 0.25})
    assert whole_px.tolist() == [0, 0, 1242, 375]
    assert len(tiles_px) == 6
    covered = np.zeros((375, 1242), dtype=np.int64)
    for x1, y1, x2, y2 in tiles_px:
        covered[y1:y2, x1:x2] += 1
    assert covered.min() == 1
    assert covered.max() == 4
    assert tiles_px[0][2] - tiles_px[1][0] == pytest.approx(0.25 * (tiles_px[0][2] - tiles_px[0][0]), abs=2)


def test_regions_show_the_most_of_what_others_point_to() -> None:
    far, beside = (600.0, 180.0, 612.0, 210.0), (620.0, 185.0, 630.0, 205.0)
    near, elsewhere = (100.0, 20.0, 300.0, 370.0), (0.0, 190.0, 8.0, 214.0)
    nowhere = (np.nan,) * 4
    asked = [near, elsewhere, nowhere, far, beside]
    _, *regions = views(asked, regions={"most": 4, "context": 4, "least_px": 80})
    assert len(regions) == 2, "what lies beside is in the same region, and what is large is for the whole"
    for box in (far, beside, elsewhere):
        assert any((box[:2] >= r[:2]).all() and (box[2:] <= r[2:]).all() for r in map(np.array, regions))
    for x1, y1, x2, y2 in regions:
        assert x2 - x1 == pytest.approx(y2 - y1, abs=2)
        assert 0 <= x1 <= x2 <= 1242
        assert 0 <= y1 <= y2 <= 375
    _, only = views(asked, regions={"most": 1, "context": 4, "least_px": 80})
    assert only[0] < far[0] < beside[2] < only[2], "two in one go before one"
    assert len(views([], regions={})) == 1


def test_a_closer_look_is_asked_for_at_what_may_be_a_person_or_a_vehicle() -> None:
    robot = load_robot("amr")
    camera = robot.cameras[0]
    sizes_m = np.array([[0.4, 0.4, 1.7], [0.4, 0.4, 1.7], [20.0, 0.3, 3.0], [0.4, 0.4, 0.2], [0.4, 0.4, 1.7]])
    centers_m = np.array(
        [[9, 0, 0.9], [1, 0, 0.9], [9, 2, 1.5], [9, -1, 0.1], [-9, 0, 0.9]], dtype=np.float64
    )
    seen = Detections.empty(0, "base_link")
    seen = replace(
        seen,
        centers_m=centers_m,
        sizes_m=sizes_m,
        yaws_rad=np.zeros(5),
        class_ids=np.zeros(5, dtype=np.int64),
    )
    (box,) = asked_regions(seen, camera)  # not what fills the image, a wall, what lies low, what is behind
    middle = camera.intrinsics.model().project(camera.mounting.transform().inverse().apply(centers_m[:1]))[0]
    assert (box[:2] < middle).all()
    assert (middle < box[2:]).all()


def test_the_stump_of_what_a_tile_cuts_is_left_to_the_view_that_shows_it_whole() -> None:
    tile = np.array([0, 0, 700, 375])
    fitter = Fitter(NETWORK)
    image = np.zeros((375, 1242, 3), dtype=np.uint8)
    fitted = fitter.fit(image, tile, fitter.tensor(1)[0])
    boxes = np.array(
        [[600, 100, 699, 200], [0, 100, 50, 200], [100, 100, 200, 375], [600, 100, 650, 200]], float
    )
    assert fitted.stumps(boxes, 375, 1242).tolist() == [True, False, False, False]


def test_a_closer_look_finds_what_the_whole_is_too_coarse_for(tmp_path: Path) -> None:
    """The constant model puts a person in every view: one more where the lidar points."""
    folder = model_folder(
        tmp_path / "m", one_person_grid(2, 2), views={"regions": {"context": 3, "least_px": 60}}
    )
    head = load_camera_head(folder, "camera_front")
    image = Image(7, "camera_front", "camera_front", np.zeros((240, 320, 3), dtype=np.uint8))
    assert len(head.step(image)) == 1
    pointed = PointedImage(7, "", "camera_front", image.bgr, np.array([[20.0, 20.0, 30.0, 40.0]]))
    found = head.step(pointed)
    assert len(found) == 2
    assert (found.boxes_px[:, 2] < 90).sum() == 1
    assert head.detector.runs(pointed) == 2


def test_boxes_of_one_object_may_be_averaged_by_score() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]], dtype=float)
    candidates = Candidates(boxes, np.array([0, 0, 2]), np.array([0.6, 0.9, 0.6]))
    found = suppress(candidates, config(views={"merge": "mean"}))
    assert found.boxes_px[0] == pytest.approx([0.6, 0, 10.6, 10])
    assert found.boxes_px[1] == pytest.approx([0, 0, 10, 10]), "of another class"
    assert found.scores == pytest.approx([0.9, 0.6])


def test_a_temperature_and_a_table_calibrate() -> None:
    scores = np.array([0.0, 0.2, 0.5, 0.8, 1.0])
    halved = calibrate(scores, Calibration(method="temperature", error=0.1, temperature=2.0, bias=0.0))
    assert halved[1:4] == pytest.approx([1 / 3, 0.5, 2 / 3], abs=1e-6)
    assert np.isfinite(halved).all()
    shifted = calibrate(scores, Calibration(method="temperature", error=0.1, temperature=1.0, bias=np.log(3)))
    assert shifted[2] == pytest.approx(0.75)
    table = calibrate(
        scores, Calibration(method="isotonic", error=0.1, raw=(0.2, 0.6), calibrated=(0.1, 0.5))
    )
    assert table == pytest.approx([0.1, 0.1, 0.4, 0.5, 0.5])


def test_what_a_detector_gives_is_calibrated_unsure_and_of_its_domain(tmp_path: Path) -> None:
    calibration = {
        "method": "temperature", "error": 0.02, "temperature": 2.0, "side_sigma": [0.01, 0.02, 0.03, 0.04],
        "image_range": {"brightness": [50, 200]},
    }  # fmt: skip
    head = load_camera_head(
        model_folder(tmp_path / "m", one_person_grid(), calibration=calibration), "camera"
    )
    dark, usual = (
        head.step(Image(7, "", "camera", np.full((240, 320, 3), grey, dtype=np.uint8))) for grey in (3, 120)
    )
    assert usual.scores == pytest.approx([3 / 4])  # odds 9, halved as logarithm
    assert usual.side_sigmas_px[0] == pytest.approx([1.2, 2.4, 3.6, 4.8])  # of a box 120 px high
    assert (dark.out_of_domain, usual.out_of_domain) == (True, False)
    assert len(dark) == 1, "what is strange is said, not left out"


def test_measures_tell_dark_flat_and_blurred_images() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    assert image_measures(blurred)["sharpness"] < image_measures(sharp)["sharpness"] - 1
    assert image_measures(sharp // 8)["brightness"] < 20
    assert image_measures(np.full_like(sharp, 77)) == {"brightness": 77.0, "contrast": 0.0, "sharpness": 0.0}
    assert not out_of_domain(sharp, None)


class NotANumber:
    """A backend of which one box is not a number."""

    model, name = ModelRef("tiny@1", "0" * 64), "made up"
    input_names, output_names = ["image"], ["grid"]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        grid = one_person_grid()
        grid[0, 3, 1, 2] = np.nan
        return {"grid": grid}


def test_a_box_that_is_not_finite_is_a_failure_of_the_model() -> None:
    head = CameraHead("camera_front", config(), NotANumber())
    with pytest.raises(ModelError, match="tiny@1: a box or score is not finite"):
        head.step(Image(7, "camera_front", "camera_front", np.zeros((240, 320, 3), dtype=np.uint8)))


def test_of_overlapping_boxes_of_a_class_the_surest_stays() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60], [30, 30, 30, 40]], dtype=float
    )
    found = suppress(
        Candidates(boxes, np.array([0, 0, 2, 1, 0]), np.array([0.7, 0.9, 0.6, 0.9, 0.9])), config()
    )
    assert sorted(zip(found.classes.tolist(), found.scores.tolist(), strict=True)) == [(0, 0.9), (2, 0.6)]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("fastestdet", "FastestDet.onnx"),
        ("nanodet_m", "nanodet_m.onnx"),
        ("picodet_s", "picodet_s_416_coco.onnx"),
    ],
)
def test_the_models_find_the_cars_of_a_real_street(
    tmp_path: Path, shared_data: Path, name: str, weights: str
) -> None:
    picture = shared_data / "kitti_drive_0052" / "image_02" / "data" / "0000000007.png"
    if not ((shared_data / "onnx" / weights).is_file() and picture.is_file()):
        pytest.skip(f"no {weights} or drive 0052 in the real recordings")
    shutil.copy(share_dir() / "config" / "models" / name / "model.yaml", tmp_path)
    shutil.copy(shared_data / "onnx" / weights, tmp_path)
    found = load_camera_head(tmp_path, "camera_left").step(
        Image(0, "", "camera_left", cv2.imread(str(picture)))
    )
    cars = found.boxes_px[found.class_ids == ObjectClass.CAR]
    for label in ((0, 180, 378, 374), (556, 185, 714, 335)):
        assert np.abs(cars - label).mean(axis=1).min() < 25, f"the labelled car at {label}"


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    views=st.fixed_dictionaries(
        {
            "tiles": st.none()
            | st.fixed_dictionaries({"columns": st.integers(1, 4), "rows": st.integers(1, 3)}),
            "regions": st.none() | st.just({}),
            "mirror": st.booleans(),
            "merge": st.sampled_from(["surest", "mean"]),
        }
    ),
    fit=st.sampled_from(["letterbox", "squash"]),
    seed=st.integers(0, 99),
)
def test_images_of_any_shape_and_content_give_boxes_within_them(
    shape: tuple[int, int], views: dict[str, Any], fit: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    described = config(views=views, input={"width_px": 64, "height_px": 64, "fit": fit})
    head = CameraHead("camera_front", described, Arbitrary(seed))
    pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    asked_px = rng.uniform(-50, 350, (5, 4))
    asked_px[0] = np.nan
    found = head.step(PointedImage(7, "", "camera_front", pixels, asked_px))
    height, width = shape
    assert np.isfinite(found.boxes_px).all()
    assert (found.boxes_px >= 0).all()
    assert (found.boxes_px <= (width, height, width, height)).all()
    assert (found.boxes_px[:, 2:] > found.boxes_px[:, :2]).all()
    assert ((found.scores >= 0.5) & (found.scores <= 1)).all()


class Arbitrary:
    """A backend that says anything."""

    model, name = ModelRef("tiny@1", "0" * 64), "made up"
    input_names, output_names = ["image"], ["grid"]

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"grid": self._rng.normal(0.5, 1.0, (len(inputs["image"]), 8, 4, 4)).astype(np.float32)}
