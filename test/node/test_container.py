"""Several nodes in one process: what they hand on never touches DDS, and every message is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from perception_platform.core.runtime_status import EdgeCount
from perception_platform.messages.runtime import runtime_status_from_msg
from perception_platform.messages.verdicts import assessment_from_msg
from perception_platform.robot.load import robot_path
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started
from test.node.feeding import Feed, Feeder

ASSESSMENT = TOPICS["assessment"].name
STATUS = TOPICS["runtime_status"].name
NODES = ("perception", "tracker", "risk")


@pytest.fixture(scope="module")
def chain(
    start: Callable[..., Started], peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Started]:
    """Perception, tracker and risk of an ``amr`` that looks back, in one process, fed at their rates."""
    looks_back = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8")) | {"perception": "track_aware"}
    robot_file = tmp_path_factory.mktemp("robot") / "amr.yaml"
    robot_file.write_text(yaml.safe_dump(looks_back), encoding="utf-8")
    peer.listen("assessment")
    peer.listen("runtime_status")
    started = start("container", f"robot:={robot_file}", f"nodes:={','.join(NODES)}")
    feeds = {
        "points": Feed(peer.speak("points", "lidar_top").publish, feeding.sweep, 0.1),
        "odometry": Feed(peer.speak("odometry").publish, feeding.odometry, 0.05),
        "scan": Feed(peer.speak("scan", "scan_front").publish, feeding.scan, 1 / 15),
    }
    peer.each.append(Feeder(feeds).act)
    peer.until(lambda: peer.heard[ASSESSMENT], within_s=60.0, what="an assessment")
    yield started
    peer.each.clear()
    assert started.process.poll() is None, started.said()
    assert started.end() == 0, started.said()


def ledger(peer: Peer) -> dict[str, dict[str, EdgeCount]]:
    """The last ledger of each node, by topic."""
    statuses = [runtime_status_from_msg(message) for _, message in peer.heard[STATUS]]
    return {status.node: {edge.topic: edge for edge in status.edges} for status in statuses}


def test_an_assessment_passed_all_stages(chain: Started, peer: Peer) -> None:
    began = len(peer.heard[ASSESSMENT])
    peer.until(lambda: len(peer.heard[ASSESSMENT]) > began + 5, what="assessments")
    assessment = assessment_from_msg(peer.heard[ASSESSMENT][-1][1])
    assert [stage.stage for stage in assessment.lineage.stages] == list(NODES)
    assert {source.sensor for source in assessment.lineage.sources} == {"lidar_top", "scan_front"}
    assert len(assessment.objects) == 0  # those are on a topic of their own, for viewers


def test_what_stays_within_the_process_is_not_subscribed_to(chain: Started, peer: Peer) -> None:
    """Nor what a node hears that is set up before the one that publishes it: perception hears of tracks."""
    for node in NODES:
        heard = dict(peer.node.get_subscriber_names_and_types_by_node(node, "/"))
        assert not {TOPICS["detections"].name, TOPICS["tracks"].name} & set(heard)
        assert TOPICS["odometry"].name in heard  # that comes from outside
    tracks = TOPICS["tracks"].name

    def taken_in() -> int:
        edge = ledger(peer).get("perception", {}).get(tracks)
        return edge.received if edge else 0

    peer.until(taken_in, what="tracks that perception took in")


def test_others_hear_it_as_soon_as_they_listen(chain: Started, peer: Peer) -> None:
    for key in ("detections", "tracks"):
        assert not peer.heard[TOPICS[key].name]
        peer.listen(key)
        peer.until(lambda key=key: peer.heard[TOPICS[key].name], what=key)  # type: ignore[misc]


def test_every_message_is_accounted_for_live_and_in_a_burst(chain: Started, peer: Peer) -> None:
    burst = peer.speak("points", "lidar_top")
    peer.until(burst.get_subscription_count, what="a subscription")
    for _ in range(60):
        burst.publish(feeding.sweep(time.time_ns()))
    feeding_on, peer.each[:] = list(peer.each), []  # until everybody has reported with nothing under way
    peer.spin(3.0)
    counts = ledger(peer)
    peer.each[:] = feeding_on
    assert set(counts) == set(NODES)
    assert all(edge.unaccounted == 0 for edges in counts.values() for edge in edges.values())
    sweeps = counts["perception"][TOPICS["points"].of("lidar_top")]
    detections = counts["tracker"][TOPICS["detections"].name]
    assert sweeps.received > sweeps.processed > 0
    assert detections.received == sweeps.processed  # by reference nothing is lost
    assert detections.policy == "queue of 3"


@pytest.mark.parametrize("nodes", ["safety_gate", "perception,safety_gate", "nobody"])
def test_the_gate_shares_no_process_and_unknown_nodes_are_refused(
    start: Callable[..., Started], nodes: str
) -> None:
    refused = start("container", "robot:=amr", f"nodes:={nodes}")
    assert refused.process.wait(30) == 2
    assert "is none of lidar_top_driver, camera_front_driver, perception, tracker, risk" in refused.said()
    assert "Traceback" not in refused.said()
