"""Tracks, obstacle points of all sources and odometry in; the assessment out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from std_srvs.srv import SetBool

from perception_platform.core.errors import InputError
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.core.verdicts import Assessment
from perception_platform.messages.markers import outlines_to_msg
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.hindsight import Hindsight
from perception_platform.risk.outlines import outlines
from perception_platform.risk.stage import RiskStage
from perception_platform.ros.make import make
from perception_platform.ros.node import LeftOut, PlatformNode
from perception_platform.ros.ports import Arrival, publish_all
from perception_platform.ros.process import run
from perception_platform.ros.topics import TOPICS

UNKNOWN_PAYLOAD_KG = -1.0  # of the parameter: nobody says, and the most that may be loaded counts


class RiskNode(PlatformNode):
    """Assesses on each new set of tracks and each new message of another source.

    Scans alone must not keep an assessment fresh whose tracks have stayed away: past the deadline of the tracks
    nothing is published, so that the gate sees the silence and stops.

    The parameter ``payload_kg`` says what is loaded. Zones that the robot file calls switchable have a service
    ``~/zones/<name>/enable``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("risk", **options)
        self.declare_parameter("payload_kg", UNKNOWN_PAYLOAD_KG)

    def set_up(self) -> None:
        """Begin knowing nothing."""
        self._config = RiskConfig.from_robot(self.robot)
        self._risk = RiskStage(self._config)
        self._hindsight = Hindsight(self._config)
        self._ego: EgoState | None = None
        self._tracks: Tracks | None = None
        self._tracks_came_s = 0.0
        self._obstacles: dict[str, PointCloud] = {}
        self._assessment = self.output("assessment")
        self._full = self.output("assessment_full")
        self._markers = self.publisher_if_installed("zones")
        self._load(self.get_parameter("payload_kg").value)
        self._offer_services()
        self.subscribe("odometry", partial(setattr, self, "_ego"))
        for lidar in self.robot.lidars:
            self.subscribe("obstacles", partial(self._obstacles.__setitem__, lidar.name), lidar.name)
        sources = [(source.kind, source.name) for source in self.robot.sources]
        self.stage([("tracks", ""), *sources], self._look)

    def diagnostics(self) -> Mapping[str, str]:
        """What is reckoned with, and which zones are off."""
        return {
            "latency reckoned with": f"{self._risk.latency_s:.3f} s",
            "zones switched off": ", ".join(sorted(self._risk.disabled)) or "none",
        }

    def _offer_services(self) -> None:
        self.add_on_set_parameters_callback(self._set_parameters)
        self.let_go_later(lambda: self.remove_on_set_parameters_callback(self._set_parameters))
        for zone in self._config.zones:
            if zone.switchable:
                name = f"~/zones/{zone.name}/enable"
                made = self.create_service(SetBool, name, partial(self._enable, zone.name))
                self.let_go_later(partial(self.destroy_service, made))

    def _enable(self, zone: str, request: Any, response: Any) -> Any:
        self._risk.enable(zone, request.data)
        response.success, response.message = True, f"zone {zone} switched {'on' if request.data else 'off'}"
        self.get_logger().warning(f"{response.message} by a service call")
        return response

    def _set_parameters(self, parameters: list[Any]) -> SetParametersResult:
        try:
            for parameter in parameters:
                if parameter.name == "payload_kg":
                    self._load(parameter.value)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _load(self, payload_kg: float) -> None:
        self._risk.load(None if payload_kg == UNKNOWN_PAYLOAD_KG else payload_kg)

    def _look(self, arrival: Arrival) -> None:
        if arrival.topic.key == "tracks":
            self._tracks, self._tracks_came_s = arrival.value(), time.monotonic()
            self._assess(self._tracks, arrival)
            return
        cloud = self._obstacles[arrival.sensor] = arrival.value()
        if self._tracks is not None and self._tracks_are_fresh():
            self._assess(self._tracks, arrival)
        elif not self.robot.lidars:  # such a robot may go by the points alone
            self._assess(Tracks.empty(cloud.t_ns, self.robot.odom_frame), arrival)

    def _tracks_are_fresh(self) -> bool:
        return time.monotonic() - self._tracks_came_s <= TOPICS["tracks"].deadline_s

    def _assess(self, tracks: Tracks, arrival: Arrival) -> None:
        ego = self._ego
        if ego is None:
            raise LeftOut("odometry")
        seen = dict(self._obstacles)  # another thread may add to it
        obstacles = [seen[name] for name in sorted(seen)]
        obstacles = self._hindsight.look(obstacles, tracks, ego)
        assessment = self._risk.step(tracks, obstacles, ego, now_ns=self.now_ns())
        assessment = replace(assessment, lineage=assessment.lineage.then(self.timing(arrival)))
        publish_all((self._assessment, assessment), (self._full, assessment))
        self._draw(assessment, ego)

    def _draw(self, assessment: Assessment, ego: EgoState) -> None:
        """Outlines for RViz, if anybody looks."""
        if self._markers is None or not self._markers.get_subscription_count():
            return
        shown = [
            (o.name, o.action, o.polygon_m)
            for o in outlines(self._config, ego, self._risk.latency_s)
            if o.name not in self._risk.disabled
        ]
        entered = {finding.zone for finding in assessment.findings}
        self._markers.publish(outlines_to_msg(shown, entered, assessment.t_ns, self.robot.base_frame, make))


def main() -> None:
    """Run the node."""
    sys.exit(run(RiskNode))


if __name__ == "__main__":
    main()
