"""Models of a robot file, from folders to a chain: backends, golden outputs, fallbacks, and who serves in the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.sensor_data import Image
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.load import load_graph, write_golden
from perception_platform.robot.description import Model
from perception_platform.robot.load import load_robot, robot_path, share_dir
from test.unit.inference.tiny_models import SIDE_PX, constant_detector
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, sweep

AMR = load_robot("amr")
CLOUD = sweep([Solid(4.0, 0.5, PERSON_SIZE_M)], AMR.lidars[0].mounting.transform(), "lidar_top")
RNG = np.random.default_rng(0)
IMAGE = Image(0, "camera_front", "camera_front", RNG.integers(0, 256, (240, 320, 3), dtype=np.uint8))
NOTHING = np.zeros((1, 5 + 80, 4, 4))


def model_folder(folder: Path, name: str, output: np.ndarray = NOTHING, **more: Any) -> Path:
    """A detector that always answers ``output``, and more fields for its description."""
    description = yaml.safe_load(
        (share_dir() / "config/models/fastestdet/model.yaml").read_text(encoding="utf-8")
    )
    description["input"] |= {"width_px": SIDE_PX, "height_px": SIDE_PX}
    description |= {"id": f"{name}@1", **more}
    (folder / name).mkdir()
    (folder / name / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    constant_detector(folder / name / description["weights"], output)
    return folder / name


def graph_of(first: Path, *fallbacks: Path, **how: Any) -> PerceptionGraph:
    model = Model(
        head="camera_objects", sensor="camera_front", path=str(first), fallbacks=[str(f) for f in fallbacks],
        limit_ms=30_000,
    )  # fmt: skip
    return load_graph(AMR.model_copy(update={"models": [model]}), **how)


def camera_status(graph: PerceptionGraph) -> ModelStatus:
    graph.step(CLOUD, [IMAGE])
    (status,) = [s for s in graph.model_status(0) if s.head == "camera_objects/camera_front"]
    return status


def test_the_first_provider_that_is_here_runs_it(tmp_path: Path) -> None:
    backends = [{"kind": "onnxruntime", "providers": ["tensorrt", "cuda", "cpu"]}]
    status = camera_status(graph_of(model_folder(tmp_path, "people", backends=backends)))
    assert status.state is ModelState.ACTIVE
    assert status.backend.startswith("onnxruntime/")
    here = onnxruntime.get_available_providers()
    if not {"TensorrtExecutionProvider", "CUDAExecutionProvider"} & set(here):
        assert status.backend == "onnxruntime/CPUExecutionProvider without tensorrt, cuda"


def test_a_provider_that_is_not_here_is_a_broken_link(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "people", backends=[{"kind": "onnxruntime", "providers": ["tensorrt"]}])
    with pytest.raises(InputError, match=r"FastestDet\.onnx: onnxruntime here has none of tensorrt, only"):
        graph_of(folder)
    status = camera_status(graph_of(folder, model_folder(tmp_path, "small"), keep_going=True))
    assert status.state is ModelState.FALLBACK
    assert status.model is not None
    assert status.model.id == "small@1"
    assert "has none of tensorrt" in status.text


def test_the_same_model_on_a_server_that_is_away_and_here(tmp_path: Path) -> None:
    backends = [
        {"kind": "remote", "url": "http://127.0.0.1:9", "model": "people", "timeout_ms": 200},
        {"kind": "onnxruntime"},
    ]
    graph = graph_of(model_folder(tmp_path, "people", backends=backends))
    status = camera_status(graph)
    assert (status.state, status.backend) == (ModelState.FALLBACK, "onnxruntime/CPUExecutionProvider")
    assert "people@1 on remote/127.0.0.1:9: ModelError" in status.text


def test_golden_outputs_keep_a_model_out_whose_weights_were_exchanged(tmp_path: Path) -> None:
    good = model_folder(tmp_path, "good", golden={"file": "golden.npz"})
    assert write_golden(good, seed=0) == good / "golden.npz"
    graph = graph_of(good)
    graph.warm_up()
    assert camera_status(graph).state is ModelState.ACTIVE

    constant_detector(good / "FastestDet.onnx", NOTHING + 0.25)
    with pytest.raises(
        InputError, match=r"good@1 on onnxruntime/.*: golden output boxes is off by up to 0\.25"
    ):
        graph_of(good)
    small = model_folder(tmp_path, "small")
    graph = graph_of(good, small, keep_going=True, clock_ns=time.perf_counter_ns)
    graph.warm_up()
    status = camera_status(graph)
    assert status.state is ModelState.FALLBACK
    assert (
        "good@1 on onnxruntime/CPUExecutionProvider: out, ModelError: golden output boxes is off by up to 0.25"
        in (status.text)
    )


def test_a_model_that_yields_nan_at_the_end_of_the_chain_leaves_the_geometric_path(tmp_path: Path) -> None:
    graph = graph_of(model_folder(tmp_path, "bad", NOTHING * np.nan), clock_ns=time.perf_counter_ns)
    percept = graph.step(CLOUD, [IMAGE])
    assert np.array_equal(percept.detections.centers_m, load_graph(AMR).step(CLOUD).detections.centers_m)
    status = camera_status(graph)
    assert (status.state, status.model) == (ModelState.FAILED, None)
    assert status.text.startswith("the geometric path alone; bad@1 on onnxruntime")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"backends": [{"kind": "remote", "url": "people.local", "model": "x"}]},
            r"backends\.0\.remote\.url",
        ),
        ({"backends": [{"kind": "abacus"}]}, r"backends\.0: .*abacus"),
        ({"backends": []}, r"backends: .*at least 1 item"),
        ({"golden": {"file": "../golden.npz"}}, r"golden\.file"),
        ({"golden": {"file": "golden.npz"}}, r"golden\.npz: golden outputs can't be read"),
    ],
)
def test_a_wrong_description_names_file_and_field(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        graph_of(model_folder(tmp_path, "people", **more))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((240, 320, 3), 3, np.uint8), "the image is dark: mean luminance 3 of 255"),
        (np.full((240, 320, 3), 252, np.uint8), "the image is white"),
        (np.full((240, 320, 3), 90, np.uint8), "the image shows nothing"),
        (IMAGE.bgr, ""),
    ],
)
def test_a_head_says_when_an_image_is_out_of_its_domain(tmp_path: Path, image: np.ndarray, said: str) -> None:
    graph = graph_of(model_folder(tmp_path, "people"))
    graph.step(CLOUD, [Image(0, "camera_front", "camera_front", image)])
    assurance = graph.model_status(0)[1].assurance
    assert assurance.out_of_domain == bool(said)
    assert assurance.reason.startswith(said)


def test_the_commands_that_look_at_it(tmp_path: Path) -> None:
    good = model_folder(tmp_path, "good", golden={"file": "golden.npz"})
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["models"] = [{"head": "camera_objects", "sensor": "camera_front", "path": str(good)}]
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(robot), encoding="utf-8")

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["perception", *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return " ".join(result.stdout.split())

    assert said("golden", str(good)).endswith("golden.npz")
    assert "camera_objects/camera_front" in said("models", "--robot", str(file))
    picture = tmp_path / "graph.png"
    listed = said("graph", "--robot", str(file), "--plot", str(picture))
    assert "people_protection" in listed
    assert picture.read_bytes().startswith(b"\x89PNG")
