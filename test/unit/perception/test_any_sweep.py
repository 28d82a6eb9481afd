"""What has to hold for any sweep: properties, and clouds that no lidar would send."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.objects import Percept
from perception_platform.core.sensor_data import PointCloud
from perception_platform.messages.clouds import cloud_from_msg
from perception_platform.perception.load import load_graph
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from test.unit.perception.sweeps import (
    CAR_SIZE_M,
    HDL64_RAD,
    PERSON_SIZE_M,
    Solid,
    is_valid,
    nearest_to,
    sweep,
)

AMR = load_robot("amr")


def centred() -> Robot:
    """The AMR with its lidar in the middle, so that nothing of it hides other things after a turn."""
    lidar = AMR.sensor("lidar_top")
    mounting = lidar.mounting.model_copy(update={"xyz_m": (0.0, 0.0, 1.1)})
    return AMR.model_copy(update={"sensors": [lidar.model_copy(update={"mounting": mounting})]})


ROBOT = centred()
GRAPH = load_graph(ROBOT)
SCENE = [Solid(8.0, 1.0, CAR_SIZE_M, 0.3), Solid(4.0, -2.0, PERSON_SIZE_M), Solid(-7.0, 3.0, (0.3, 6.0, 2.0))]
SWEEP = sweep(SCENE, ROBOT.lidars[0].mounting.transform(), "lidar_top", HDL64_RAD, 900)
WITH_INTENSITY = replace(
    SWEEP, intensity=np.random.default_rng(0).uniform(0, 0.2, len(SWEEP)).astype(np.float32)
)
SEEN = GRAPH.step(WITH_INTENSITY)


def is_whole(percept: Percept) -> bool:
    return is_valid(percept.detections) and bool(np.isfinite(percept.obstacles.xyz_m).all())


@settings(max_examples=15, deadline=None)
@given(turn_rad=st.floats(-np.pi, np.pi))
def test_turning_the_sweep_turns_every_box(turn_rad: float) -> None:
    turn = Transform.planar(0.0, 0.0, turn_rad)
    turned = replace(WITH_INTENSITY, xyz_m=turn.apply(SWEEP.xyz_m).astype(np.float32))
    found = GRAPH.step(turned).detections
    for k in range(2):  # the wall is cut where the grid happens to lie
        solid = SCENE[k]
        i = nearest_to(SEEN.detections, solid.x_m, solid.y_m)
        where = turn.apply(SEEN.detections.centers_m)[i]
        j = nearest_to(found, *where[:2])
        assert found.centers_m[j] == pytest.approx(where, abs=0.2)
        assert found.sizes_m[j, :2].max() == pytest.approx(SEEN.detections.sizes_m[i, :2].max(), abs=0.3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_points_does_not_matter(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(SWEEP))
    assert WITH_INTENSITY.intensity is not None
    mixed = replace(WITH_INTENSITY, xyz_m=SWEEP.xyz_m[order], intensity=WITH_INTENSITY.intensity[order])
    found = GRAPH.step(mixed)
    order_of = [np.lexsort(percept.obstacles.xyz_m.T) for percept in (found, SEEN)]
    assert np.array_equal(found.obstacles.xyz_m[order_of[0]], SEEN.obstacles.xyz_m[order_of[1]])
    for name in ("centers_m", "sizes_m", "yaws_rad", "class_ids", "scores", "num_points", "position_cov_m2"):
        assert np.array_equal(getattr(found.detections, name), getattr(SEEN.detections, name)), name


@settings(max_examples=10, deadline=None)
@given(t_ns=st.integers(0, 2**62), stretch=st.floats(0.0, 100.0))
def test_when_it_was_taken_and_how_long_it_took_does_not_matter(t_ns: int, stretch: float) -> None:
    offset_s = np.linspace(-0.1 * stretch, 0.0, len(SWEEP), dtype=np.float32)
    found = GRAPH.step(replace(WITH_INTENSITY, t_ns=t_ns, offset_s=offset_s))
    assert found.detections.t_ns == found.obstacles.t_ns == t_ns
    assert np.array_equal(found.detections.centers_m, SEEN.detections.centers_m)
    assert np.array_equal(found.obstacles.xyz_m, SEEN.obstacles.xyz_m)


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.0, 1.0), dead=st.sets(st.integers(0, 63), max_size=40), seed=st.integers(0, 99))
def test_less_of_a_sweep_gives_less_but_nothing_broken(share: float, dead: set[int], seed: int) -> None:
    """Cut short, with dead beams, with points that come twice and zeros in between."""
    rng = np.random.default_rng(seed)
    beam = np.round(np.linspace(0, 63, len(SWEEP))).astype(int)
    xyz_m = SWEEP.xyz_m[: int(share * len(SWEEP))][~np.isin(beam[: int(share * len(SWEEP))], list(dead))]
    again = xyz_m[rng.integers(0, len(xyz_m), 200)] if len(xyz_m) else xyz_m
    spoiled = np.vstack([xyz_m, again, np.zeros((50, 3), np.float32), np.full((9, 3), np.nan, np.float32)])
    assert is_whole(GRAPH.step(replace(SWEEP, xyz_m=spoiled)))


NUMBERS = st.sampled_from([0.0, -0.0, 1e-38, 0.5, -3.0, 12.0, 59.0, 1e4, 3e38, np.nan, np.inf, -np.inf])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=60), st.booleans())
def test_numbers_that_no_lidar_sends_are_survived(rows: list[tuple[float, ...]], bright: bool) -> None:
    table = np.array(rows, dtype=np.float32).reshape(-1, 4)
    cloud = PointCloud(0, "lidar_top", "lidar_top", table[:, :3], table[:, 3] if bright else None)
    assert is_whole(GRAPH.step(cloud))


@settings(max_examples=60, deadline=None)
@given(
    layout=st.lists(
        st.tuples(
            st.sampled_from(["x", "y", "z", "intensity", "ring", "time", "t", "rgb", ""]),
            st.integers(0, 40),
            st.integers(-1, 10),
        ),
        max_size=8,
    ),
    step=st.integers(0, 40),
    width=st.integers(0, 50),
    data=st.binary(max_size=1200),
    bigendian=st.booleans(),
)
def test_wrong_field_layouts_end_in_a_refusal_or_a_percept(
    layout: list[tuple[str, int, int]], step: int, width: int, data: bytes, bigendian: bool
) -> None:
    fields = [SimpleNamespace(name=n, offset=o, datatype=d, count=1) for n, o, d in layout]
    stamp = SimpleNamespace(sec=0, nanosec=0)
    message: Any = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="lidar_top"),
        fields=fields,
        width=width,
        height=1,
        point_step=step,
        row_step=step * width,
        is_bigendian=bigendian,
        data=(data * (step * width // max(len(data), 1) + 1))[: step * width],
    )
    try:
        cloud = cloud_from_msg(message, "lidar_top")
    except InputError:
        return
    assert is_whole(GRAPH.step(cloud))
