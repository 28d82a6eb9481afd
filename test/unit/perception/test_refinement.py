"""Tracks of earlier moments in the graph: what they part, join, name and have looked at, and what they never take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.geometry import Transform
from perception_platform.core.objects import ObjectClass, Percept, Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.perception.camera_regions import asked_regions
from perception_platform.perception.component import Setup
from perception_platform.perception.components.regions_of_interest import RegionsOfInterest
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.perception.lidar_objects import GeometricPath
from perception_platform.perception.load import graph_path, load_graph
from perception_platform.perception.parameters import GeometryParams
from perception_platform.perception.predicted import predicted
from perception_platform.perception.refinement import refine, steady_names
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import HDL64_RAD, PERSON_SIZE_M, Solid, nearest_to, sweep

AMR = load_robot("amr")
LOOKING_BACK = AMR.model_copy(update={"perception": "track_aware"})
LIDAR = AMR.lidars[0]
MOUNTED = LIDAR.mounting.transform()
PAIR = [Solid(5.0, 0.33, PERSON_SIZE_M), Solid(5.0, -0.33, PERSON_SIZE_M)]
FORKLIFT_M = (2.4, 1.1, 2.0)
T_NS = 10**9
GRAPH = load_graph(LOOKING_BACK)


def tracks_of(*rows: tuple[float, float, tuple[float, float, float], ObjectClass], **changed: Any) -> Tracks:
    """Standing tracks at the moment of the sweeps here, in the base frame: x, y, size and class."""
    count = len(rows)
    columns: dict[str, Any] = {
        "ids": np.arange(1, count + 1),
        "centers_m": np.array([(x, y, 0.5 * size[2]) for x, y, size, _ in rows]).reshape(-1, 3),
        "velocities_mps": np.zeros((count, 2)),
        "sizes_m": np.array([size for _, _, size, _ in rows], dtype=float).reshape(-1, 3),
        "yaws_rad": np.zeros(count),
        "class_ids": np.array([int(c) for *_, c in rows], dtype=np.int64),
        "class_scores": np.full(count, 0.9),
        "existence": np.full(count, 0.99),
        "state_cov": np.tile(0.01 * np.eye(4), (count, 1, 1)),
        "last_seen_ns": np.full(count, T_NS),
        "first_seen_ns": np.zeros(count, dtype=np.int64),
        "sensors": np.ones(count, dtype=np.int64),
    }
    return Tracks(T_NS, "base_link", **(columns | changed))


def see(*solids: Solid, tracks: Tracks | None = None, graph: PerceptionGraph = GRAPH) -> Percept:
    cloud = replace(sweep(list(solids), MOUNTED, LIDAR.name, HDL64_RAD, 900), t_ns=T_NS)
    return graph.step(cloud, tracks=tracks)


def same(a: Percept, b: Percept) -> bool:
    return (
        a.detections.centers_m.tobytes() == b.detections.centers_m.tobytes()
        and a.detections.scores.tobytes() == b.detections.scores.tobytes()
        and a.obstacles.xyz_m.tobytes() == b.obstacles.xyz_m.tobytes()
    )


def test_the_file_is_the_shared_one_with_three_components_more() -> None:
    shared, aware = (
        yaml.safe_load(graph_path(name).read_text(encoding="utf-8")) for name in ("shared", "track_aware")
    )
    own = {"refined": "refined_objects", "regions": "looked_at", "names": "named_objects"}
    text = yaml.safe_dump({k: v for k, v in aware.items() if k != "percept"})
    for entry in [c for c in aware["components"] if c["name"] in own]:
        assert list(entry["outputs"].values()) == [own[entry["name"]]]
        aware["components"].remove(entry)
    assert all(text.count(result) >= 2 for result in own.values()), "what they make is taken"
    back = {"refined_objects": "lidar_objects", "looked_at": "lidar_objects", "named_objects": "objects"}
    for entry in [*aware["components"], *aware["applications"]]:
        entry["inputs"] = {port: back.get(result, result) for port, result in entry["inputs"].items()}
    aware["percept"]["detections"].remove("refined_objects")
    assert aware == shared


def test_without_tracks_it_sees_what_the_shared_graph_sees() -> None:
    assert same(see(*PAIR), see(*PAIR, graph=load_graph(AMR)))
    assert not load_graph(AMR).looks_back
    assert GRAPH.looks_back


def test_two_people_in_one_cluster_are_two_where_two_were_tracked() -> None:
    assert len(see(*PAIR).detections) == 1, "otherwise nothing is tested here"
    person = ObjectClass.PERSON
    found = see(*PAIR, tracks=tracks_of(*((s.x_m, s.y_m, s.size_m, person) for s in PAIR))).detections
    assert len(found) == 2
    for solid in PAIR:
        assert abs(found.centers_m[nearest_to(found, solid.x_m, solid.y_m), 1] - solid.y_m) < 0.15


def test_what_was_not_sure_parts_nothing() -> None:
    rows = [(s.x_m, s.y_m, s.size_m, ObjectClass.PERSON) for s in PAIR]
    doubtful = tracks_of(*rows, class_scores=np.full(2, 0.4))
    twice = tracks_of(*(2 * rows[:1]))
    unknown = tracks_of(*((*row[:3], ObjectClass.UNKNOWN) for row in rows))
    for tracks in (doubtful, twice, unknown):
        assert same(see(*PAIR, tracks=tracks), see(*PAIR))


def test_pieces_of_one_tracked_vehicle_are_one_box() -> None:
    ends = [Solid(5.2, 2.0, (0.8, 1.0, 1.8)), Solid(6.9, 2.0, (0.6, 1.0, 1.8))]
    assert len(see(*ends).detections) == 2
    tracks = tracks_of((6.0, 2.0, FORKLIFT_M, ObjectClass.FORKLIFT))
    found = see(*ends, tracks=tracks).detections
    assert len(found) == 1
    assert found.sizes_m[0, :2].max() > 1.8
    people = tracks_of((6.0, 2.0, FORKLIFT_M, ObjectClass.PERSON))
    assert len(see(*ends, tracks=people).detections) == 2, "two people are never made one"


CLASSES = st.sampled_from(list(ObjectClass))
ROW = st.tuples(st.floats(-1.0, 9.0), st.floats(-4.0, 4.0), st.tuples(*[st.floats(0.05, 6.0)] * 3), CLASSES)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, max_size=6), yaw_rad=st.floats(-4.0, 4.0))
def test_no_tracks_whatever_take_an_obstacle_point_or_leave_one_without_a_box(
    rows: list[Any], yaw_rad: float
) -> None:
    scene = [
        *PAIR,
        Solid(5.2, 2.0, (0.8, 1.0, 1.8)),
        Solid(6.9, 2.0, (0.6, 1.0, 1.8)),
        Solid(8.0, 0.0, (0.3, 6, 2)),
    ]
    tracks = tracks_of(*rows, yaws_rad=np.full(len(rows), yaw_rad))
    without, with_tracks = see(*scene), see(*scene, tracks=tracks)
    assert with_tracks.obstacles.xyz_m.tobytes() == without.obstacles.xyz_m.tobytes()
    assert with_tracks.detections.num_points.sum() == without.detections.num_points.sum()
    path = GeometricPath(AMR, GeometryParams())
    cloud = sweep(scene, MOUNTED, LIDAR.name, HDL64_RAD, 300)
    xyz_m, intensity = path.ready(cloud, LIDAR, MOUNTED)
    origin_m = MOUNTED.translation_m
    obstacles_m, heights_m, _, _ = path.layers(xyz_m, path.heights(xyz_m, origin_m), intensity, origin_m)
    pieces = path.pieces(obstacles_m, heights_m, origin_m)
    refined = refine(pieces, obstacles_m, origin_m, tracks, GeometryParams().clusters)
    assert np.array_equal(np.sort(refined.clusters.order), np.sort(pieces.clusters.order))
    assert len(refined.clusters) == len(refined.boxes.angle_rad) == len(refined.cut)
    assert refined.clusters.starts[-1] == len(refined.clusters.order)


def test_the_same_tracks_give_the_same_bytes() -> None:
    tracks = tracks_of(*((s.x_m, s.y_m, s.size_m, ObjectClass.PERSON) for s in PAIR))
    assert same(see(*PAIR, tracks=tracks), see(*PAIR, tracks=tracks, graph=load_graph(LOOKING_BACK)))


def test_if_it_fails_the_lidars_objects_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr("perception_platform.perception.components.track_refinement.refine", fail)
    graph = load_graph(LOOKING_BACK)
    assert same(see(*PAIR, graph=graph), see(*PAIR, graph=load_graph(AMR)))
    assert "refined" in graph.problems()


# --- names ----------------------------------------------------------------------------------------------------------


def test_an_object_without_a_name_is_called_as_its_track_and_no_name_is_taken() -> None:
    objects = see(Solid(5.0, 0.0, PERSON_SIZE_M)).detections
    unnamed = replace(objects, class_ids=np.zeros_like(objects.class_ids), scores=np.full(len(objects), 0.3))
    tracks = tracks_of((5.0, 0.0, PERSON_SIZE_M, ObjectClass.PERSON))
    named = steady_names(unnamed, tracks)
    assert named.class_ids.tolist() == [ObjectClass.PERSON]
    assert named.scores.tolist() == [0.9]
    as_car = tracks_of((5.0, 0.0, PERSON_SIZE_M, ObjectClass.CAR))
    assert objects.class_ids.tolist() == [ObjectClass.PERSON]
    assert steady_names(objects, as_car).class_ids.tolist() == [ObjectClass.PERSON]
    assert steady_names(objects, tracks).scores[0] >= 0.9
    elsewhere = tracks_of((5.0, 1.5, PERSON_SIZE_M, ObjectClass.PERSON))
    assert steady_names(unnamed, elsewhere).class_ids.tolist() == [ObjectClass.UNKNOWN]


def test_a_wall_is_not_called_as_somebody_who_stands_at_it() -> None:
    objects = see(Solid(5.0, 0.0, (0.3, 2.0, 2.0))).detections
    unnamed = replace(objects, class_ids=np.zeros_like(objects.class_ids))
    tracks = tracks_of((5.0, 0.0, PERSON_SIZE_M, ObjectClass.PERSON))
    assert steady_names(unnamed, tracks).class_ids.tolist() == [ObjectClass.UNKNOWN]


# --- regions --------------------------------------------------------------------------------------------------------


def test_the_camera_looks_where_somebody_was_whom_the_lidar_lost() -> None:
    (camera,) = AMR.cameras
    setup = Setup(AMR)
    nobody = see().detections
    moment, _ = GRAPH.begin(replace(sweep([], MOUNTED, LIDAR.name), t_ns=T_NS), ())
    tracks = tracks_of((12.0, 1.0, PERSON_SIZE_M, ObjectClass.PERSON))
    wanted = RegionsOfInterest(setup, None).step(moment, nobody, tracks)  # type: ignore[arg-type]
    assert len(asked_regions(nobody, camera)) == 0
    (box_px,) = asked_regions(wanted, camera)
    assert box_px[0] < 200.0 * -1.0 / 11.56 + 159.5 < box_px[2]


# --- carried on -----------------------------------------------------------------------------------------------------


def standing(t_ns: int = T_NS, pose: Transform | None = None) -> EgoState:
    return EgoState(t_ns, pose or Transform.identity(), (0.0, 0.0), 0.0)


def test_tracks_move_on_and_turn_into_the_robots_frame() -> None:
    tracks = replace(
        tracks_of((4.0, 0.0, PERSON_SIZE_M, ObjectClass.PERSON), velocities_mps=np.array([[0.0, 2.0]])),
        frame_id="odom",
    )
    t_ns = T_NS + 200_000_000
    seen = predicted(tracks, standing(t_ns, Transform.planar(1.0, 0.0, np.pi / 2)), t_ns, "base_link")
    assert (seen.frame_id, seen.t_ns) == ("base_link", t_ns)
    assert seen.centers_m[0, :2] == pytest.approx([0.4, -3.0])
    assert seen.velocities_mps[0] == pytest.approx([2.0, 0.0])
    assert seen.yaws_rad[0] == pytest.approx(-np.pi / 2)


@pytest.mark.parametrize(
    "changed",
    [
        {"existence": np.array([0.5])},
        {"region_radius_m": np.array([1.0])},
        {"last_seen_ns": np.array([T_NS - 10**9])},
        {"state_cov": np.eye(4)[None]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_doubtful_hidden_unseen_and_vague_tracks_are_left_out(changed: dict[str, Any]) -> None:
    tracks = tracks_of((4.0, 0.0, PERSON_SIZE_M, ObjectClass.PERSON))
    assert len(predicted(tracks, standing(), T_NS, "base_link")) == 1
    assert len(predicted(replace(tracks, **changed), standing(), T_NS, "base_link")) == 0


@pytest.mark.parametrize("late_s", [-0.1, 0.6])
def test_tracks_of_another_time_are_left_out(late_s: float) -> None:
    tracks = tracks_of((4.0, 0.0, PERSON_SIZE_M, ObjectClass.PERSON))
    t_ns = T_NS + round(late_s * 1e9)
    assert len(predicted(tracks, standing(t_ns), t_ns, "base_link")) == 0
    assert len(predicted(tracks, standing(T_NS - 10**9), T_NS, "base_link")) == 0, "odometry of another time"
