"""A labelled sweep from above: what the perception layer found, over what people labelled."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, box_corners
from perception_platform.core.objects import ObjectClass, Percept
from perception_platform.core.sensor_data import Points
from perception_platform.evaluation.lidar_frames import LabelledFrame, frame_names, read_frames
from perception_platform.explain.look import CLASSES, INK, PALE, RC, figure, legend
from perception_platform.perception.load import load_graph
from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Lidar

_AHEAD_M, _BESIDE_M = (-2.0, 45.0), (-16.0, 16.0)
_LABEL = "#d55e00"


def picture_of_frame(frames: Path, name: str, robot: Robot, lidar: Lidar, path: Path) -> Percept:
    """Run the robot's graph on one sweep and draw it.

    Args:
        frames: folder in the layout of the KITTI object benchmark.
        name: of the frame, e.g. ``000008``.
        robot: whose graph.
        lidar: the lidar that the sweeps are from.
        path: the picture's; its ending says which kind.

    Raises:
        InputError: if there is no such labelled frame.
    """
    found = next((frame for frame in read_frames(frames, lidar.name) if frame.name == name), None)
    if found is None:
        raise InputError(frames, f"has no labelled frame {name!r}; it has {', '.join(frame_names(frames))}")
    percept = load_graph(robot).step(found.cloud)
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw(found, percept, robot, lidar, path)
    return percept


def _draw(frame: LabelledFrame, percept: Percept, robot: Robot, lidar: Lidar, path: Path) -> None:
    base_from_lidar = lidar.mounting.transform()
    labels = frame.labels
    turn_rad = base_from_lidar.yaw_rad
    labelled_m = box_corners(
        base_from_lidar.apply(labels.centers_m), labels.sizes_m, labels.yaws_rad + turn_rad
    )
    detections = percept.detections
    boxes_m = box_corners(detections.centers_m, detections.sizes_m, detections.yaws_rad)
    with mpl.rc_context(RC):
        made = figure(9.0, 6.2)
        axes = made.subplots()
        _points(axes, base_from_lidar.apply(frame.cloud.xyz_m).astype(np.float32), 0.4, "#c3cad2", "sweep")
        _points(axes, percept.obstacles.xyz_m, 0.8, INK, "stands in the way")
        names = [ObjectClass(int(c)).name.lower() for c in detections.class_ids]
        _boxes(axes, boxes_m, [CLASSES[n] for n in names], 1.1, "-", "")
        _boxes(axes, labelled_m, [_LABEL] * len(labelled_m), 2.0, (0, (3, 1.5)), "label")
        for kind, color in (
            ("person", "people"),
            ("car", "vehicles, cyclists"),
            ("unknown", "no name, structure"),
        ):
            axes.plot([], [], color=CLASSES[kind], label=color)
        for corners_m, kind in zip(labelled_m, labels.types, strict=True):
            axes.annotate(str(kind), corners_m.max(axis=0), fontsize=7, color=_LABEL)
        axes.add_collection(PolyCollection([robot.footprint], facecolors="#e3e7ec", edgecolors=PALE))
        axes.set(xlim=_AHEAD_M, ylim=_BESIDE_M, aspect="equal", xlabel="ahead, m", ylabel="left, m")
        axes.set_title(f"frame {frame.name}")
        legend(axes, below=True)
        made.savefig(path, dpi=120)


def _points(axes: Axes, xyz_m: Points, size: float, color: str, label: str) -> None:
    axes.scatter(xyz_m[:, 0], xyz_m[:, 1], s=size, c=color, linewidths=0, label=label, rasterized=True)


def _boxes(axes: Axes, corners_m: Array, colors: list[str], width: float, style: object, label: str) -> None:
    collection = PolyCollection(
        list(corners_m), facecolors="none", edgecolors=colors, linewidths=width, linestyles=style, label=label
    )
    axes.add_collection(collection)
