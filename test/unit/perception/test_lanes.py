"""Components side by side: each runs once, after what it takes, and the results are those of one after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Barrier, get_ident
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.objects import ModelRef, ObjectClass
from perception_platform.core.sensor_data import Image
from perception_platform.inference.chain import Chain, ChainRules
from perception_platform.perception.camera_chain import CameraChain
from perception_platform.perception.fusion import ImageObjects
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.lanes import Lanes
from perception_platform.perception.load import build_graph, graph_path
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, sweep

AMR = load_robot("amr")
CLOUD = sweep([Solid(4.0, 0.5, PERSON_SIZE_M)], AMR.lidars[0].mounting.transform(), AMR.lidars[0].name)
IMAGE = Image(CLOUD.t_ns, "camera_front", "camera_front", np.full((240, 320, 3), 90, np.uint8))
MEET_S = 20.0


@dataclass(frozen=True)
class Made:
    """A task that makes one result."""

    takes: tuple[int, ...]
    makes: tuple[int, ...]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Made], list[Made]]:
    """Tasks of which each takes results of earlier ones, and those that run beside."""
    count = draw(st.integers(1, 8))
    tasks = [
        Made(tuple(sorted(draw(st.sets(st.integers(0, i), max_size=3)))), (i + 1,)) for i in range(count)
    ]
    return tasks, [task for task in tasks if draw(st.booleans())]


@settings(max_examples=40, deadline=None)
@given(plans(), st.integers(0, 99))
def test_each_runs_once_after_what_it_takes_whatever_takes_long(
    plan: tuple[list[Made], list[Made]], seed: int
) -> None:
    tasks, beside = plan
    delay_s = np.random.default_rng(seed).uniform(0.0, 0.002, len(tasks) + 1)
    lanes = Lanes(beside)
    for _ in range(2):  # the threads serve one sweep after the other
        results: list[Any] = [(), *[None] * len(tasks)]
        ran: list[Made] = []

        def work(task: Made, results: list[Any] = results, ran: list[Made] = ran) -> None:
            time.sleep(delay_s[task.makes[0]])
            results[task.makes[0]] = (task.makes[0], *(results[at] for at in task.takes))
            ran.append(task)

        lanes.run(tasks, work)
        wanted: list[Any] = [()]
        for task in tasks:
            wanted.append((task.makes[0], *(wanted[at] for at in task.takes)))
        assert results == wanted
        assert sorted(t.makes for t in ran) == [t.makes for t in tasks]


def test_what_does_not_wait_runs_at_the_same_time() -> None:
    """Both meet at a barrier, which one thread alone would never pass."""
    first, second, last = Made((0,), (1,)), Made((0,), (2,)), Made((1, 2), (3,))
    both, threads = Barrier(2), set()

    def work(task: Made) -> None:
        if task is not last:
            both.wait(MEET_S)
        threads.add(get_ident())

    Lanes([second]).run([first, second, last], work)
    assert len(threads) == 2


def test_an_error_in_a_thread_of_its_own_reaches_the_caller() -> None:
    def work(task: Made) -> None:
        raise RuntimeError("no such luck")

    with pytest.raises(RuntimeError, match="no such luck"):
        Lanes([Made((), (1,))]).run([Made((), (1,))], work)


# --- in the graph ---------------------------------------------------------------------------------------------------


class Head:
    """A model that sees one person, and may wait for the lidar path to be at work."""

    model = ModelRef("made_up@1", "0" * 64)
    backend = "none"

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def step(self, image: Image) -> ImageObjects:
        self.threads.add(get_ident())
        return ImageObjects(
            image.sensor,
            image.t_ns,
            np.array([[120.0, 60.0, 160.0, 200.0]]),
            np.array([int(ObjectClass.PERSON)]),
            np.array([0.9]),
            self.model,
        )


def graph_with(head: Head, beside: bool, tmp_path: Any, at_regions: bool) -> PerceptionGraph:
    file = yaml.safe_load(graph_path("shared").read_text(encoding="utf-8"))
    (entry,) = [c for c in file["components"] if c["name"] == "camera_objects"]
    entry["beside"] = beside
    path = tmp_path / f"{beside}.yaml"
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    chain: Any = Chain("camera_objects/camera_front", [head], ChainRules(1.0))  # type: ignore[list-item]
    return build_graph(path, AMR, [CameraChain("camera_front", chain, at_regions)])


@pytest.mark.parametrize("at_regions", [True, False])
def test_camera_and_lidar_beside_each_other_see_what_they_see_in_turn(
    tmp_path: Any, at_regions: bool
) -> None:
    heads = Head(), Head()
    in_turn, beside = (
        graph_with(head, on, tmp_path, at_regions) for head, on in zip(heads, (False, True), strict=True)
    )
    for _ in range(5):
        first, second = (graph.step(CLOUD, [IMAGE]) for graph in (in_turn, beside))
        for name in ("centers_m", "sizes_m", "class_ids", "scores", "sensors", "image_boxes_px"):
            assert getattr(first.detections, name).tobytes() == getattr(second.detections, name).tobytes()
        assert first.detections.lineage == second.detections.lineage
        assert first.obstacles.xyz_m.tobytes() == second.obstacles.xyz_m.tobytes()
        assert len(first.detections.image_boxes_px[~np.isnan(first.detections.image_boxes_px[:, 0])])
    assert heads[0].threads == {get_ident()}
    assert get_ident() not in heads[1].threads
    assert len(heads[1].threads) == 1


def test_without_regions_the_camera_does_not_wait_for_the_lidar(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head meets the ground's step, which is early in the lidar path, at a barrier."""
    both, head = Barrier(2), Head()
    graph = graph_with(head, True, tmp_path, at_regions=False)
    (ground,) = [step for step in graph.steps if step.wired.name == "ground"]
    seen, stood = head.step, ground.component.step

    def meet(step: Any) -> Any:
        def met(*args: Any) -> Any:
            both.wait(MEET_S)
            return step(*args)

        return met

    monkeypatch.setattr(head, "step", meet(seen))
    monkeypatch.setattr(ground.component, "step", meet(stood))
    graph.step(CLOUD, [IMAGE])
    assert not both.broken
    assert not graph.problems()
