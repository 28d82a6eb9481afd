"""What a robot file may say of its sensors: where they sit, who drives them, and when what they say is stale."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import CameraModel
from perception_platform.robot.parts import Finite, FrameName, Name, NonNegative, Part, Point3, Positive

LONGEST_TIMEOUT_S = 2.0  # of an input: no robot file switches the check off
RESERVED_NAMES = (
    "odometry",
    "assessment",
    "command",
)  # the gate keeps these inputs by name, beside the sensors


# Lowest and highest beam, degrees, from the makers' data sheets; HDL-64E as S2.
VELODYNE_SPAN_DEG = {
    "VLP-16": (-15.0, 15.0),
    "PuckLite": (-15.0, 15.0),
    "PuckHiRes": (-10.0, 10.0),
    "VLP-32C": (-25.0, 15.0),
    "HDL-32E": (-30.67, 10.67),
    "HDL-64E S2": (-24.9, 2.0),
    "HDL-64E S3": (-24.9, 2.0),
    "VLS-128": (-25.0, 15.0),
}


class Mounting(Part):
    """Where a sensor sits: the transform ``base_from_sensor`` (camera: from its optical frame)."""

    xyz_m: Point3
    rpy_deg: Point3 = (0.0, 0.0, 0.0)

    def transform(self) -> Transform:
        """As a transform."""
        return Transform.from_xyz_rpy(self.xyz_m, [float(np.deg2rad(a)) for a in self.rpy_deg])


class Velodyne(Part):
    """A Velodyne, live over UDP at the local address ``bind``, or from a capture when ``pcap`` is set.

    An HDL-64E needs its own ``calibration`` file (velodyne-decoder's format); other models have one a model.
    """

    type: Literal["velodyne"]
    model: Literal[
        "VLP-16", "VLP-32C", "HDL-32E", "HDL-64E S2", "HDL-64E S3", "VLS-128", "PuckHiRes", "PuckLite"
    ]
    calibration: str | None = None
    bind: IPv4Address = IPv4Address("0.0.0.0")
    port: int = Field(2368, gt=0, lt=65536)
    pcap: str | None = None


class Ouster(Part):
    """An Ouster, live over UDP at the local address ``bind``, or from a capture when ``pcap`` is set."""

    type: Literal["ouster"]
    metadata: str
    bind: IPv4Address = IPv4Address("0.0.0.0")
    port: int = Field(7502, gt=0, lt=65536)
    pcap: str | None = None


class Folder(Part):
    """A folder of files played at the sensor's rate: images, or sweeps (KITTI ``.bin``, ``.pcd``, ``.csv``)."""

    type: Literal["folder"]
    path: str
    loop: bool = False


class V4l2(Part):
    """A camera of this machine."""

    type: Literal["v4l2"]
    device: str = "/dev/video0"
    fourcc: Annotated[str, Field(min_length=4, max_length=4)] = "MJPG"


class Stream(Part):
    """A camera on the network: an RTSP or HTTP address."""

    type: Literal["stream"]
    url: Annotated[str, Field(pattern=r"^(rtsp|http|https)://")]


class Video(Part):
    """A video file, played at the sensor's rate."""

    type: Literal["video"]
    path: str
    loop: bool = False


class External(Part):
    """Another package's driver publishes this sensor; here it is only used and watched."""

    type: Literal["external"]


class Intrinsics(Part):
    """A pinhole camera with plumb-bob distortion."""

    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    fx_px: Positive
    fy_px: Positive
    cx_px: Finite
    cy_px: Finite
    distortion: Annotated[list[Finite], Field(min_length=5, max_length=5)] = Field(default=[0.0] * 5)

    def model(self) -> CameraModel:
        """As a camera model, with the distortion that raw images have."""
        matrix = np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])
        return CameraModel(self.width_px, self.height_px, matrix, np.asarray(self.distortion))


def _not_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{', '.join(RESERVED_NAMES)} are names of other inputs of the gate")
    return name


class Sensor(Part):
    """What all sensors have.

    ``required`` sensors stop the robot when they fail; others only lower what it may do.
    """

    name: Annotated[Name, AfterValidator(_not_reserved)]
    rate_hz: Positive
    mounting: Mounting
    required: bool = True


class PointSensor(Sensor):
    """A sensor that obstacle points come of; they are stale at the age ``timeout_s``, or that of the gate's inputs."""

    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_S)] | None = None


class ForeignSource(PointSensor):
    """What another package's driver publishes, in the frame ``frame_id``: the sensor's name, if nothing is said.

    The mounting says where that frame is. A message in any other frame is refused: nothing leads to it.
    """

    driver: External
    frame_id: FrameName | None = None

    @property
    def frame(self) -> str:
        """Frame that its messages have to be in."""
        return self.frame_id or self.name


class Lidar(PointSensor):
    """A spinning or solid-state 3D lidar.

    ``elevation_deg`` is its lowest and highest beam, in its own frame; a Velodyne's need not be said. What came too
    near for the beams is remembered only where they are known.
    """

    kind: Literal["lidar"]
    driver: Annotated[Velodyne | Ouster | Folder | External, Field(discriminator="type")]
    beams: int = Field(gt=0)
    range_m: tuple[NonNegative, Positive] = (0.5, 100.0)
    field_of_view_deg: tuple[Finite, Finite] = (-180.0, 180.0)
    elevation_deg: tuple[Finite, Finite] | None = None

    @model_validator(mode="after")
    def _beams_go_up(self) -> Lidar:
        if self.elevation_deg and not -90 <= self.elevation_deg[0] < self.elevation_deg[1] <= 90:
            raise ValueError(
                "elevation_deg is not the lowest and the highest beam, within 90 degrees of the level"
            )
        return self

    @property
    def beam_span_deg(self) -> tuple[float, float] | None:
        """Lowest and highest beam; None if nobody says."""
        if self.elevation_deg is not None or not isinstance(self.driver, Velodyne):
            return self.elevation_deg
        return VELODYNE_SPAN_DEG[self.driver.model]


class Camera(Sensor):
    """A colour camera."""

    kind: Literal["camera"]
    driver: Annotated[V4l2 | Stream | Video | Folder | External, Field(discriminator="type")]
    intrinsics: Intrinsics

    @model_validator(mode="after")
    def _somebody_reports_its_health(self) -> Camera:
        if self.required and self.driver.type == "external":
            raise ValueError(
                "required cannot be true with an external driver: nobody reports this camera's health"
            )
        return self


class Scan(ForeignSource):
    """A 2D laser scanner; its own driver publishes LaserScan."""

    kind: Literal["scan"]
    range_m: tuple[NonNegative, Positive] = (0.05, 25.0)


class RangeFinder(ForeignSource):
    """An ultrasonic or infrared sensor that looks along the x axis of its mounting; its own driver publishes Range."""

    kind: Literal["range"]


class ObstacleCloud(ForeignSource):
    """Another package's obstacle points as PointCloud2, in the frame of the mounting: ground is already taken out."""

    kind: Literal["cloud"]


class ObstaclePolygon(ForeignSource):
    """Another package's outline of what must not be driven into, as PolygonStamped, in the frame of the mounting."""

    kind: Literal["polygon"]


Source = Scan | RangeFinder | ObstacleCloud | ObstaclePolygon
AnySensor = Annotated[
    Lidar | Camera | Scan | RangeFinder | ObstacleCloud | ObstaclePolygon, Field(discriminator="kind")
]
