"""The graph: what is refused at load, what is computed and how often, and what a failure costs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from perception_platform.core.applications import ApplicationReport
from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage
from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import PointCloud
from perception_platform.perception.component import (
    Component,
    Measure,
    Moment,
    NoParams,
    Port,
    Ports,
    Setup,
    array,
)
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.load import build_graph, graph_path, load_graph
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import PERSON_SIZE_M, Solid, sweep

AMR = load_robot("amr")
LIDAR = AMR.lidars[0]
SWEEP_NS = 100_000_000
SCENE = [Solid(4.0, 0.5, PERSON_SIZE_M), Solid(7.0, -0.3, (0.4, 0.4, 0.4))]
CLOUD = sweep(SCENE, LIDAR.mounting.transform(), LIDAR.name)
SHARED = graph_path("shared")


class Nearest(Component):
    """Distance of the nearest obstacle point: what a user may add."""

    inputs: ClassVar[Ports] = {"obstacles": array("M", 3, unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"report": Port(Measure)}
    runs = 0

    def __init__(self, setup: Setup, params: NoParams) -> None: ...

    def step(self, moment: Moment, obstacles: Any) -> Measure:
        type(self).runs += 1
        return Measure("nearest", float(np.hypot(obstacles[:, 0], obstacles[:, 1]).min()), "m", None, "near")


class Broken(Component):
    """Raises at each sweep, in place of the camera."""

    inputs: ClassVar[Ports] = {"images": Port(dict, unit="px", frame="image")}
    outputs: ClassVar[Ports] = {"objects": Port(tuple, unit="px", frame="image")}

    def __init__(self, setup: Setup, params: NoParams) -> None: ...

    def step(self, moment: Moment, images: Any) -> Any:
        raise RuntimeError("no such luck")


class Untrue(Component):
    """Says one shape and makes another."""

    inputs: ClassVar[Ports] = {"obstacles": array("M", 3, unit="m", frame="base")}
    outputs: ClassVar[Ports] = {"ranges": array("S", unit="m", frame="base")}

    def __init__(self, setup: Setup, params: NoParams) -> None: ...

    def step(self, moment: Moment, obstacles: Any) -> Any:
        return np.zeros((3, 3))


class Untold(Component):
    """A head that does not say how far it can be trusted."""

    inputs: ClassVar[Ports] = {"images": Port(dict, unit="px", frame="image")}
    outputs: ClassVar[Ports] = {"objects": Port(tuple, unit="px", frame="image", head=True)}

    def __init__(self, setup: Setup, params: NoParams) -> None: ...

    def step(self, moment: Moment, images: Any) -> Any:
        return ()


@pytest.fixture
def graph_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PerceptionGraph]:
    """A graph from the robots' file after a change to it; components of this module are at hand as ``own.NAME``."""

    for made in (Nearest, Broken, Untrue, Untold):
        module = ModuleType(f"own.{made.__name__.lower()}")
        setattr(module, made.__name__, made)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "own", ModuleType("own"))

    def make(change: Callable[[dict[str, Any]], None], **how: Any) -> PerceptionGraph:
        file = yaml.safe_load(SHARED.read_text(encoding="utf-8"))
        change(file)
        path = tmp_path / "graph.yaml"
        path.write_text(yaml.safe_dump(file), encoding="utf-8")
        return build_graph(path, AMR, **how)

    return make


def served(graph: PerceptionGraph, cloud: PointCloud, **how: Any) -> tuple[ApplicationReport, ...]:
    """What applications say of a sweep."""
    graph.step(cloud, **how)
    return graph.serve()


def component(file: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [c for c in [*file["components"], *file["applications"]] if c["name"] == name]
    return found


def at_sweep(number: int) -> PointCloud:
    return replace(CLOUD, t_ns=number * SWEEP_NS)


# --- what is refused at load: the line names file, field and edge ---------------------------------------------------


def no_producer(file: dict[str, Any]) -> None:
    component(file, "ground")["inputs"]["points"] = "range_image"


def wrong_frame(file: dict[str, Any]) -> None:
    component(file, "ground")["inputs"]["points"] = "sweep"


def wrong_axes(file: dict[str, Any]) -> None:
    component(file, "in_the_way")["inputs"]["heights"] = "points"


def other_length(file: dict[str, Any]) -> None:
    component(file, "pieces")["inputs"]["heights"] = "tall_heights"


def circle(file: dict[str, Any]) -> None:
    second = deepcopy(component(file, "fusion")) | {"name": "fusion_2", "outputs": {"objects": "objects_2"}}
    second["inputs"]["objects"] = "objects"
    component(file, "fusion")["inputs"]["objects"] = "objects_2"
    file["components"].append(second)


def made_twice(file: dict[str, Any]) -> None:
    component(file, "free_space")["outputs"]["ranges"] = "heights"


def too_often(file: dict[str, Any]) -> None:
    component(file, "people_protection")["rate_hz"] = 25


def too_soon(file: dict[str, Any]) -> None:
    component(file, "people_protection")["deadline_ms"] = 20


def too_slow(file: dict[str, Any]) -> None:
    component(file, "pieces")["budget_ms"] = 500
    for application in file["applications"]:
        application["deadline_ms"] = 1000


def no_such_component(file: dict[str, Any]) -> None:
    component(file, "ground")["component"] = "grand"


def unknown_port(file: dict[str, Any]) -> None:
    component(file, "ground")["inputs"]["clouds"] = "points"


def port_left_out(file: dict[str, Any]) -> None:
    del component(file, "fusion")["inputs"]["image_objects"]


def bad_param(file: dict[str, Any]) -> None:
    component(file, "free_space")["params"] = {"sectors": 4}


def no_application(file: dict[str, Any]) -> None:
    component(file, "people_protection") | {"component": "ground"}
    component(file, "people_protection").update(component="free_space", inputs={"obstacles": "obstacles"})


def untold(file: dict[str, Any]) -> None:
    component(file, "camera_objects").update(component="own.untold", inputs={"images": "images"})


def no_obstacles(file: dict[str, Any]) -> None:
    file["percept"]["obstacles"] = "obstacle_heights_2"


def wrong_percept(file: dict[str, Any]) -> None:
    file["percept"]["detections"] = ["pieces"]


def shed_ground(file: dict[str, Any]) -> None:
    component(file, "ground")["shed_at"] = "optional_heads"


REFUSED = [
    (shed_ground, r"components\.ground\.shed_at: every decision needs it: it can't be left out"),
    (
        no_producer,
        r"components\.ground\.inputs\.points: nothing makes 'range_image'; there are sweep, images, scans",
    ),
    (wrong_frame, r"components\.ground\.inputs\.points: edge sweep → ground \('sweep'\): kind is PointCloud"),
    (
        wrong_axes,
        r"components\.in_the_way\.inputs\.heights: edge ready → in_the_way \('points'\): has 2 axes, 1",
    ),
    (
        other_length,
        r"pieces\.inputs\.heights: edge in_the_way → pieces \('tall_heights'\): an axis is as long as in_the_w",
    ),
    (circle, r"components\.fusion.*a circle: fusion(_2)? needs fusion(_2)? needs fusion"),
    (made_twice, r"components\.free_space\.outputs\.ranges: 'heights' is made by ground already"),
    (too_often, r"applications\.people_protection\.rate_hz: asks for 25 Hz; sweeps of amr come at 10 Hz"),
    (
        too_soon,
        r"applications\.people_protection\.deadline_ms: 20 ms can't be kept: the budgets up to it add up to",
    ),
    (too_slow, r"components: budgets add up to .* ms; latency\.bound_ms of amr leaves perception 190 ms"),
    (no_such_component, r"ground\.component: 'grand' can't be imported"),
    (unknown_port, r"components\.ground\.inputs\.clouds: ground has no such port, only points"),
    (port_left_out, r"components\.fusion\.inputs\.image_objects: missing: fusion has it"),
    (bad_param, r"components\.free_space\.params\.sectors: .*greater than or equal to 8, got 4"),
    (no_application, r"people_protection\.outputs\.ranges: missing|makes no report"),
    (
        untold,
        r"components\.camera_objects\.component: own\.untold is a head and does not say how far to trust it",
    ),
    (no_obstacles, r"percept\.obstacles: nothing makes 'obstacle_heights_2'"),
    (wrong_percept, r"percept\.detections: kind of 'pieces' is Pieces, not Detections"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[c.__name__ for c, _ in REFUSED])
def test_what_does_not_fit_is_refused_with_file_field_and_edge(
    graph_of: Callable[..., PerceptionGraph], change: Callable[[dict[str, Any]], None], said: str
) -> None:
    with pytest.raises(InputError, match=said) as raised:
        graph_of(change)
    assert raised.value.source.endswith("graph.yaml")


def test_a_unit_that_differs_is_refused(
    graph_of: Callable[..., PerceptionGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nearest, "inputs", {"obstacles": array("M", 3, unit="mm", frame="base")})
    with pytest.raises(
        InputError, match=r"edge in_the_way → people_protection.*unit is 'm', people_protection takes 'mm'"
    ):
        graph_of(
            lambda file: component(file, "people_protection").update(
                component="own.nearest", inputs={"obstacles": "obstacles"}
            )
        )


def test_a_component_that_makes_other_arrays_than_it_says_never_starts(
    graph_of: Callable[..., PerceptionGraph],
) -> None:
    graph = graph_of(lambda file: component(file, "free_space").update(component="own.untrue"))
    with pytest.raises(
        InputError, match=r"own\.untrue: ranges: is ndarray \(3, 3\), the port says ndarray \('S',\)"
    ):
        graph.warm_up()


def test_the_order_in_the_file_does_not_matter(graph_of: Callable[..., PerceptionGraph]) -> None:
    turned, straight = graph_of(lambda file: file["components"].reverse()), load_graph(AMR)
    first, second = turned.step(CLOUD).detections, straight.step(CLOUD).detections
    assert np.array_equal(first.centers_m, second.centers_m)
    assert turned.serve() == straight.serve()


# --- what is computed, and how often -----------------------------------------------------------------------------


def test_the_graph_is_the_geometric_path_to_the_bit() -> None:
    graph = load_graph(AMR)
    alone = GeometricPath(AMR, GeometryParams()).step(CLOUD, LIDAR, Lineage())
    percept = graph.step(CLOUD)
    assert len(alone.detections) > 0
    for name in ("centers_m", "sizes_m", "yaws_rad", "class_ids", "scores", "position_cov_m2"):
        assert getattr(percept.detections, name).tobytes() == getattr(alone.detections, name).tobytes()
    assert percept.obstacles.xyz_m.tobytes() == alone.obstacles.xyz_m.tobytes()


def test_each_component_runs_once_a_sweep_for_all_applications() -> None:
    graph = load_graph(AMR)
    for i in range(10):
        graph.step(at_sweep(i))
        graph.serve()
    runs = {count.component: count.runs for count in graph.component_counts()}
    assert runs["ground"] == runs["pieces"] == runs["people_protection"] == runs["vehicle_following"] == 10
    assert runs["free_space"] == runs["free_space_keeping"] == 5, "asked for at half the rate of sweeps"


def test_applications_say_what_they_see() -> None:
    reports = {r.application: r for r in served(load_graph(AMR), CLOUD)}
    assert set(reports) == {"people_protection", "vehicle_following", "free_space_keeping"}
    person = reports["people_protection"]
    assert person.value == pytest.approx(4.0 - 0.25 - 0.45, abs=0.15)
    assert person.unit == "m"
    gap = reports["vehicle_following"]
    assert gap.text.startswith(
        "something that is no vehicle"
    )  # a box without a name is an obstacle all the same
    assert gap.value == pytest.approx(4.0 - 0.25 - 0.45, abs=0.15) or gap.value == pytest.approx(
        6.35, abs=0.15
    )
    free = reports["free_space_keeping"]
    assert free.value == pytest.approx(np.hypot(*free.point_m))  # type: ignore[misc]
    assert 3.5 < free.value < 4.1


def test_an_unnamed_thing_of_a_persons_size_counts_for_people_protection(
    graph_of: Callable[..., PerceptionGraph],
) -> None:
    nobody = sweep([Solid(5.0, 0.0, (0.9, 1.15, 0.9))], LIDAR.mounting.transform(), LIDAR.name)
    graph = load_graph(AMR)
    assert ObjectClass.PERSON not in graph.step(nobody).detections.class_ids
    (report,) = [r for r in graph.serve() if r.application == "people_protection"]
    assert report.value < 5.0

    def named_only(file: dict[str, Any]) -> None:
        component(file, "people_protection")["params"] = {"unnamed": False}

    (report,) = [r for r in served(graph_of(named_only), nobody) if r.application == "people_protection"]
    assert report.value == np.inf
    assert report.point_m is None


def test_without_anything_there_is_nothing_to_report() -> None:
    empty = PointCloud(0, LIDAR.name, LIDAR.name, np.zeros((0, 3), dtype=np.float32))
    graph = load_graph(AMR)
    values = {r.application: r.value for r in served(graph, empty)}
    assert values == {"people_protection": np.inf, "vehicle_following": np.inf, "free_space_keeping": 30.0}
    (status,) = graph.model_status(0)
    assert status.assurance.out_of_domain
    assert "too few to find the ground" in status.assurance.reason


def test_no_decision_waits_for_an_application() -> None:
    graph = load_graph(AMR)
    graph.step(CLOUD)
    runs = {count.component: count.runs for count in graph.component_counts()}
    assert (runs["fusion"], runs["free_space"], runs["people_protection"]) == (1, 0, 0)
    assert len(graph.serve()) == 3
    assert graph.serve() == (), "each sweep once"
    assert {c.component: c.runs for c in graph.component_counts()}["fusion"] == 1, "and nothing twice"


def test_what_nobody_asks_for_is_not_computed(graph_of: Callable[..., PerceptionGraph]) -> None:
    graph = graph_of(lambda file: file.update(applications=[]))
    assert served(graph, CLOUD) == ()
    assert {c.component: c.runs for c in graph.component_counts()}["free_space"] == 0


@given(
    points=arrays.arrays(
        np.float32, st.tuples(st.integers(0, 300), st.just(3)), elements=st.floats(-80, 80, width=32)
    )
)
@settings(max_examples=30, deadline=None)
def test_any_points_give_reports_that_mean_something(points: np.ndarray) -> None:
    reports = served(load_graph(AMR), PointCloud(0, LIDAR.name, LIDAR.name, points))
    assert len(reports) == 3
    assert all(report.value >= 0 for report in reports), "no NaN, nothing negative"
    assert all(np.isfinite(report.point_m or (0.0, 0.0)).all() for report in reports)


def test_stamps_that_run_backwards_serve_everybody_and_equal_ones_nobody_twice() -> None:
    graph = load_graph(AMR)
    assert len(served(graph, at_sweep(50))) == 3
    assert len(served(graph, at_sweep(50))) == 0
    assert len(served(graph, at_sweep(10))) == 3


# --- failures, budgets, shedding ---------------------------------------------------------------------------------


def test_a_component_that_raises_costs_only_what_it_would_have_added(
    graph_of: Callable[..., PerceptionGraph],
) -> None:
    graph = graph_of(
        lambda file: component(file, "camera_objects").update(
            component="own.broken", inputs={"images": "images"}
        )
    )
    percept = graph.step(CLOUD)
    assert np.array_equal(percept.detections.centers_m, load_graph(AMR).step(CLOUD).detections.centers_m)
    counts = {count.component: count for count in graph.component_counts()}
    assert (counts["camera_objects"].runs, counts["camera_objects"].failures) == (1, 1)
    assert counts["fusion"].runs == 0, "it has nothing to fuse"
    assert graph.problems() == {"camera_objects": "RuntimeError: no such luck"}


def test_when_the_geometric_path_itself_fails_the_error_comes_out(
    graph_of: Callable[..., PerceptionGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(lambda file: None)

    def fail(*_: Any) -> None:
        raise MemoryError("no memory for heights")

    monkeypatch.setattr(GeometricPath, "heights", fail)
    with pytest.raises(MemoryError, match="no memory for heights"):
        graph.step(CLOUD)


def test_runs_over_their_budget_are_counted(graph_of: Callable[..., PerceptionGraph]) -> None:
    def ticks() -> Any:
        now_ns = 0
        while True:
            yield now_ns
            now_ns += 5_000_000

    clock = ticks()
    graph = graph_of(lambda file: None, clock_ns=lambda: next(clock))
    graph.step(CLOUD)
    counts = {count.component: count for count in graph.component_counts()}
    assert (counts["in_the_way"].budget_s, counts["in_the_way"].overruns) == (0.004, 1)
    assert (counts["ground"].budget_s, counts["ground"].overruns) == (0.010, 0)
    assert counts["ground"].run_time_p50_s == pytest.approx(0.005)


def test_shed_components_are_left_out_and_the_rest_goes_on(graph_of: Callable[..., PerceptionGraph]) -> None:
    def shed_space(file: dict[str, Any]) -> None:
        component(file, "free_space")["shed_at"] = "optional_heads"

    graph = graph_of(shed_space)
    assert graph.sheds == {"optional_heads"}  # the camera's step sheds nothing where there is no model
    reports = served(graph, CLOUD, shed=("stale_frames", "optional_heads"))
    assert {r.application for r in reports} == {"people_protection", "vehicle_following"}
    assert len(served(graph, replace(CLOUD, t_ns=10 * SWEEP_NS))) == 3
