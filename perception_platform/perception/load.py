"""Reads what a robot's graph needs from files: the one place in this layer that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from perception_platform.core.errors import InputError
from perception_platform.inference.backend import ModelError
from perception_platform.inference.chain import BrokenLink, Chain, ChainRules
from perception_platform.inference.golden import load_golden, save_golden
from perception_platform.inference.opening import open_backend
from perception_platform.perception.bird_view import BirdView, LearnedBoxes
from perception_platform.perception.camera_chain import CameraChain
from perception_platform.perception.camera_head import CameraHead, Detector
from perception_platform.perception.camera_views import Fitter
from perception_platform.perception.component import Component, Setup
from perception_platform.perception.detector_config import load_detector_config
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.graph_file import GraphFile
from perception_platform.perception.lidar_model import LidarHead, lidar_heads
from perception_platform.perception.wiring import Entry, Wired, wire
from perception_platform.robot.description import Model, Robot
from perception_platform.robot.load import share_dir

COMPONENTS = "perception_platform.perception.components"


def load_detector(folder: Path, threads: int = 1) -> Detector:
    """A detector from its folder, for images of any camera.

    Raises:
        InputError: names the file that is missing or wrong.
    """
    return load_camera_head(folder, "", threads).detector


def load_camera_head(folder: Path, sensor: str, threads: int = 1) -> CameraHead:
    """A detector from its folder, on the first of its backends.

    Raises:
        InputError: names the file that is missing or wrong.
    """
    head = camera_heads(folder, sensor, threads)[0]
    if isinstance(head, BrokenLink):
        raise InputError(head.name, head.problem)
    return head


def camera_heads(folder: Path, sensor: str, threads: int = 1) -> list[CameraHead | BrokenLink]:
    """A detector from its folder on each of its backends; what can't be had is in its place, with the reason.

    Raises:
        InputError: names the file, if the model's description is missing or wrong.
    """
    config = load_detector_config(folder)
    heads: list[CameraHead | BrokenLink] = []
    for spec in config.backends:
        try:
            backend = open_backend(spec, folder, config.weights, config.id, threads)
            golden = load_golden(folder, config.golden) if config.golden else None
            heads.append(CameraHead(sensor, config, backend, golden))
        except InputError as error:
            heads.append(BrokenLink(error.source, str(error).removeprefix(f"{error.source}: ")))
    return heads


def write_golden(folder: Path, seed: int) -> Path:
    """Run a model on made-up pixels, and write input and outputs to the file that its description names.

    Raises:
        InputError: if the description names none, or the model can't be had or run.
    """
    config = load_detector_config(folder)
    if config.golden is None:
        raise InputError(folder / "model.yaml", "names no file for golden outputs", "golden")
    backend = open_backend(config.backends[0], folder, config.weights, config.id)
    size = (config.input.height_px, config.input.width_px, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    fitter = Fitter(config.input)
    tensor = fitter.tensor(1)
    fitter.fit(pixels, np.array([0, 0, *size[1::-1]]), tensor[0])
    path = folder / config.golden.file
    try:
        save_golden(path, backend, {backend.input_names[0]: tensor})
    except ModelError as error:
        raise InputError(path, str(error)) from error
    return path


def load_graph(
    robot: Robot,
    keep_going: bool = False,
    threads: int = 1,
    clock_ns: Callable[[], int] | None = None,
    beside: bool = True,
) -> PerceptionGraph:
    """The graph that a robot's file names, with all models that it names.

    Args:
        robot: the robot; relative model paths are looked up in the installed ``config/models``.
        keep_going: report a model that can't be loaded in the graph's status and run without, as a node has to.
        threads: for each model.
        clock_ns: a steady clock to time components and models with, and to limit models by.
        beside: whether components that may run beside the others do; if not, one runs after the other.

    Raises:
        InputError: names the file, if the graph does not fit together, or if a model can't be loaded and
            ``keep_going`` is off.
    """
    at_images = [model for model in robot.models if model.head == "camera_objects"]
    at_sweeps = [model for model in robot.models if model.head == "learned_boxes"]
    cameras = [_camera_chain(model, keep_going, threads, clock_ns) for model in at_images]
    lidars = {model.sensor: _lidar_chain(model, keep_going, threads, clock_ns) for model in at_sweeps}
    return build_graph(graph_path(robot.perception), robot, cameras, clock_ns, beside, lidars)


def graph_path(name_or_path: str) -> Path:
    """Where the graph's file of that name or path lies."""
    path = Path(name_or_path).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return path
    return share_dir() / "config" / "perception" / f"{name_or_path}.yaml"


def build_graph(
    path: Path,
    robot: Robot,
    cameras: Sequence[CameraChain] = (),
    clock_ns: Callable[[], int] | None = None,
    beside: bool = True,
    lidars: Mapping[str, Chain[BirdView, LearnedBoxes]] | None = None,
) -> PerceptionGraph:
    """The graph of a file, as ``load_graph`` has it.

    Raises:
        InputError: names file, field and edge of what does not fit.
    """
    file = load_graph_file(path)
    entries: list[Entry] = [*file.components, *file.applications]
    classes = {entry.component: _component(path, entry) for entry in entries}
    wired = wire(path, file, classes, robot)
    params = {component.name: _params(path, component) for component in wired}
    return PerceptionGraph(Setup(robot, cameras, lidars or {}), wired, file.percept, params, clock_ns, beside)


def load_graph_file(path: Path) -> GraphFile:
    """Read a graph's file.

    Raises:
        InputError: names the file, the field and its value.
    """
    try:
        return GraphFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(path, f"no such graph: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    except ValidationError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: ValidationError, *where: str) -> InputError:
    first = error.errors()[0]
    field = ".".join([*where, *(str(part) for part in first["loc"])]) or "file"
    return InputError(path, f"{first['msg']}, got {first['input']!r}"[:300], field)


def _component(path: Path, entry: Entry) -> type[Component]:
    """The class in the module of that name: one that comes along, or one's own.

    Raises:
        InputError: if there is no such module, it can't be imported, or holds no such class.
    """
    own = "." in entry.component
    module_name = entry.component if own else f"{COMPONENTS}.{entry.component}"
    class_name = "".join(part.capitalize() for part in module_name.rpartition(".")[2].split("_"))
    field = f"{entry.name}.component"
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise InputError(path, f"{entry.component!r} can't be imported: {error}", field) from error
    made: type[Component] | None = getattr(module, class_name, None)
    if made is None:
        raise InputError(path, f"{module_name} has no class {class_name}", field)
    return made


def _params(path: Path, wired: Wired) -> Any:
    try:
        return wired.component.params_model.model_validate(wired.entry.params)
    except ValidationError as error:
        raise _refused(path, error, wired.field, "params") from error


def _camera_chain(
    model: Model, keep_going: bool, threads: int, clock_ns: Callable[[], int] | None
) -> CameraChain:
    """A camera's models in their order, each on its backends in their order.

    Raises:
        InputError: names the file of one that can't be loaded, if ``keep_going`` is off.
    """
    links: list[CameraHead | BrokenLink] = []
    for name in (model.path, *model.fallbacks):
        try:
            links.extend(camera_heads(_folder(name), model.sensor, threads))
        except InputError as error:
            links.append(BrokenLink(error.source, str(error).removeprefix(f"{error.source}: ")))
    if not keep_going:
        for link in links:
            _insist(link)
    rules = ChainRules(model.limit_ms / 1e3, model.give_up_after, model.return_after_s)
    at_regions = any(isinstance(x, CameraHead) and x.detector.config.views.regions is not None for x in links)
    return CameraChain(
        model.sensor, Chain(f"{model.head}/{model.sensor}", links, rules, clock_ns), at_regions
    )


def _lidar_chain(
    model: Model, keep_going: bool, threads: int, clock_ns: Callable[[], int] | None
) -> Chain[BirdView, LearnedBoxes]:
    """A lidar's learned models in their order, each on its backends in their order.

    Raises:
        InputError: names the file of one that can't be loaded, if ``keep_going`` is off.
    """
    links: list[LidarHead | BrokenLink] = []
    for name in (model.path, *model.fallbacks):
        try:
            links.extend(lidar_heads(_folder(name), threads))
        except InputError as error:
            links.append(BrokenLink(error.source, str(error).removeprefix(f"{error.source}: ")))
    if not keep_going:
        for link in links:
            _insist(link)
    rules = ChainRules(model.limit_ms / 1e3, model.give_up_after, model.return_after_s)
    return Chain(f"{model.head}/{model.sensor}", links, rules, clock_ns)


def _insist(link: CameraHead | LidarHead | BrokenLink) -> None:
    """End a tool where a node would go on without.

    Raises:
        InputError: if a model could not be loaded or does not give its golden outputs.
    """
    if isinstance(link, BrokenLink):
        raise InputError(link.name, link.problem)
    try:
        link.check()
    except ModelError as error:
        raise InputError(f"{link.model.id} on {link.backend}", str(error)) from error


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    return path if path.is_absolute() else share_dir() / "config" / "models" / path
