"""What the latency bench runs on: a robot file, sweeps and images on disk, a camera model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import yaml

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot, robot_path
from perception_platform.sensing.sweep_files import load_sweep

WIDTH_PX, HEIGHT_PX, CAMERA_HZ, LIDAR_HZ = 1280, 720, 30, 10
GATE_HZ = 100
GRID_PX = 352
CLASSES = 3
LONGEST_LOOP = 32  # different sweeps and images; after them they come again


@dataclass(frozen=True, slots=True)
class Load:
    """The load on disk.

    Attributes:
        folder: holds everything.
        robot_file: the robot file.
        robot: what it says.
        sweeps: the different sweeps.
        images: the different images.
    """

    folder: Path
    robot_file: Path
    robot: Robot
    sweeps: list[Path]
    images: list[Path]

    @property
    def points(self) -> list[int]:
        """Points of each sweep."""
        return [len(read_sweep(self, i, 0)) for i in range(len(self.sweeps))]

    def put_out(self, frames: int) -> None:
        """Lay out as many sweeps, and three times as many images, in folders that nobody plays yet."""
        for name, files, count in (
            ("lidar", self.sweeps, frames),
            ("camera", self.images, frames * CAMERA_HZ // LIDAR_HZ),
        ):
            folder = self.folder / f"{name}.waiting"
            folder.mkdir()
            for i in range(count):
                file = files[i % len(files)]
                (folder / f"{i:06d}{file.suffix}").symlink_to(file)

    def begin(self) -> None:
        """Let the drivers have the folders."""
        for name in ("lidar", "camera"):
            (self.folder / f"{name}.waiting").rename(self.folder / name)

    def take_away(self) -> None:
        """Take the folders away again."""
        for name in ("lidar", "camera"):
            folder = self.folder / name
            if folder.is_dir():
                for link in folder.iterdir():
                    link.unlink()
                folder.rmdir()


def make_load(folder: Path, sweeps: Path | None, seed: int) -> Load:
    """Write the load to a folder.

    Args:
        folder: empty.
        sweeps: folder of KITTI ``.bin`` sweeps to use; None for simulated ones.
        seed: of what is made up.

    Raises:
        InputError: if there are no sweeps in the folder, or a package is missing that makes the model.
    """
    files = _real(sweeps) if sweeps else _simulated(folder / "sweeps", seed)
    images = _images(folder / "images", seed)
    _write_model(folder / "model", seed)
    robot_file = folder / "robot.yaml"
    robot_file.write_text(yaml.safe_dump(_robot(folder)), encoding="utf-8")
    return Load(folder, robot_file, load_robot(str(robot_file)), files, images)


def read_sweep(load: Load, index: int, t_ns: int) -> PointCloud:
    """A sweep as the driver reads it."""
    lidar = load.robot.lidars[0]
    return load_sweep(load.sweeps[index % len(load.sweeps)], t_ns, lidar.name)


def read_image(load: Load, index: int, t_ns: int) -> Image:
    """An image as the driver reads it."""
    camera = load.robot.cameras[0].name
    return Image(t_ns, camera, camera, cv2.imread(str(load.images[index % len(load.images)])))


def _robot(folder: Path) -> dict[str, object]:
    """The delivery van with a faster gate, its sensors played from folders, and a camera model."""
    robot = yaml.safe_load(robot_path("delivery_van").read_text(encoding="utf-8"))
    robot["gate"] |= {"rate_hz": GATE_HZ}
    for sensor in robot["sensors"]:
        name = sensor["kind"]
        sensor["driver"] = {"type": "folder", "path": str(folder / name)}
        if name == "camera":
            sensor["rate_hz"] = CAMERA_HZ
            sensor["intrinsics"] = {
                "width_px": WIDTH_PX, "height_px": HEIGHT_PX,
                "fx_px": 740.0, "fy_px": 740.0, "cx_px": WIDTH_PX / 2, "cy_px": HEIGHT_PX / 2,
            }  # fmt: skip
    robot["models"] = [{"head": "camera_objects", "sensor": "camera_left", "path": str(folder / "model")}]
    return dict(robot)


def _real(sweeps: Path) -> list[Path]:
    files = sorted(sweeps.resolve().glob("*.bin"))[:LONGEST_LOOP]
    if not files:
        raise InputError(sweeps, "holds no .bin sweeps")
    return files


def _simulated(folder: Path, seed: int) -> list[Path]:
    """A street with parked cars as the van's lidar sees it, in KITTI's format."""
    from perception_platform.evaluation.lidar_bench import simulated_sweeps, thinned

    folder.mkdir()
    files = []
    for i, cloud in enumerate(simulated_sweeps(load_robot("delivery_van").lidars[0], seed)):
        xyz_m = thinned(cloud, seed).xyz_m
        files.append(folder / f"{i}.bin")
        np.column_stack([xyz_m, np.full(len(xyz_m), 0.3, np.float32)]).tofile(files[-1])
    return files


def _images(folder: Path, seed: int) -> list[Path]:
    """Noise of several sizes, uncompressed: a camera hands over pixels, and its driver has none to unpack."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    files = []
    for i in range(8):
        coarse = rng.integers(0, 256, (HEIGHT_PX // 8, WIDTH_PX // 8, 3), dtype=np.uint8)
        files.append(folder / f"{i}.bmp")
        cv2.imwrite(str(files[-1]), cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX)))
    return files


def _write_model(folder: Path, seed: int) -> None:
    """A detector of random weights: four convolutions, 80 million multiplications an image, and no boxes."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise InputError("onnx", "makes the camera model and is not installed: pip install onnx") from error
    folder.mkdir()
    rng = np.random.default_rng(seed)
    widths, nodes, weights, last = (3, 16, 32, 32, 64, 5 + CLASSES), [], [], "image"
    for i, (before, after) in enumerate(pairwise(widths)):
        size = 3 if i < 4 else 1
        kernel = rng.normal(0, 1 / np.sqrt(before * size * size), (after, before, size, size))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{i}"))
        stride, pad = ([2, 2], [1, 1, 1, 1]) if i < 4 else ([1, 1], [0, 0, 0, 0])
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], strides=stride, pads=pad))
        nodes.append(helper.make_node("Relu" if i < 4 else "Tanh", [f"c{i}"], [f"a{i}"]))
        last = f"a{i}"
    cells = GRID_PX // 16
    graph = helper.make_graph(
        nodes, "bench",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, GRID_PX, GRID_PX])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 5 + CLASSES, cells, cells])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "bench.onnx")
    description = {
        "version": 1, "id": "bench@1", "weights": "bench.onnx", "decoder": "fastestdet",
        "input": {"width_px": GRID_PX, "height_px": GRID_PX, "fit": "squash", "std": [255.0] * 3},
        "classes": {0: "person", 1: "cyclist", 2: "car"}, "score_threshold": 0.99, "iou_threshold": 0.45,
    }  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
