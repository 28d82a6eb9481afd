"""A person walks through the dirty sector of a lidar: alone it loses them, with a camera they stay who they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.load import load_graph
from perception_platform.replay.run import replay_lockstep
from perception_platform.robot.description import Model
from perception_platform.robot.load import load_robot, share_dir
from test.replay.cape_detector import cape_detector

BAG = share_dir() / "rosbags" / "dirty_lidar" / "dirty_lidar.mcap"
GAP_S = (2.6, 4.0)  # when nothing of the person is outside the sector
SPEED_MPS = 0.8  # along y, from -2.4 m, 5 m ahead: make_recordings.py

People = list[tuple[float, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, People]:
    """The people among the tracks of each sweep, by time since the start: by lidar alone, and with the camera."""
    robot, folder = load_robot("amr"), tmp_path_factory.mktemp("dirty_lidar")
    cape = Model(head="camera_objects", sensor="camera_front", path=str(cape_detector(folder / "cape")))
    robots = {"alone": robot, "with_camera": robot.model_copy(update={"models": [cape]})}
    return {name: _people(BAG, folder / name, load_graph(equipped)) for name, equipped in robots.items()}


def _people(bag: Path, out_dir: Path, graph: PerceptionGraph) -> People:
    start_ns = replay_lockstep(bag, load_robot("amr"), graph, out_dir)["start_ns"]
    lines = [json.loads(line) for line in (out_dir / "tracks.jsonl").read_text("utf-8").splitlines()]
    return [
        ((line["t_ns"] - start_ns) * 1e-9, [t for t in line["tracks"] if t["class"] == "person"])
        for line in lines
    ]


def test_the_lidar_alone_loses_the_person(people: dict[str, People]) -> None:
    found = people["alone"]
    assert all(seen for t_s, seen in found if 0.5 < t_s < 2.0)
    assert not any(seen for t_s, seen in found if GAP_S[0] < t_s < GAP_S[1])
    ids = [{p["id"] for _, seen in part for p in seen} for part in (found[:20], found[-10:])]
    assert ids[0].isdisjoint(ids[1])


def test_with_the_camera_it_is_one_person_all_along(people: dict[str, People]) -> None:
    found = people["with_camera"]
    assert all(len(seen) == 1 for t_s, seen in found if t_s > 0.5)
    assert len({p["id"] for _, seen in found for p in seen}) == 1
    for t_s, (person,) in (entry for entry in found if GAP_S[0] < entry[0] < GAP_S[1]):
        assert person["sensors"] == ["camera"]
        assert person["center_odom_m"][:2] == pytest.approx([5.0, -2.4 + SPEED_MPS * t_s], abs=0.4)
        assert person["velocity_mps"] == pytest.approx([0.0, SPEED_MPS], abs=0.4)
