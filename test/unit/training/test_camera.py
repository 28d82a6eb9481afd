"""Fine-tuning a detector: the graph as a network, what is learned, and the folder that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: make setup WITH=training")
onnx = pytest.importorskip("onnx", reason="onnx is of the same extra")

from perception_platform.core.errors import InputError  # noqa: E402
from perception_platform.inference.onnx_backend import load_onnx  # noqa: E402
from perception_platform.training import camera_images  # noqa: E402
from perception_platform.training.camera_images import MOST_BOXES, Examples, augmented, read_examples  # noqa: E402
from perception_platform.training.camera_loss import Cells, boxes_of, detection_loss  # noqa: E402
from perception_platform.training.onnx_network import OnnxNetwork, save_network  # noqa: E402

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
PICODET = SHARED / "onnx" / "picodet_s_416_coco.onnx"


def tiny(path: Path) -> Path:
    """Every operator that a network may have, in one graph."""
    node, rng = onnx.helper.make_node, np.random.default_rng(0)

    def weight(name: str, *shape: int) -> Any:
        return onnx.numpy_helper.from_array((0.3 * rng.normal(size=shape)).astype(np.float32), name)

    constant = {
        "shuffle": np.array([1, 2, 2, 8, 8]), "back": np.array([1, 4, 8, 8]), "column": np.array([1, 4, 1, 1]),
    }  # fmt: skip
    scalars = {"zero": 0.0, "six": 6.0, "three": 3.0}
    nodes = [
        node("Conv", ["image", "w0", "b0"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Add", ["a", "three"], ["a1"]),
        node("Clip", ["a1", "zero", "six"], ["a2"]),
        node("Mul", ["a", "a2"], ["a3"]),
        node("Div", ["a3", "six"], ["b"]),
        node("Conv", ["b", "w1"], ["c0"], group=4, pads=[0, 0, 1, 1]),
        node("Reshape", ["s0", "column"], ["s1"]),
        node("Add", ["c0", "s1"], ["c"]),
        node("Reshape", ["c", "shuffle"], ["c1"]),
        node("Transpose", ["c1"], ["c2"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["c2", "back"], ["c3"]),
        node("Split", ["c3"], ["left", "right"], axis=1, split=[2, 2]),
        node("GlobalAveragePool", ["left"], ["mean"]),
        node("HardSigmoid", ["mean"], ["gate"], alpha=0.1666, beta=0.5),
        node("Mul", ["left", "gate"], ["gated"]),
        node("Concat", ["gated", "right"], ["d"], axis=1),
        node("MaxPool", ["d"], ["e"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["e"], ["f"]),
        node(
            "Resize",
            ["f", "ones", "twice"],
            ["g"],
            mode="nearest",
            coordinate_transformation_mode="half_pixel",
        ),
        node("LeakyRelu", ["g"], ["h"], alpha=0.1),
        node("Sigmoid", ["h"], ["i"]),
        node("Conv", ["i", "w2", "b2"], ["end"]),
    ]
    initialisers = [
        weight("w0", 4, 3, 3, 3),
        weight("b0", 4),
        weight("w1", 4, 1, 2, 2),
        weight("w2", 3, 4, 1, 1),
    ]
    initialisers += [weight("b2", 3), weight("s0", 4)]
    initialisers += [onnx.numpy_helper.from_array(v.astype(np.int64), n) for n, v in constant.items()]
    initialisers += [onnx.numpy_helper.from_array(np.array(v, np.float32), n) for n, v in scalars.items()]
    initialisers += [
        onnx.numpy_helper.from_array(np.array(v, np.float32), n)
        for n, v in (("ones", [1, 1, 1, 1]), ("twice", [1, 1, 2, 2]))
    ]
    info, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "tiny", [info("image", kind, [1, 3, 16, 16])], [info("end", kind, None)], initialisers
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=7), path
    )
    return path


def test_the_network_answers_as_its_file_does(tmp_path: Path) -> None:
    path = tiny(tmp_path / "tiny.onnx")
    images = np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32)
    (answer,) = OnnxNetwork(path, ["end"])(torch.from_numpy(images))
    backend = load_onnx(path, "tiny@1")
    for i, image in enumerate(images):
        wanted = backend.run({"image": image[None]})["end"]
        np.testing.assert_allclose(answer[i : i + 1].detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_all_weights_are_trained_and_written(tmp_path: Path) -> None:
    network = OnnxNetwork(tiny(tmp_path / "tiny.onnx"), ["end"])
    image = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network(image)[0].square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1
    info = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    save_network(network, tmp_path / "new.onnx", [onnx.helper.make_node("Relu", ["end"], ["out"])], [info])
    got = load_onnx(tmp_path / "new.onnx", "new@1").run({"image": image[:1].numpy()})["out"]
    wanted = network(image[:1])[0].relu().detach().numpy()
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)  # weights are kept in 16 bits


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ONNX file"):
        OnnxNetwork(tmp_path / "none.onnx", ["end"])
    with pytest.raises(InputError, match="its graph has no other"):
        OnnxNetwork(tiny(tmp_path / "tiny.onnx"), ["other"])


@pytest.mark.slow
def test_a_perfect_answer_costs_least_and_the_loss_leads_to_it() -> None:
    cells = Cells.of(64, (8, 16), 0.5, torch.device("cpu"))
    boxes = torch.tensor([[[8.0, 8.0, 40.0, 40.0], [0, 0, 0, 0]]])
    classes = torch.tensor([[1, -1]])
    torch.manual_seed(0)
    logits = torch.full((1, len(cells.strides_px), 2), -3.0).requires_grad_()
    distances = torch.zeros(1, len(cells.strides_px), 32).requires_grad_()
    optimizer = torch.optim.Adam([logits, distances], 0.1)
    first = sum(detection_loss(logits, distances, cells, boxes, classes).values())
    for _ in range(120):
        optimizer.zero_grad()
        loss = sum(detection_loss(logits, distances, cells, boxes, classes).values())
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3 * float(first.detach())
    best = int(logits[0, :, 1].argmax())
    assert (
        float(logits[0, best, 1].detach().sigmoid())
        > 0.7
        > 0.3
        > float(logits[0, :, 0].detach().sigmoid().max())
    )
    np.testing.assert_allclose(boxes_of(distances, cells)[0, best].detach(), boxes[0, 0], atol=2.0)


def test_images_without_labels_cost_only_their_false_answers() -> None:
    cells = Cells.of(64, (8,), 0.5, torch.device("cpu"))
    logits = torch.zeros(1, 64, 2).requires_grad_()
    nothing = torch.zeros(1, 3, 4), torch.full((1, 3), -1)
    parts = detection_loss(logits, torch.zeros(1, 64, 32), cells, *nothing)
    assert float(parts["box"]) == float(parts["distribution"]) == 0.0
    assert float(parts["class"].detach()) > 0.0


def squares(count: int = 4) -> Examples:
    """A red square on grey in each image, each elsewhere."""
    images = torch.full((count, 3, 96, 96), 90, dtype=torch.uint8)
    boxes = torch.zeros(count, MOST_BOXES, 4)
    classes = torch.full((count, MOST_BOXES), -1)
    for i in range(count):
        x, y = 20 + 5 * i, 30
        images[i, 0, y : y + 24, x : x + 24] = 250
        images[i, 1:, y : y + 24, x : x + 24] = 10
        boxes[i, 0], classes[i, 0] = torch.tensor([x, y, x + 24.0, y + 24.0]), i % 2
    return Examples(images, boxes, classes)


@pytest.mark.slow
@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_go_where_their_pixels_go(mosaic: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_images, "_coloured", lambda images, rng: images)
    examples, seen = squares(), 0
    for seed in range(12):
        rng = torch.Generator().manual_seed(seed)
        images, boxes, classes = augmented(examples, torch.arange(4), rng, mosaic)
        assert images.shape == (4, 3, 96, 96)
        for image, of, kinds in zip(images, boxes, classes, strict=True):
            red = image[0] - image[1] > 0.4
            for box in of[kinds >= 0]:
                x1, y1, x2, y2 = (round(float(v)) for v in box)
                seen += 1
                assert red[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].all()
                red[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = False
            assert int(red.sum()) < 0.3 * 24 * 24 * 2.3  # what is left was cut by the edge
    assert seen > 40


def test_the_same_seed_gives_the_same_images() -> None:
    one, two = (
        augmented(squares(), torch.arange(4), torch.Generator().manual_seed(5), 0.5) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_data_set_is_read_and_a_missing_one_said(tmp_path: Path) -> None:
    for part in ("images/train", "labels/train"):
        (tmp_path / part).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images/train/a.png"), np.full((50, 100, 3), (0, 0, 255), np.uint8))
    (tmp_path / "labels/train/a.txt").write_text("1 0.5 0.5 0.5 0.2\n")
    examples = read_examples(tmp_path, "train", ["forklift", "person"], 64)
    assert examples.images[0, :, 5, 5].tolist() == [255, 0, 0]  # red first
    np.testing.assert_allclose(examples.boxes_px[0, 0], [16, 25.6, 48, 38.4], atol=1e-4)
    assert examples.classes[0, :2].tolist() == [1, -1]
    with pytest.raises(InputError):
        read_examples(tmp_path, "val", ["forklift", "person"], 64)


@pytest.mark.slow
@pytest.mark.skipif(not PICODET.exists(), reason="the COCO detectors are not here")
def test_picodet_becomes_a_detector_of_other_classes(tmp_path: Path) -> None:
    from perception_platform.training.camera import start_network, write_bundle

    network = start_network(PICODET, ("forklift", "person"))
    image = torch.rand(1, 3, 416, 416, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        levels = network(image)
    whole = load_onnx(PICODET, "picodet@1").run({"image": image.numpy()})
    scores = [v[..., [7, 0]] for n, v in whole.items() if v.shape[-1] == 80]
    for level, wanted in zip(levels, scores, strict=True):
        got = level[:, :2].sigmoid().flatten(2).transpose(1, 2).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    digest = write_bundle(network, ("forklift", "person"), "forklift_person@1", tmp_path)
    from perception_platform.perception.load import load_camera_head

    head = load_camera_head(tmp_path, "camera")
    head.check()
    assert head.model.digest == digest
