"""Every family of detectors finds the boxes that were put into its output by hand, through a real ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import Image
from perception_platform.inference.backend import ModelError
from perception_platform.perception.camera_head import Detector
from perception_platform.perception.decoders import decode
from perception_platform.perception.decoders.tables import default_boxes
from perception_platform.perception.detector_config import DetectorConfig, Priors
from perception_platform.perception.load import load_detector
from test.unit.perception.constant_models import SIDE_PX, constant_model

# A person of 16 x 32 px and a car of 32 x 16 px in an image of 64 x 64 px, and how sure the network is.
PERSON, CAR = np.array([8.0, 16.0, 24.0, 48.0]), np.array([28.0, 40.0, 60.0, 56.0])
BOXES, SCORES = np.array([PERSON, CAR]), np.array([0.9, 0.7])
CLASSES = {0: "person", 2: "car"}
OUTPUT_CLASSES = np.array([0, 2])
CELLS = [(8, 64), (16, 16), (32, 4)]  # strides of an input of 64 px, and how many cells each has


def logit(p: Any) -> Any:
    return np.log(p / (1 - np.asarray(p)))


def centers(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])


def class_scores(
    rows: int, at: list[int], fill: float = 0.0, value: Any = SCORES, classes: int = 3
) -> np.ndarray:
    scores = np.full((rows, classes), fill)
    scores[at, OUTPUT_CLASSES] = value
    return scores


def fastestdet() -> tuple[Any, dict[str, np.ndarray]]:
    """A grid of 4 x 4: centre = (cell + tanh) / 4, size = sigmoid, score = objectness^0.6 class^0.4."""
    grid = np.zeros((8, 4, 4))
    grid[3:5] = -20.0
    for (x, y, w, h), c, score in zip(centers(BOXES) / SIDE_PX, OUTPUT_CLASSES, SCORES, strict=True):
        row, column = int(y * 4), int(x * 4)
        grid[0, row, column] = grid[5 + c, row, column] = score
        grid[1:3, row, column] = np.arctanh((x * 4 - column, y * 4 - row))
        grid[3:5, row, column] = logit((w, h))
    return "fastestdet", {"grid": grid}


def _distances(bins: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Level of stride 8: the cell whose middle is nearest tells its distances, in strides, by two neighbouring bins."""
    scores = [np.zeros((n, 3)) for _, n in CELLS]
    distances = [np.zeros((n, 4 * bins)) for _, n in CELLS]
    for box, c, score in zip(BOXES, OUTPUT_CLASSES, SCORES, strict=True):
        middle = (box[:2] + box[2:]) / 2
        column, row = (middle // 8).astype(int)
        point = (np.array([column, row]) + 0.5) * 8
        scores[0][row * 8 + column, c] = score
        logits = np.full((4, bins), -50.0)
        for side, strides in enumerate(np.abs(box - np.tile(point, 2)) / 8):
            low = int(strides)
            logits[side, low], logits[side, low + 1] = (
                np.log(1 - strides + low),
                np.log(max(strides - low, 1e-9)),
            )
        distances[0][row * 8 + column] = logits.ravel()
    return scores, distances


def distribution() -> tuple[Any, dict[str, np.ndarray]]:
    scores, distances = _distances(8)
    names = [f"scores{s}" for s, _ in CELLS], [f"distances{s}" for s, _ in CELLS]
    return "distribution", dict(zip(names[0] + names[1], scores + distances, strict=True))


def distribution_joined() -> tuple[Any, dict[str, np.ndarray]]:
    scores, distances = _distances(6)
    joined = np.hstack([np.concatenate(scores), np.concatenate(distances)])
    joined[:, :3] = logit(np.clip(joined[:, :3], 1e-6, 1))
    return {"type": "distribution", "bins": 6, "activation": "sigmoid"}, {"joined": joined}


def yolox() -> tuple[Any, dict[str, np.ndarray]]:
    """Centre = (cell + offset) * stride, size = exp * stride; in the level of stride 16, after 64 cells of stride 8."""
    table = np.zeros((84, 8))
    for (x, y, w, h), c, score in zip(centers(BOXES), OUTPUT_CLASSES, SCORES, strict=True):
        column, row = int(x // 16), int(y // 16)
        at = 64 + row * 4 + column
        table[at, :4] = (x / 16 - column, y / 16 - row, np.log(w / 16), np.log(h / 16))
        table[at, 4], table[at, 5 + c] = 0.95, score / 0.95
    return "yolox", {"table": table}


def yolov8() -> tuple[Any, dict[str, np.ndarray]]:
    table = np.zeros((84, 7))
    table[[10, 70], :4] = centers(BOXES)
    table[:, 4:] = class_scores(84, [10, 70])
    return "yolov8", {"table": table.T}


def yolov5() -> tuple[Any, dict[str, np.ndarray]]:
    table = np.zeros((252, 8))
    table[[10, 70], :4] = centers(BOXES) / SIDE_PX
    table[:, 4] = logit(1e-4)
    table[[10, 70], 4] = logit(0.95)
    table[:, 5:] = class_scores(252, [10, 70], logit(1e-4), logit(SCORES / 0.95))
    return {"type": "yolov5", "activation": "sigmoid", "box_unit": "normalised"}, {"table": table}


def final_joined() -> tuple[Any, dict[str, np.ndarray]]:
    table = np.zeros((30, 6))
    table[:2] = np.column_stack([BOXES, SCORES, OUTPUT_CLASSES])
    return "final", {"boxes": table}


def final_apart() -> tuple[Any, dict[str, np.ndarray]]:
    """As TensorFlow's SSD ends: y before x, shares, another order of the outputs than ours."""
    family = {"type": "final", "box_format": "yxyx", "box_unit": "normalised"}
    boxes, scores, classes = np.zeros((10, 4)), np.zeros(10), np.zeros(10)
    boxes[:2], scores[:2], classes[:2] = BOXES[:, [1, 0, 3, 2]] / SIDE_PX, SCORES, OUTPUT_CLASSES
    return family, {"scores": scores, "boxes": boxes, "classes": classes}


def rt_detr() -> tuple[Any, dict[str, np.ndarray]]:
    boxes = np.full((20, 4), 0.5)
    boxes[[3, 5]] = centers(BOXES) / SIDE_PX
    return "detr", {"logits": class_scores(20, [3, 5], -9.0, logit(SCORES)), "boxes": boxes}


def rt_detr_joined() -> tuple[Any, dict[str, np.ndarray]]:
    boxes = np.full((20, 4), 0.5)
    boxes[[3, 5]] = centers(BOXES) / SIDE_PX
    return {"type": "detr", "activation": "none"}, {"joined": np.hstack([boxes, class_scores(20, [3, 5])])}


def detr() -> tuple[Any, dict[str, np.ndarray]]:
    """Softmax over three classes and nothing: exp(l) / (exp(l) + 2 + 1) = score."""
    family, outputs = rt_detr()
    logits = np.zeros((20, 4))
    logits[:, 3] = 9.0
    logits[[3, 5], 3] = 0.0
    logits[[3, 5], OUTPUT_CLASSES] = np.log(3 * SCORES / (1 - SCORES))
    return {"type": family, "activation": "softmax"}, {"logits": logits, "boxes": outputs["boxes"]}


PRIORS = {
    "columns": [4, 1],
    "rows": [4, 1],
    "least": [0.2, 0.5],
    "greatest": [0.5, 0.9],
    "ratios": [[2.0], [2.0, 3.0]],
}


def ssd() -> tuple[Any, dict[str, np.ndarray]]:
    """Offsets from the prior nearest in place, divided by the variances; softmax with background first."""
    priors = default_boxes(Priors.model_validate(PRIORS))
    boxes, scores = np.zeros((len(priors), 4)), np.zeros((len(priors), 4))
    scores[:, 0] = 9.0
    for box, c, score in zip(centers(BOXES) / SIDE_PX, OUTPUT_CLASSES, SCORES, strict=True):
        at = int(np.abs(priors - box).sum(axis=1).argmin())
        boxes[at, :2] = (box[:2] - priors[at, :2]) / priors[at, 2:] / 0.1
        boxes[at, 2:] = np.log(box[2:] / priors[at, 2:]) / 0.2
        scores[at] = 0.0
        scores[at, 1 + c] = np.log(3 * score / (1 - score))
    return {"type": "ssd", "priors": PRIORS}, {"boxes": boxes, "scores": scores}


def ssd_decoded() -> tuple[Any, dict[str, np.ndarray]]:
    boxes, scores = np.zeros((50, 4)), np.zeros((50, 4))
    boxes[[7, 9]] = BOXES / SIDE_PX
    scores[:, 0], scores[[7, 9], 0] = 1.0, 0.1
    scores[[7, 9], 1 + OUTPUT_CLASSES] = SCORES
    return {"type": "ssd", "activation": "none"}, {"boxes": boxes, "scores": scores}


FAMILIES = [
    fastestdet, distribution, distribution_joined, yolox, yolov8, yolov5, final_joined, final_apart,
    rt_detr, rt_detr_joined, detr, ssd, ssd_decoded,
]  # fmt: skip
# In another order than the decoder takes them, or with background.
OUTPUTS = {final_apart: ["boxes", "scores", "classes"]}
BACKGROUND = {ssd, ssd_decoded}


def describe(family: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "id": "tiny@1",
        "weights": "tiny.onnx",
        "input": {"width_px": SIDE_PX, "height_px": SIDE_PX, "fit": "squash"},
        "decoder": family,
        "classes": CLASSES,
        "score_threshold": 0.4,
        "iou_threshold": 0.5,
    } | changes


def detector(
    folder: Path, family: Any, says: dict[str, np.ndarray], batch: int | str = 1, **changes: Any
) -> Detector:
    constant_model(folder / "tiny.onnx", says, batch)
    (folder / "model.yaml").write_text(yaml.safe_dump(describe(family, **changes)))
    return load_detector(folder)


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_a_family_finds_what_was_put_into_its_output(tmp_path: Path, make: Any) -> None:
    family, outputs = make()
    changes: dict[str, Any] = {"outputs": OUTPUTS[make]} if make in OUTPUTS else {}
    if make in BACKGROUND:
        changes["classes"] = {1 + index: name for index, name in CLASSES.items()}
    (found,) = detector(tmp_path, family, outputs, **changes).detect(
        [Image(5, "", "camera", np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))]
    )
    assert found.class_ids.tolist() == [ObjectClass.PERSON, ObjectClass.CAR]
    assert found.scores == pytest.approx(SCORES, abs=2e-3)
    assert found.boxes_px == pytest.approx(BOXES, abs=0.02)


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_a_family_finds_nothing_where_nothing_is_sure(tmp_path: Path, make: Any) -> None:
    family, outputs = make()
    changes: dict[str, Any] = {"outputs": OUTPUTS[make]} if make in OUTPUTS else {}
    (found,) = detector(tmp_path, family, outputs, score_threshold=0.95, **changes).detect(
        [Image(5, "", "camera", np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))]
    )
    assert (found.boxes_px.shape, found.side_sigmas_px.shape, len(found.scores)) == ((0, 4), (0, 4), 0)


def test_outputs_lie_where_the_runtime_left_them(tmp_path: Path) -> None:
    family, outputs = yolov8()
    network = detector(tmp_path, family, outputs).network
    (table,) = network.run({"image": np.zeros((1, 3, SIDE_PX, SIDE_PX), np.float32)}).values()
    assert not table.flags.owndata, "a view of onnxruntime's memory, not a copy"


@pytest.mark.parametrize(
    ("family", "shapes", "problem"),
    [
        ("fastestdet", [(10,)], "fastestdet: expected one output"),
        ("distribution", [(64, 3), (64, 32)], "expected 3 outputs"),
        ("distribution", [(64, 3), (16, 3), (4, 3), (64, 32), (16, 32), (4, 30)], "expected 3 outputs"),
        ("distribution", [(64, 3), (16, 3), (5, 3), (64, 32), (16, 32), (5, 32)], "85 cells, but strides"),
        ("yolox", [(85, 8)], r"85 cells, but strides \[8, 16, 32\] make 84 of an input of 64 x 64"),
        ("yolov8", [(4, 84)], "yolov8: expected one output"),
        ("final", [(10, 7)], "final: expected one output"),
        ("final", [(10, 4), (9,), (10,)], "final: expected"),
        ("detr", [(20, 3), (19, 4)], "detr: expected"),
        ("ssd", [(20, 4), (19, 4)], "ssd: expected"),
        ({"type": "ssd", "priors": PRIORS}, [(20, 4), (20, 4)], "expected 70 boxes, as there are priors"),
    ],
)
def test_outputs_of_another_shape_are_model_errors(family: Any, shapes: list[Any], problem: str) -> None:
    config = DetectorConfig.model_validate(describe(family))
    with pytest.raises(ModelError, match=problem):
        decode([np.zeros(shape, np.float32) for shape in shapes], config)


def test_default_boxes_are_those_of_the_paper() -> None:
    """One cell of scale 0.2 to 0.5: the square, the square of side sqrt(0.1), and ratio 2 both ways."""
    priors = Priors(columns=(1,), rows=(1,), least=(0.2,), greatest=(0.5,), ratios=((2.0,),))
    root = np.sqrt(2)
    expected = [[0.2, 0.2], [np.sqrt(0.1)] * 2, [0.2 * root, 0.2 / root], [0.2 / root, 0.2 * root]]
    assert default_boxes(priors) == pytest.approx(np.hstack([np.full((4, 2), 0.5), expected]))


def test_numbers_of_any_size_are_decoded() -> None:
    """Neither an exponential nor a softmax overflows: boxes stay finite, or the head refuses them."""
    scores, distances = _distances(8)
    big = [np.where(d > -40, d + 2000, -2000.0) for d in distances]
    config = DetectorConfig.model_validate(describe("distribution"))
    found = decode([a.astype(np.float32) for a in scores + big], config)
    assert found.boxes_px[found.scores.argsort()[::-1]] == pytest.approx(BOXES, abs=0.02)
    table = np.zeros((84, 8), np.float32)
    table[:, 2:6] = 1e4
    assert np.isfinite(decode([table], DetectorConfig.model_validate(describe("yolox"))).boxes_px).all()


def test_a_named_output_that_is_missing_is_a_model_error(tmp_path: Path) -> None:
    family, outputs = yolov8()
    made = detector(tmp_path, family, outputs, outputs=["boxes"])
    with pytest.raises(ModelError, match="tiny@1: no output 'boxes', only table"):
        made.detect([Image(0, "", "", np.zeros((64, 64, 3), np.uint8))])


def test_images_of_several_cameras_share_the_batches(tmp_path: Path) -> None:
    """Three cameras of two tiles and a whole are nine views: in runs of four and one of one."""
    family, outputs = yolov8()
    views = {"tiles": {"columns": 2, "rows": 1, "overlap": 0.2}}
    made = detector(
        tmp_path,
        family,
        outputs,
        "n",
        views=views,
        input={"width_px": 64, "height_px": 64, "batch": 4, "fit": "squash"},
    )
    sizes = []
    run = made.network.run

    class Counting:
        model, name = made.network.model, made.network.name
        input_names, output_names = made.network.input_names, made.network.output_names

        def run(self, inputs: Any) -> Any:
            sizes.append(len(inputs["image"]))
            return run(inputs)

    images = [Image(i, "", f"camera_{i}", np.zeros((64, 128, 3), np.uint8)) for i in range(3)]
    together = Detector(made.config, Counting()).detect(images)
    assert sizes == [4, 4, 1]
    assert [o.sensor for o in together] == ["camera_0", "camera_1", "camera_2"]
    (alone,) = made.detect(images[1:2])
    assert np.array_equal(together[1].boxes_px, alone.boxes_px)
    assert len(alone) > 2, "each view says the same boxes, at places of its own"
