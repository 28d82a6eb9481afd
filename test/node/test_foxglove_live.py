"""The live view, seen through a real WebSocket client that speaks Foxglove's protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Tracks
from perception_platform.core.sensor_data import EgoState, Image, PointCloud
from perception_platform.core.verdicts import Action, Decision, Finding, GateState, Reason
from perception_platform.robot.load import load_robot, share_dir

pytest.importorskip("foxglove", reason="the extra [view] is not installed")
from perception_platform.view.foxglove_live import FoxgloveLive

T_NS = 5_000_000_000
MESSAGE_DATA = 1  # opcode of the protocol's binary message


def one_track() -> Tracks:
    return Tracks(
        T_NS,
        "odom",
        ids=np.array([7]),
        centers_m=np.array([[4.0, 1.0, 0.9]]),
        velocities_mps=np.array([[-1.0, 0.5]]),
        sizes_m=np.array([[0.6, 0.5, 1.8]]),
        yaws_rad=np.array([0.3]),
        class_ids=np.array([int(ObjectClass.PERSON)]),
        class_scores=np.array([0.9]),
        existence=np.array([0.99]),
        state_cov=np.eye(4)[None],
        last_seen_ns=np.array([T_NS]),
        first_seen_ns=np.array([T_NS - 1]),
        sensors=np.array([1]),
    )


def stop() -> Decision:
    finding = Finding(
        Reason.ZONE, Action.STOP, 0.0, "points", 9, 4, "points", zone="protective", text="in the zone"
    )
    return Decision(
        T_NS,
        3,
        Action.STOP,
        GateState.STOPPED,
        0.0,
        2.0,
        (finding,),
        False,
        80_000_000,
        None,
        (0.0, 0.0, 0.0),
    )


def everything(robot_camera: str) -> list[object]:
    xyz = np.arange(30, dtype=np.float32).reshape(10, 3)
    return [
        EgoState(T_NS, Transform.planar(2.0, 1.0, 0.5), (1.2, 0.0), 0.0),
        PointCloud(T_NS, "base_link", "lidar_top", xyz),
        Image(T_NS, robot_camera, robot_camera, np.full((4, 6, 3), 200, dtype=np.uint8)),
        one_track(),
        stop(),
    ]


@pytest.fixture
def live() -> Iterator[FoxgloveLive]:
    with FoxgloveLive(load_robot("amr"), port=0) as view:
        yield view


def dial(view: FoxgloveLive) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{view.port}", subprotocols=["foxglove.sdk.v1"], open_timeout=5)


def subscribe_to_all(client: ClientConnection) -> dict[int, str]:
    """Subscribe to whatever is advertised: topic by channel id, which serves as the subscription's id too."""
    topics: dict[int, str] = {}
    while not topics:
        said = json.loads(client.recv(timeout=5))
        if said["op"] == "advertise":
            topics = {c["id"]: c["topic"] for c in said["channels"]}
    wanted = [{"id": i, "channelId": i} for i in topics]
    client.send(json.dumps({"op": "subscribe", "subscriptions": wanted}))
    return topics


def collect(view: FoxgloveLive, values: list[object]) -> dict[str, bytes]:
    """Show the values until every channel has delivered: a subscription takes effect a moment late."""
    with dial(view) as client:
        topics = subscribe_to_all(client)
        payloads: dict[str, bytes] = {}
        for _ in range(100):
            for value in values:
                view.show(value)
            while len(payloads) < len(topics):
                try:
                    frame = client.recv(timeout=0.05)
                except TimeoutError:
                    break
                if isinstance(frame, bytes) and frame[0] == MESSAGE_DATA:
                    channel, _log_ns = struct.unpack_from("<IQ", frame, 1)
                    payloads[topics[channel]] = frame[13:]
            if len(payloads) >= len(topics) - len(SILENT):
                break
        return payloads


SILENT = {"/obstacles/2"}  # the scanner gives no points in these tests


@pytest.mark.timeout(30)
def test_a_client_gets_every_kind_of_data(live: FoxgloveLive) -> None:
    values = everything("camera_front")
    with dial(live) as client:
        advertised = set(subscribe_to_all(client).values())
    # The log speaks on change only: alternate, so that a client who came late hears it as well.
    go = Decision(T_NS, 4, Action.PROCEED, GateState.NORMAL, 1.5, 0.8, (), False, 9, None, (0.0, 0.0, 0.0))
    payloads = collect(live, [*values, go])
    assert advertised - set(payloads) == SILENT
    decision = json.loads(payloads["/decision"])
    assert decision["action"] in ("stop", "proceed")
    assert decision["speed_mps"] == pytest.approx(1.2)
    assert b"#7 person" in payloads["/tracks"]
    assert b"base_link" in payloads["/tf"]
    assert b"lidar_top" in payloads["/tf"]
    points = np.arange(30, dtype="<f4").tobytes()
    assert points in payloads["/obstacles/1"]


@pytest.mark.timeout(30)
def test_the_layout_names_only_channels_that_exist(live: FoxgloveLive) -> None:
    with dial(live) as client:
        advertised = set(subscribe_to_all(client).values())
    text = (share_dir() / "config" / "foxglove" / "perception_platform.json").read_text()
    layout = json.loads(text)
    used = set(layout["configById"]["3D!scene"]["topics"])
    used |= set(layout["configById"]["Image!front"]["imageMode"].values())
    for panel in ("Plot!speed", "Plot!gap", "StateTransitions!action"):
        used |= {path["value"].split(".")[0] for path in layout["configById"][panel]["paths"]}
    used.add(layout["configById"]["RosOut!why"]["topicToRender"])
    assert used <= advertised
    assert Path(layout["layout"]["first"]["first"]).name in layout["configById"]


def test_a_taken_port_is_said(live: FoxgloveLive) -> None:
    with pytest.raises(InputError, match=f"127.0.0.1:{live.port}.*cannot listen"):
        FoxgloveLive(load_robot("amr"), port=live.port)
