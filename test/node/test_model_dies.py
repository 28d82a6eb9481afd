"""A model dies while the robot drives: sweeps go on, every one is decided on, and the status tells who serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from perception_platform.core.model_status import ModelState, ModelStatus
from perception_platform.core.sensor_data import Image
from perception_platform.messages.images import image_to_msg
from perception_platform.messages.runtime import application_report_from_msg, runtime_status_from_msg
from perception_platform.messages.verdicts import decision_from_msg, model_status_from_msg
from perception_platform.robot.load import robot_path, share_dir
from perception_platform.ros.make import make
from perception_platform.ros.topics import TOPICS
from test.node import feeding
from test.node.conftest import Peer, Started
from test.node.feeding import Feed, Feeder
from test.unit.inference.tiny_models import SIDE_PX, constant_detector

MODELS, DECISIONS = TOPICS["model_status"].name, TOPICS["decision"].name
HEAD = "camera_objects/camera_front"
GREY, BLACK = 120, 0

pytestmark = pytest.mark.timeout(300)


def model_folder(folder: Path, name: str, fails_on_black: bool) -> str:
    """A detector that never sees anything."""
    description = yaml.safe_load(
        (share_dir() / "config/models/fastestdet/model.yaml").read_text(encoding="utf-8")
    )
    description["input"] |= {"width_px": SIDE_PX, "height_px": SIDE_PX}
    description["id"] = f"{name}@1"
    (folder / name).mkdir()
    (folder / name / "model.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    nothing = np.zeros((1, 5 + 80, 4, 4))
    constant_detector(folder / name / description["weights"], nothing, fails_on_black=fails_on_black)
    return str(folder / name)


@pytest.fixture(scope="module")
def robot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``amr`` with a model that fails on black images, and one that does not in its place."""
    folder = tmp_path_factory.mktemp("robot")
    robot = yaml.safe_load(robot_path("amr").read_text(encoding="utf-8"))
    robot["models"] = [
        {
            "head": "camera_objects",
            "sensor": "camera_front",
            "path": model_folder(folder, "fine_by_day", fails_on_black=True),
            "fallbacks": [model_folder(folder, "fine_by_night", fails_on_black=False)],
            "limit_ms": 10_000,  # a loaded machine is no failure here
            "give_up_after": 2,
            "return_after_s": 2,
        }
    ]
    (folder / "amr.yaml").write_text(yaml.safe_dump(robot), encoding="utf-8")
    return folder / "amr.yaml"


class Picture:
    """The camera's image, of one brightness."""

    brightness = GREY

    def message(self, t_ns: int) -> Any:
        bgr = np.full((240, 320, 3), self.brightness, np.uint8)
        return image_to_msg(Image(t_ns, "camera_front", "camera_front", bgr), make)


@pytest.fixture(scope="module")
def picture(start: Callable[..., Started], peer: Peer, robot_file: Path) -> Iterator[Picture]:
    """What the camera of a driving robot shows; perception, tracker, risk and gate have to survive the module."""
    for key in ("model_status", "decision", "applications", "runtime_status"):
        peer.listen(key)
    shown = Picture()
    started = [
        start("container", f"robot:={robot_file}", "nodes:=perception,tracker,risk"),
        start("safety_gate", f"robot:={robot_file}"),
    ]
    feeds = {
        "points": Feed(peer.speak("points", "lidar_top").publish, feeding.sweep, 0.1),
        "image": Feed(peer.speak("image", "camera_front").publish, shown.message, 0.1),
        "odometry": Feed(peer.speak("odometry").publish, feeding.odometry, 0.05),
        "scan": Feed(peer.speak("scan", "scan_front").publish, feeding.scan, 1 / 15),
        "command": Feed(peer.speak("command").publish, feeding.command, 0.05),
    }
    peer.each.append(Feeder(feeds).act)
    peer.until(lambda: serving(peer) is not None, within_s=200.0, what="the model's status")
    yield shown
    peer.each.clear()
    for one in started:
        assert one.process.poll() is None, one.said()
        assert one.end() == 0, one.said()


def serving(peer: Peer) -> ModelStatus | None:
    """The newest status of the camera's head that is of runs."""
    statuses = [model_status_from_msg(message) for _, message in peer.heard[MODELS][-4:]]
    return next((s for s in reversed(statuses) if s.head == HEAD and s.runs), None)


def in_state(peer: Peer, state: ModelState) -> Callable[[], bool]:
    """Whether a status of from now on says so."""
    begin = len(peer.heard[MODELS])
    return lambda: any(
        s.head == HEAD and s.state is state
        for s in (model_status_from_msg(message) for _, message in peer.heard[MODELS][begin:])
    )


def sweeps_decided(peer: Peer, begin: int) -> list[int]:
    """Stamps of the sweeps that decisions from there on rest on."""
    decisions = [decision_from_msg(message) for _, message in peer.heard[DECISIONS][begin:]]
    assert [d.sequence for d in decisions] == list(range(decisions[0].sequence, decisions[-1].sequence + 1))
    return sorted({s.t_ns for d in decisions for s in d.lineage.sources if s.sensor == "lidar_top"})


def test_a_model_dies_and_comes_back_and_no_decision_is_missed(picture: Picture, peer: Peer) -> None:
    peer.until(in_state(peer, ModelState.ACTIVE), within_s=60.0, what="the model asked for")
    status = serving(peer)
    assert status is not None
    assert status.model is not None
    assert status.model.id == "fine_by_day@1"
    begin = len(peer.heard[DECISIONS])
    picture.brightness = BLACK
    peer.until(in_state(peer, ModelState.FALLBACK), within_s=60.0, what="the fallback")
    peer.until(
        lambda: "fine_by_day@1 on onnxruntime/CPUExecutionProvider: out" in (serving(peer) or status).text,
        within_s=30.0,
        what="the model given up",
    )
    status = serving(peer)
    assert status is not None
    assert status.model is not None
    assert status.model.id == "fine_by_night@1"
    assert status.failures >= 2
    assert "output boxes is not finite" in status.text
    assert status.assurance.out_of_domain
    assert status.assurance.reason.startswith("the image is dark")
    picture.brightness = GREY
    peer.until(in_state(peer, ModelState.ACTIVE), within_s=60.0, what="the model back")
    peer.spin(1.0)
    sweeps = sweeps_decided(peer, begin)
    assert len(sweeps) > 20
    # Sweeps come every 0.1 s; a decision that waits for a model would leave a hole of seconds.
    assert max(np.diff(sweeps)) < 2_000_000_000


def test_every_sweep_is_accounted_for_and_components_keep_count(picture: Picture, peer: Peer) -> None:
    statuses = [runtime_status_from_msg(m) for _, m in peer.heard[TOPICS["runtime_status"].name]]
    last = {status.node: status for status in statuses}
    assert all(edge.unaccounted == 0 for status in last.values() for edge in status.edges)
    counts = {count.component: count for count in last["perception"].components}
    # A status may be made while a sweep is half way through the graph.
    assert counts["ground"].runs - counts["fusion"].runs in (0, 1)
    assert counts["fusion"].runs > 20
    assert counts["camera_objects"].failures == 0, "a failing model is the chain's business"
    assert 0 < counts["ground"].run_time_p50_s < 1


def test_applications_are_served_beside_each_other(picture: Picture, peer: Peer) -> None:
    heard = peer.heard[TOPICS["applications"].name]
    reports = {r.application: r for r in (application_report_from_msg(m) for _, m in heard)}
    assert set(reports) == {"people_protection", "vehicle_following", "free_space_keeping"}
    assert reports["vehicle_following"].value == pytest.approx(15.1 - 0.45, abs=0.2)  # the wall of the hall
    assert all(report.age_s > 0 for report in reports.values())
