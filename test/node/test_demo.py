"""The demo as a user runs it: real nodes, a live view that a client can watch, a report at the end."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from websockets.sync.client import connect

COMMAND = (sys.executable, "-c", "from perception_platform.cli.main import main; main()", "demo")
DOMAIN = 1 + os.getpid() % 100
LONGEST_START_S = 60.0


def demo(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"ROS_DOMAIN_ID": str(DOMAIN), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def port_of(running: subprocess.Popen[str]) -> int:
    """Read what the demo says until it names the port of its live view."""
    assert running.stdout is not None
    for line in running.stdout:
        if found := re.search(r"ws://localhost:(\d+)", line):
            return int(found[1])
    raise AssertionError("the demo named no port")


def watch(port: int, wanted: set[str], within_s: float) -> dict[str, list[bytes]]:
    """Subscribe to channels and keep what comes until each has delivered."""
    got: dict[str, list[bytes]] = {topic: [] for topic in wanted}
    deadline_s = time.monotonic() + within_s
    with connect(f"ws://127.0.0.1:{port}", subprotocols=["foxglove.sdk.v1"], max_size=None) as client:
        topics: dict[int, str] = {}
        while not all(got.values()) and time.monotonic() < deadline_s:
            frame = client.recv(timeout=within_s)
            if isinstance(frame, str):
                said = json.loads(frame)
                if said["op"] == "advertise":
                    new = {c["id"]: c["topic"] for c in said["channels"] if c["topic"] in wanted}
                    topics |= new
                    subscriptions = [{"id": i, "channelId": i} for i in new]
                    client.send(json.dumps({"op": "subscribe", "subscriptions": subscriptions}))
            elif frame[0] == 1:
                channel, _log_ns = struct.unpack_from("<IQ", frame, 1)
                got[topics[channel]].append(frame[13:])
    return got


@pytest.mark.timeout(180)
def test_the_demo_shows_decides_and_reports(tmp_path: Path) -> None:
    running = demo("--out", str(tmp_path), "--port", "0")
    try:
        wanted = {"/tf", "/tracks", "/obstacles/1", "/obstacles/2", "/camera/1/image", "/decision", "/robot"}
        got = watch(port_of(running), wanted, within_s=LONGEST_START_S)
        said, _ = running.communicate(timeout=100)
    finally:
        running.kill()
    assert running.returncode == 0, said
    assert all(got.values()), {topic: len(frames) for topic, frames in got.items()}
    assert json.loads(got["/decision"][-1])["action"] in ("emergency_stop", "stop", "limit", "proceed")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["decisions"]["stop"] + summary["decisions"]["emergency_stop"] > 20
    assert summary["decisions"]["limit"] + summary["decisions"]["proceed"] > 100
    assert re.search(r"\d+\.\d s +(stop|emergency_stop|limit|proceed) ", said)  # a line now and then
    assert "what the safety gate decided" in said
    lines = [json.loads(line) for line in (tmp_path / "applications.jsonl").read_text().splitlines()]
    served = Counter(line["application"] for line in lines)
    assert min(served["people_protection"], served["vehicle_following"]) > 50, (
        "beside each other on one layer"
    )
    assert (tmp_path / "report.html").stat().st_size > 1000
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(180)
def test_a_real_drive_is_driven_without_an_emergency_stop(shared_data: Path, tmp_path: Path) -> None:
    drive = shared_data / "kitti_drive_0052"
    running = demo("--drive", str(drive), "--out", str(tmp_path), "--headless")
    try:
        said, _ = running.communicate(timeout=160)
    finally:
        running.kill()
    assert running.returncode == 0, said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["robot"] == "delivery_van"
    lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    settled = [line for line in lines if line["t_ns"] - summary["start_ns"] > 0.6e9]
    assert len(settled) > 30
    assert all(line["action"] != "emergency_stop" for line in settled)
    assert any(line["action"] == "limit" for line in settled)
    moments = [json.loads(line)["tracks"] for line in (tmp_path / "tracks.jsonl").read_text().splitlines()]
    in_path = [[t for t in tracks if t["in_path"] and t["class"] == "car"] for tracks in moments]
    ahead = {min(tracks, key=lambda t: t["gap_m"])["id"] for tracks in in_path if tracks}
    assert len(ahead) == 1, "the car ahead is one track throughout"


@pytest.mark.timeout(30)
def test_a_folder_that_is_no_drive_is_refused_in_one_line(tmp_path: Path) -> None:
    running = demo("--drive", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"), "--headless")
    said, _ = running.communicate(timeout=25)
    assert running.returncode == 2
    assert str(tmp_path / "nothing") in said
    assert "Traceback" not in said
