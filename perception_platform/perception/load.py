"""Reads what a robot's graph needs from files: the one place in this layer that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perception_platform.core.errors import InputError
from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.perception.camera_head import CameraHead, Detector
from perception_platform.perception.detector_config import load_detector_config
from perception_platform.perception.graph import BrokenHead, PerceptionGraph
from perception_platform.robot.description import Model, Robot
from perception_platform.robot.load import share_dir


def load_detector(folder: Path, threads: int = 1) -> Detector:
    """A detector from its folder, for images of any camera.

    Raises:
        InputError: names the file that is missing or wrong.
    """
    config = load_detector_config(folder)
    return Detector(config, load_onnx(folder / config.weights, config.id, threads))


def load_camera_head(folder: Path, sensor: str, threads: int = 1) -> CameraHead:
    """A detector from its folder.

    Raises:
        InputError: names the file that is missing or wrong.
    """
    config = load_detector_config(folder)
    return CameraHead(sensor, config, load_onnx(folder / config.weights, config.id, threads))


def load_graph(
    robot: Robot, keep_going: bool = False, threads: int = 1, clock_ns: Callable[[], int] | None = None
) -> PerceptionGraph:
    """The graph of a robot with all models its file names.

    Args:
        robot: the robot; relative model paths are looked up in the installed ``config/models``.
        keep_going: report a model that can't be loaded in the graph's status and run without, as a node has to.
        threads: for each model.
        clock_ns: a steady clock to time models with, for their status.

    Raises:
        InputError: names the file, if a model can't be loaded and ``keep_going`` is off.
    """
    heads: list[CameraHead | BrokenHead] = []
    for model in robot.models:
        try:
            heads.append(load_camera_head(_folder(model), model.sensor, threads))
        except InputError as error:
            if not keep_going:
                raise
            heads.append(BrokenHead(model.sensor, str(error)))
    return PerceptionGraph(robot, heads, clock_ns=clock_ns)


def _folder(model: Model) -> Path:
    path = Path(model.path).expanduser()
    return path if path.is_absolute() else share_dir() / "config" / "models" / path
