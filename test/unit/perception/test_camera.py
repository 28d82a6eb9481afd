"""The camera path: model folders, preprocessing, decoders, and detectors made on the spot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from perception_platform.core.errors import InputError
from perception_platform.core.objects import ModelRef, ObjectClass
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import ModelError
from perception_platform.perception.camera_head import CameraHead, fit_image, suppress
from perception_platform.perception.decoders import Candidates, decode_distribution, decode_fastestdet
from perception_platform.perception.detector_config import DetectorConfig, ImageInput, load_detector_config
from perception_platform.perception.load import load_camera_head
from perception_platform.robot.load import share_dir
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
        ({"classes": {0: "unicorn"}}, "classes"),
        ({"score_threshold": 0}, "score_threshold"),
        ({"weights": "../elsewhere.onnx"}, "weights"),
        ({"input": {"width_px": 64, "height_px": 64, "std": [0, 1, 1]}}, "input.std"),
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


def test_the_folder_that_comes_along_is_valid() -> None:
    described = load_detector_config(share_dir() / "config" / "models" / "fastestdet")
    assert described.class_map[0] == ObjectClass.PERSON


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
@pytest.mark.parametrize("shape", [(240, 320), (375, 1242), (500, 100)])
def test_boxes_come_back_to_where_they_were(fit: str, shape: tuple[int, int]) -> None:
    """A white block is found again at its place by going through the network's input and back."""
    image = np.zeros((*shape, 3), dtype=np.uint8)
    image[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    fitted = fit_image(image, ImageInput(width_px=352, height_px=352, fit=fit))  # type: ignore[arg-type]
    assert fitted.tensor.shape == (1, 3, 352, 352)
    rows, columns = np.nonzero(fitted.tensor[0, 0] > 200)
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)
    height, width = shape
    assert fitted.to_image(box)[0] == pytest.approx(
        [width // 4, height // 4, width // 2, height // 2], abs=max(shape) / 352 * 1.5
    )


def test_channels_layout_and_scale_are_the_models_own() -> None:
    image = np.full((8, 8, 3), (10, 20, 30), dtype=np.uint8)
    how = ImageInput(width_px=8, height_px=8, layout="nhwc", channels="rgb", mean=(30, 0, 0), std=(1, 2, 10))
    assert fit_image(image, how).tensor[0, 4, 4] == pytest.approx([0, 10, 1])


def test_distances_are_the_mean_of_their_distribution() -> None:
    """One cell of a 4 x 4 level (stride 16), certain of 1 stride left, 0 up, 2 right, 3 down."""
    scores, distances = np.zeros((1, 16, 3)), np.zeros((1, 16, 32))
    scores[0, 6, 2] = 0.8
    for side, strides in enumerate((1, 0, 2, 3)):
        distances[0, 6, side * 8 + strides] = 50.0
    found = decode_distribution([scores, distances], config(decoder="distribution"))
    assert found.classes.tolist() == [2]
    assert found.boxes_px[0] == pytest.approx([40 - 16, 24 - 0, 40 + 32, 24 + 48], abs=1e-6)


def test_distances_of_any_size_are_decoded() -> None:
    scores, distances = np.zeros((1, 16, 3)), np.zeros((1, 16, 32))
    scores[0, 6, 2] = 0.8
    distances[0, 6] = -2000.0
    distances[0, 6, [1, 8, 18, 27]] = 1000.0
    found = decode_distribution([scores, distances], config(decoder="distribution"))
    assert found.boxes_px[0] == pytest.approx([40 - 16, 24 - 0, 40 + 32, 24 + 48], abs=1e-6)


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


def test_outputs_of_another_shape_are_model_errors() -> None:
    with pytest.raises(ModelError, match="fastestdet: expected one output"):
        decode_fastestdet([np.zeros((1, 10))], config())
    with pytest.raises(ModelError, match="distribution: expected pairs"):
        decode_distribution([np.zeros((1, 16, 3))], config())
    with pytest.raises(ModelError, match="don't fit"):
        decode_distribution([np.zeros((1, 15, 3)), np.zeros((1, 15, 32))], config())


def test_of_overlapping_boxes_of_a_class_the_surest_stays() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60], [30, 30, 30, 40]], dtype=float
    )
    found = suppress(
        Candidates(boxes, np.array([0, 0, 2, 1, 0]), np.array([0.7, 0.9, 0.6, 0.9, 0.9])), config()
    )
    assert sorted(zip(found.classes.tolist(), found.scores.tolist(), strict=True)) == [(0, 0.9), (2, 0.6)]


def test_fastestdet_finds_the_cars_of_a_real_street(tmp_path: Path, shared_data: Path) -> None:
    weights = shared_data / "onnx" / "FastestDet.onnx"
    picture = shared_data / "kitti_drive_0052" / "image_02" / "data" / "0000000007.png"
    if not (weights.is_file() and picture.is_file()):
        pytest.skip("no FastestDet weights or drive 0052 in the real recordings")
    shutil.copy(share_dir() / "config" / "models" / "fastestdet" / "model.yaml", tmp_path)
    shutil.copy(weights, tmp_path)
    found = load_camera_head(tmp_path, "camera_left").step(
        Image(0, "", "camera_left", cv2.imread(str(picture)))
    )
    cars = found.boxes_px[found.class_ids == ObjectClass.CAR]
    assert np.abs(cars - (556, 185, 714, 335)).mean(axis=1).min() < 20, "the labelled car ahead"
