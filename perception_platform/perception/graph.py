"""The shared perception layer: components run in order on one sweep and the images around it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage, SourceStamp, merge
from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.objects import ModelRef, Percept
from perception_platform.core.sensor_data import Image, PointCloud
from perception_platform.core.time import from_ms, to_s
from perception_platform.perception.fusion import ImageObjects, fuse
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.description import Lidar, Robot

IMAGE_MAX_AGE_NS = from_ms(150)  # between an image and the sweep that it is looked at with
_RUN_TIMES_KEPT = 100


class ImageHead(Protocol):
    """Finds objects in the images of one camera."""

    @property
    def sensor(self) -> str:
        """Camera it looks at."""

    @property
    def model(self) -> ModelRef:
        """Model in use."""

    @property
    def backend(self) -> str:
        """What runs it."""

    def step(self, image: Image) -> ImageObjects:
        """Objects in one image; raises when the model fails."""


@dataclass(frozen=True, slots=True)
class BrokenHead:
    """A head whose model could not be loaded; it is reported until someone repairs it."""

    sensor: str
    problem: str


@dataclass(slots=True)
class HeadHealth:
    """How a head has fared since the start."""

    runs: int = 0
    failures: int = 0
    problem: str = ""
    run_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RUN_TIMES_KEPT))


@dataclass(frozen=True, slots=True)
class Scene:
    """What the components have made of one sweep so far.

    Attributes:
        images: newest image by camera.
        percept: objects and obstacle points in the base frame; the geometric path sets it.
        image_objects: what heads found in images.
    """

    images: dict[str, Image]
    percept: Percept
    image_objects: tuple[ImageObjects, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One step of the graph: a name and what it does to the scene."""

    name: str
    step: Callable[[Scene], Scene]


class PerceptionGraph:
    """Sweep in, percept out. The geometric path always runs; a failing head costs only what it would have added."""

    def __init__(
        self,
        robot: Robot,
        heads: Sequence[ImageHead | BrokenHead] = (),
        params: GeometryParams | None = None,
        clock_ns: Callable[[], int] | None = None,
    ) -> None:
        """Join the components.

        Args:
            robot: the robot with its sensors.
            heads: camera heads, as ``load_heads`` makes them.
            params: of the geometric path.
            clock_ns: a steady clock to time heads with, for their status; nothing else depends on it.
        """
        self._robot = robot
        self._lidars = {lidar.name: lidar for lidar in robot.lidars}
        self._geometry = GeometricPath(robot, params or GeometryParams())
        self._heads = tuple(heads)
        self._health = [
            HeadHealth(problem=h.problem if isinstance(h, BrokenHead) else "") for h in self._heads
        ]
        self._clock_ns = clock_ns
        self.components: list[Component] = [
            Component("camera_objects", self._camera_objects),
            Component("fusion", self._fusion),
        ]

    @property
    def cameras(self) -> list[str]:
        """Cameras that a head looks at, by name."""
        return sorted({h.sensor for h in self._heads if not isinstance(h, BrokenHead)})

    def warm_up(self) -> None:
        """Run all of it once on made-up data: then loops are compiled and models at hand when the first sweep comes."""
        for lidar in self._robot.lidars:
            self._geometry.step(_made_up_sweep(lidar), lidar, Lineage())
        for head, health in zip(self._heads, self._health, strict=True):
            if isinstance(head, BrokenHead):
                continue
            (lens,) = [camera.intrinsics for camera in self._robot.cameras if camera.name == head.sensor]
            black = np.zeros((lens.height_px, lens.width_px, 3), np.uint8)
            try:
                head.step(Image(0, head.sensor, head.sensor, black))
            except Exception as error:
                health.problem = f"{type(error).__name__}: {error}"[:200]

    def step(self, cloud: PointCloud, images: Sequence[Image] = ()) -> Percept:
        """Objects and obstacle points around the robot, in its base frame.

        Args:
            cloud: a sweep in its lidar's frame.
            images: newest image of each camera, not much older than the sweep.

        Raises:
            InputError: if the robot has no such lidar.
        """
        lidar = self._lidars.get(cloud.sensor)
        if lidar is None:
            raise InputError(
                cloud.sensor, f"robot {self._robot.name} has no such lidar, only {', '.join(self._lidars)}"
            )
        lineage = Lineage((SourceStamp(cloud.sensor, cloud.t_ns),))
        scene = Scene({i.sensor: i for i in images}, self._geometry.step(cloud, lidar, lineage))
        for component in self.components:
            scene = component.step(scene)
        return scene.percept

    def model_status(self, t_ns: int) -> list[ModelStatus]:
        """How each head's model fares, the geometric path first."""
        geometry = ModelStatus(
            t_ns,
            "lidar_objects",
            self._geometry.model,
            ModelState.ACTIVE,
            "numba",
            np.nan,
            np.nan,
            0,
            0,
            "always runs",
        )
        return [
            geometry,
            *(self._head_status(t_ns, *pair) for pair in zip(self._heads, self._health, strict=True)),
        ]

    def _head_status(self, t_ns: int, head: ImageHead | BrokenHead, health: HeadHealth) -> ModelStatus:
        name = f"camera_objects/{head.sensor}"
        if isinstance(head, BrokenHead):
            return ModelStatus(t_ns, name, None, ModelState.FAILED, "", np.nan, np.nan, 0, 0, head.problem)
        times = np.asarray(health.run_times_s) if health.run_times_s else np.array([np.nan])
        return ModelStatus(
            t_ns,
            name,
            head.model,
            ModelState.FAILED if health.problem else ModelState.ACTIVE,
            head.backend,
            float(np.percentile(times, 50)),
            float(np.percentile(times, 99)),
            health.runs,
            health.failures,
            health.problem or "runs",
        )

    def _camera_objects(self, scene: Scene) -> Scene:
        """Let each head look at the image of its camera."""
        found = []
        for head, health in zip(self._heads, self._health, strict=True):
            image = scene.images.get(head.sensor)
            if image is not None and not isinstance(head, BrokenHead):
                objects = self._run(head, health, image)
                if objects is not None:
                    found.append(objects)
        return replace(scene, image_objects=tuple(found))

    def _run(self, head: ImageHead, health: HeadHealth, image: Image) -> ImageObjects | None:
        """One run of a head; whatever goes wrong in a model is counted and ends here."""
        started_ns = self._clock_ns() if self._clock_ns else 0
        health.runs += 1
        try:
            objects = head.step(image)
        except Exception as error:
            health.failures += 1
            health.problem = f"{type(error).__name__}: {error}"[:200]
            return None
        health.problem = ""
        if self._clock_ns:
            health.run_times_s.append(to_s(self._clock_ns() - started_ns))
        return objects

    def _fusion(self, scene: Scene) -> Scene:
        """Join what heads found in images with the lidar's objects."""
        detections = scene.percept.detections
        for objects in scene.image_objects:
            detections = fuse(detections, objects, self._robot, scene.percept.obstacles.xyz_m)
        sources = Lineage(tuple(SourceStamp(o.sensor, o.t_ns) for o in scene.image_objects))
        models = detections.models + tuple(o.model for o in scene.image_objects)
        detections = replace(
            detections, lineage=merge([detections.lineage, sources]), models=tuple(dict.fromkeys(models))
        )
        return replace(scene, percept=replace(scene.percept, detections=detections))


def _made_up_sweep(lidar: Lidar) -> PointCloud:
    """A floor and a wall 5 m ahead, in the lidar's frame as if it were level."""
    floor = np.stack(np.meshgrid(np.arange(1.0, 10, 0.2), np.arange(-5.0, 5, 0.2)), -1).reshape(-1, 2)
    wall = np.stack(np.meshgrid(np.arange(-1.0, 1, 0.1), np.arange(0.1, 1.5, 0.1)), -1).reshape(-1, 2)
    below_m = lidar.mounting.xyz_m[2]
    xyz_m = np.vstack(
        [
            np.column_stack([floor, np.full(len(floor), -below_m)]),
            np.column_stack([np.full(len(wall), 5.0), wall[:, 0], wall[:, 1] - below_m]),
        ]
    )
    return PointCloud(0, lidar.name, lidar.name, xyz_m.astype(np.float32))
