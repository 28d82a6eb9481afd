"""Every topic, declared once: publishers, subscribers, monitors, bag checks and documentation read this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perception_platform.robot.description import Robot
from perception_platform.robot.sensors import Camera, Lidar, Source

Reliability = Literal["reliable", "best_effort"]
Durability = Literal["volatile", "transient_local"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        key: how code names it.
        name: ROS name; ``{sensor}`` stands for a sensor of the robot file.
        type: ROS type; of velocity commands the usual one, see ``type_on``.
        rate_hz: expected rate; 0 for topics that are sent on change; None: the sensor's own rate.
        reliability: DDS reliability.
        depth: history depth.
        kind: kind of sensor that ``{sensor}`` stands for.
        durability: DDS durability.
        deadline_periods: DDS deadline in periods of the rate; 0 for none.
        liveliness_s: DDS liveliness lease, s; 0 for none.
        lifespan_periods: age in periods of the rate at which DDS drops what nobody has taken; 0 for never.
        on_miss: what the system does when data stays away.
        mailbox: how many messages wait for a stage that works in a thread of its own; 1: the newest alone.
        publishers: nodes that publish it; ``OUTSIDE``: the robot's base, another package's driver or a bag.
        subscribers: nodes that subscribe to it; ``OUTSIDE``: viewers and the robot's base.
    """

    key: str
    name: str
    type: str
    rate_hz: float | None
    reliability: Reliability
    depth: int
    on_miss: str
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    kind: Literal["camera", "lidar", "scan", "range", "cloud", "polygon", ""] = ""
    durability: Durability = "volatile"
    deadline_periods: float = 0.0
    liveliness_s: float = 0.0
    lifespan_periods: float = 0.0
    mailbox: int = 1

    def of(self, sensor: str) -> str:
        """The ROS name for a sensor."""
        return self.name.format(sensor=sensor)

    @property
    def deadline_s(self) -> float:
        """Deadline of a topic at the table's own rate, s.

        Raises:
            ValueError: for a topic that has no rate of its own or no deadline.
        """
        if not self.rate_hz or not self.deadline_periods:
            raise ValueError(f"{self.key} has no deadline of its own")
        return self.deadline_periods / self.rate_hz

    @property
    def watched_by_dds(self) -> bool:
        """Whether subscriptions may ask DDS for the deadline, the lease and the lifespan.

        A publisher that does not offer the first two is not matched at all, and nobody outside has to offer
        them: there, silence is noticed by the subscriber's own clock alone. The lifespan runs from the
        publisher's clock: data of one whose clock is behind would vanish without a word.
        """
        return OUTSIDE not in self.publishers


OUTSIDE = "outside"
EVERY_NODE = "every node"
_MSGS = "perception_platform_msgs/msg/"

# fmt: off
TABLE: tuple[Topic, ...] = (
    Topic("image", "/{sensor}/image", "sensor_msgs/msg/Image", None, "best_effort", 1,
          "camera left out of fusion; gate limits or stops if the camera is required",
          publishers=("camera_driver", OUTSIDE), subscribers=("perception",), kind="camera", deadline_periods=3,
          lifespan_periods=5),
    Topic("camera_info", "/{sensor}/camera_info", "sensor_msgs/msg/CameraInfo", None, "best_effort", 1,
          "for viewers only: intrinsics come from the robot file",
          publishers=("camera_driver", OUTSIDE), subscribers=(OUTSIDE,), kind="camera"),
    Topic("points", "/{sensor}/points", "sensor_msgs/msg/PointCloud2", None, "best_effort", 1,
          "no new obstacles: the gate stops when they are stale",
          publishers=("lidar_driver", OUTSIDE), subscribers=("perception",), kind="lidar", deadline_periods=3,
          lifespan_periods=5),
    Topic("scan", "/{sensor}/scan", "sensor_msgs/msg/LaserScan", None, "best_effort", 1,
          "the gate stops when a required scan is stale",
          publishers=(OUTSIDE,), subscribers=("perception", "risk", "safety_gate"), kind="scan", deadline_periods=3,
          lifespan_periods=5),
    Topic("range", "/{sensor}/range", "sensor_msgs/msg/Range", None, "best_effort", 1,
          "the gate stops when a required sensor is stale",
          publishers=(OUTSIDE,), subscribers=("risk", "safety_gate"), kind="range", deadline_periods=3,
          lifespan_periods=5),
    Topic("cloud", "/{sensor}/cloud", "sensor_msgs/msg/PointCloud2", None, "best_effort", 1,
          "the gate stops when a required source is stale",
          publishers=(OUTSIDE,), subscribers=("risk", "safety_gate"), kind="cloud", deadline_periods=3,
          lifespan_periods=5),
    Topic("polygon", "/{sensor}/polygon", "geometry_msgs/msg/PolygonStamped", None, "reliable", 1,
          "the gate stops when a required source is stale",
          publishers=(OUTSIDE,), subscribers=("risk", "safety_gate"), kind="polygon", deadline_periods=3,
          lifespan_periods=5),
    Topic("odometry", "/odom", "nav_msgs/msg/Odometry", 10.0, "reliable", 10,
          "the gate stops: speed is unknown",
          publishers=(OUTSIDE,), subscribers=("perception", "tracker", "risk", "safety_gate"), deadline_periods=4),
    Topic("tf", "/tf", "tf2_msgs/msg/TFMessage", 10.0, "reliable", 100, "for viewers only",
          publishers=(OUTSIDE,), subscribers=(OUTSIDE,)),
    Topic("tf_static", "/tf_static", "tf2_msgs/msg/TFMessage", 0.0, "reliable", 10,
          "for viewers only: extrinsics come from the robot file",
          publishers=("camera_driver", "lidar_driver", OUTSIDE), subscribers=(OUTSIDE,),
          durability="transient_local"),
    Topic("clock", "/clock", "rosgraph_msgs/msg/Clock", 100.0, "best_effort", 1, "replay stands still",
          publishers=(OUTSIDE,), subscribers=(EVERY_NODE,)),
    Topic("command", "/cmd_vel", "geometry_msgs/msg/TwistStamped", 20.0, "reliable", 1,
          "velocity out is zero",
          publishers=(OUTSIDE,), subscribers=("safety_gate",)),
    Topic("command_safe", "/cmd_vel_safe", "geometry_msgs/msg/TwistStamped", 20.0, "reliable", 1,
          "the base has to stop by itself; it also has to refuse what is stamped longer ago than the lease",
          publishers=("safety_gate",), subscribers=(OUTSIDE,), deadline_periods=2, liveliness_s=0.2,
          lifespan_periods=5),
    Topic("sensor_health", "/sensor_health", _MSGS + "SensorHealth", 1.0, "reliable", 10,
          "a required sensor counts as failed",
          publishers=("camera_driver", "lidar_driver", OUTSIDE), subscribers=("safety_gate",)),
    Topic("model_status", "/model_status", _MSGS + "ModelStatus", 1.0, "reliable", 10, "shown as unknown",
          publishers=("perception",), subscribers=("safety_gate", OUTSIDE)),
    Topic("applications", "/perception/applications", _MSGS + "ApplicationReport", 10.0, "reliable", 10,
          "whoever follows one has to stop by itself",
          publishers=("perception",), subscribers=(OUTSIDE,), deadline_periods=3),
    Topic("detections", "/perception/detections", _MSGS + "DetectionArray", 10.0, "reliable", 1,
          "tracks coast, then end",
          publishers=("perception",), subscribers=("tracker",), deadline_periods=3, mailbox=3,
          lifespan_periods=5),
    Topic("obstacles", "/perception/{sensor}/obstacles", "sensor_msgs/msg/PointCloud2", None, "reliable", 1,
          "the gate stops when they are stale",
          publishers=("perception",), subscribers=("risk", "safety_gate"), kind="lidar", deadline_periods=3,
          lifespan_periods=5),
    Topic("tracks", "/tracks", _MSGS + "TrackArray", 10.0, "reliable", 1,
          "the assessment goes stale: the gate stops",
          publishers=("tracker",), subscribers=("perception", "risk"), deadline_periods=3, lifespan_periods=5),
    Topic("assessment", "/risk/assessment", _MSGS + "RiskAssessment", 10.0, "reliable", 1,
          "the gate stops",
          publishers=("risk",), subscribers=("safety_gate",), deadline_periods=3, liveliness_s=0.5,
          lifespan_periods=5),
    Topic("assessment_full", "/risk/assessment_full", _MSGS + "RiskAssessment", 10.0, "reliable", 1,
          "for viewers and recorders only: the same with the measures of each object",
          publishers=("risk",), subscribers=(OUTSIDE,)),
    Topic("zones", "/risk/zones", "visualization_msgs/msg/MarkerArray", 10.0, "reliable", 1,
          "for viewers only: footprint, zones and the way to a stop, for RViz",
          publishers=("risk",), subscribers=(OUTSIDE,)),
    Topic("decision", "/safety/decision", _MSGS + "SafetyDecision", 20.0, "reliable", 10,
          "the base has to stop by itself",
          publishers=("safety_gate",), subscribers=(OUTSIDE,), deadline_periods=2, liveliness_s=0.2),
    Topic("runtime_status", "/runtime_status", _MSGS + "RuntimeStatus", 1.0, "reliable", 10,
          "shown as unknown",
          publishers=(EVERY_NODE,), subscribers=("safety_gate", OUTSIDE)),
    Topic("diagnostics", "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", 1.0, "reliable", 10,
          "shown as unknown",
          publishers=(EVERY_NODE,), subscribers=(OUTSIDE,)),
)
# fmt: on

TOPICS: dict[str, Topic] = {topic.key: topic for topic in TABLE}


def sensor_topic(sensor: Camera | Lidar | Source) -> Topic:
    """The row of a sensor's data."""
    return TOPICS[{"camera": "image", "lidar": "points"}.get(sensor.kind, sensor.kind)]


def obstacle_inputs(robot: Robot) -> list[tuple[str, str]]:
    """(key, sensor) of all that risk stage and gate take obstacle points from."""
    lidars = [("obstacles", lidar.name) for lidar in robot.lidars]
    return [*lidars, *((source.kind, source.name) for source in robot.sources)]


def sensors_of(topic: Topic, robot: Robot) -> list[str]:
    """Names of the sensors that a robot has the topic for; one empty name if it belongs to none."""
    return [s.name for s in robot.sensors if s.kind == topic.kind] if topic.kind else [""]


_COMMANDS = {
    "twist_stamped": "geometry_msgs/msg/TwistStamped",
    "twist": "geometry_msgs/msg/Twist",
    "ackermann": "ackermann_msgs/msg/AckermannDriveStamped",
}


def type_on(topic: Topic, robot: Robot) -> str:
    """ROS type of a topic on a robot: its file says how velocity commands come and go."""
    kinds = {"command": robot.gate.command, "command_safe": robot.gate.output}
    return _COMMANDS[kinds[topic.key]] if topic.key in kinds else topic.type


def rate_hz(topic: Topic, robot: Robot, sensor: str | None = None) -> float:
    """Expected rate on a robot: the sensor's own, the gate's, or the table's."""
    if topic.rate_hz is None:
        return float(robot.sensor(sensor or "").rate_hz)
    if topic.key in ("decision", "command_safe"):
        return float(robot.gate.rate_hz)
    return topic.rate_hz
