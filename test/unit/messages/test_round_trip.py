"""What is encoded, serialised and decoded again is what it was, to the bit."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_platform.bags.types import blank, known_types
from perception_platform.core.applications import ApplicationReport
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Transform
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import Detections, ModelRef, ObjectClass, Tracks
from perception_platform.core.runtime_status import ComponentCount, EdgeCount, RuntimeStatus
from perception_platform.core.sensor_data import (
    CameraModel,
    EgoState,
    SensorHealth,
    SensorProblem,
    SensorStatus,
)
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.core.verdicts import (
    Action,
    Assessment,
    Decision,
    Finding,
    GateState,
    NearObjects,
    ObjectRisks,
    Reason,
    Without,
)
from perception_platform.messages import cdr, objects, runtime, sensors, verdicts

OURS = "perception_platform_msgs/msg/"
T_NS = st.integers(0, (2**31 - 1) * 10**9)
FINITE = st.floats(-1e6, 1e6)
NUMBER = st.one_of(FINITE, st.just(float("inf")))
NOT_NEGATIVE = st.floats(0, 1e6)
SINGLE = st.floats(0, 1, width=32)
COUNT = st.integers(0, 2**31)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
MODELS = st.lists(st.builds(ModelRef, TEXT, TEXT), max_size=2).map(tuple)
STAGE = st.tuples(TEXT, st.lists(T_NS, min_size=5, max_size=5).map(sorted), st.tuples(T_NS, T_NS)).map(
    lambda a: StageTiming(a[0], *a[1], *a[2])
)
LINEAGE = st.builds(
    Lineage,
    st.lists(st.builds(SourceStamp, TEXT, T_NS), max_size=2).map(tuple),
    st.lists(STAGE, max_size=2).map(tuple),
)
FINDING = st.builds(
    Finding,
    st.sampled_from(Reason),
    st.sampled_from(Action),
    st.one_of(NOT_NEGATIVE, st.just(float("inf"))),
    TEXT,
    NUMBER,
    FINITE,
    TEXT,
    TEXT,
    st.lists(COUNT, max_size=2).map(tuple),
    st.lists(st.tuples(FINITE, FINITE, FINITE), max_size=2).map(tuple),
    TEXT,
    TEXT,
)
TRIPLE = st.tuples(FINITE, FINITE, FINITE)


def floats(element: st.SearchStrategy[float], *shape: int) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    return st.lists(element, min_size=size, max_size=size).map(
        lambda v: np.array(v, dtype=float).reshape(shape)
    )


def integers(element: st.SearchStrategy[int], n: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(element, min_size=n, max_size=n).map(lambda v: np.array(v, dtype=np.int64))


CLASSES = st.sampled_from([int(c) for c in ObjectClass])
FLAGS = st.integers(0, 7)
PIXEL = st.one_of(st.floats(0, 4096, width=32), st.just(float("nan")))
DETECTIONS = st.integers(0, 3).flatmap(
    lambda n: st.builds(
        Detections, T_NS, TEXT, floats(FINITE, n, 3), floats(NOT_NEGATIVE, n, 3), floats(FINITE, n),
        integers(CLASSES, n), floats(SINGLE, n), integers(FLAGS, n), integers(COUNT, n), floats(FINITE, n, 2, 2),
        floats(PIXEL, n, 4), LINEAGE, MODELS,
    )
)  # fmt: skip
EVENT = st.builds(
    TrackEvent, T_NS, COUNT, st.sampled_from(TrackChange), st.sampled_from(TrackReason), SINGLE, COUNT
)
TRACKS = st.integers(0, 3).flatmap(
    lambda n: st.builds(
        Tracks, T_NS, TEXT, integers(COUNT, n), floats(FINITE, n, 3), floats(FINITE, n, 2),
        floats(NOT_NEGATIVE, n, 3), floats(FINITE, n), integers(CLASSES, n), floats(SINGLE, n), floats(SINGLE, n),
        floats(FINITE, n, 4, 4), integers(T_NS, n), integers(T_NS, n), integers(FLAGS, n), LINEAGE, MODELS,
        st.lists(EVENT, max_size=2).map(tuple), floats(FINITE, n, 2), floats(FINITE, n, 2, 2), floats(NOT_NEGATIVE, n),
        floats(NOT_NEGATIVE, n),
    )
)  # fmt: skip
RISKS = st.integers(0, 3).flatmap(
    lambda n: st.builds(
        ObjectRisks, integers(COUNT, n), integers(CLASSES, n),
        st.lists(st.booleans(), min_size=n, max_size=n).map(lambda v: np.array(v, dtype=np.bool_)),
        *[floats(NUMBER, n)] * 14,
    )
)  # fmt: skip
NEAR = st.integers(0, 3).flatmap(
    lambda n: st.builds(NearObjects, integers(COUNT, n), floats(FINITE, n, 4, 2), floats(FINITE, n, 2))
)
ASSESSMENT = st.builds(
    Assessment, T_NS, st.lists(FINDING, max_size=2).map(tuple), RISKS, LINEAGE, MODELS,
    st.lists(TEXT, max_size=2).map(tuple), NEAR,
)  # fmt: skip
DECISION = st.builds(
    Decision, T_NS, COUNT, st.sampled_from(Action), st.sampled_from(GateState), NOT_NEGATIVE, NOT_NEGATIVE,
    st.lists(FINDING, max_size=2).map(tuple), st.booleans(), st.integers(-1, 10**12), st.one_of(st.none(), TRIPLE),
    TRIPLE, LINEAGE, MODELS, st.sampled_from(GateState), TEXT,
    st.none() | st.builds(Without, st.sampled_from(Action), NOT_NEGATIVE, st.none() | st.sampled_from(Reason)),
    NOT_NEGATIVE,
)  # fmt: skip
ANGLE = st.floats(-3.125, 3.125, width=32)
HEALTH = st.builds(
    SensorHealth, T_NS, TEXT, st.sampled_from(SensorStatus), st.lists(st.sampled_from(SensorProblem)).map(tuple),
    SINGLE, st.one_of(SINGLE, st.just(float("inf"))), COUNT, COUNT, COUNT, COUNT,
    st.lists(st.tuples(ANGLE, ANGLE), max_size=2).map(tuple), TEXT,
)  # fmt: skip
STATUS = st.builds(
    ModelStatus, T_NS, TEXT, st.one_of(st.none(), st.builds(ModelRef, st.just("people@3"), TEXT)),
    st.sampled_from(ModelState), TEXT, SINGLE, SINGLE, COUNT, COUNT, TEXT,
    st.builds(Assurance, TEXT, SINGLE, TEXT, st.booleans(), TEXT),
)  # fmt: skip
RUNTIME = st.builds(
    RuntimeStatus, T_NS, TEXT, st.lists(st.builds(EdgeCount, TEXT, TEXT, *[COUNT] * 7), max_size=2).map(tuple),
    COUNT, COUNT, st.integers(0, 5), TEXT, TEXT, NOT_NEGATIVE, SINGLE,
    st.lists(st.builds(ComponentCount, TEXT, NOT_NEGATIVE, COUNT, COUNT, COUNT, SINGLE, SINGLE), max_size=2).map(tuple),
)  # fmt: skip
REPORT = st.builds(
    ApplicationReport, T_NS, TEXT, TEXT, st.one_of(NOT_NEGATIVE, st.just(float("inf"))), TEXT,
    st.one_of(st.none(), st.tuples(FINITE, FINITE)), TEXT, NOT_NEGATIVE, NOT_NEGATIVE, NOT_NEGATIVE,
)  # fmt: skip

CASES = {
    "DetectionArray": (DETECTIONS, objects.detections_to_msg, objects.detections_from_msg),
    "TrackArray": (TRACKS, objects.tracks_to_msg, objects.tracks_from_msg),
    "RuntimeStatus": (RUNTIME, runtime.runtime_status_to_msg, runtime.runtime_status_from_msg),
    "ApplicationReport": (
        REPORT,
        lambda value, make: runtime.application_report_to_msg(value, "base_link", make),
        runtime.application_report_from_msg,
    ),
    "Lineage": (LINEAGE, objects.lineage_to_msg, lambda msg: objects.lineage_from_msg(msg, "test")),
    "RiskAssessment": (
        ASSESSMENT,
        lambda value, make: verdicts.assessment_to_msg(value, "base_link", make),
        verdicts.assessment_from_msg,
    ),
    "SafetyDecision": (
        DECISION,
        lambda value, make: verdicts.decision_to_msg(value, "base_link", make),
        verdicts.decision_from_msg,
    ),
    "SensorHealth": (HEALTH, verdicts.health_to_msg, verdicts.health_from_msg),
    "ModelStatus": (STATUS, verdicts.model_status_to_msg, verdicts.model_status_from_msg),
}


def through_cdr(type_name: str, message: Any) -> Any:
    """As it comes out of a bag."""
    store = known_types()
    return store.deserialize_cdr(bytes(store.serialize_cdr(message, type_name)), type_name)


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit, NaN like NaN, through all nested values."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_through_a_bag(name: str, data: st.DataObject) -> None:
    values, encode, decode = CASES[name]
    value = data.draw(values)
    assert_same(decode(through_cdr(OURS + name, encode(value, blank))), value)


@given(decision=CASES["SafetyDecision"][0])
@settings(max_examples=60, deadline=None)
def test_a_decision_written_directly_is_the_same_bytes(decision: Decision) -> None:
    store, name = known_types(), OURS + "SafetyDecision"
    expected = bytes(store.serialize_cdr(verdicts.decision_to_msg(decision, "base_link", blank), name))
    assert cdr.decision_to_cdr(decision, "base_link") == expected


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_with_messages_of_ros(name: str, data: st.DataObject) -> None:
    pytest.importorskip("perception_platform_msgs.msg", reason="the messages are not built here")

    def make(type_name: str) -> Any:
        package, kind, message = type_name.split("/")
        return getattr(importlib.import_module(f"{package}.{kind}"), message)()

    values, encode, decode = CASES[name]
    value = data.draw(values)
    assert_same(decode(encode(value, make)), value)


@given(T_NS, TRIPLE, st.tuples(*[st.floats(-3.1, 3.1)] * 3), TRIPLE)
@settings(max_examples=50, deadline=None)
def test_odometry(t_ns: int, xyz_m: Any, rpy_rad: Any, velocity: Any) -> None:
    ego = EgoState(t_ns, Transform.from_xyz_rpy(xyz_m, rpy_rad), velocity[:2], velocity[2])
    message = sensors.odometry_to_msg(ego, "odom", "base_link", blank)
    back = sensors.ego_from_odometry(through_cdr("nav_msgs/msg/Odometry", message))
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    assert (back.t_ns, back.velocity_mps, back.yaw_rate_radps) == (t_ns, velocity[:2], velocity[2])
    np.testing.assert_allclose(back.odom_from_base.rotation, ego.odom_from_base.rotation, atol=1e-12)
    np.testing.assert_array_equal(back.odom_from_base.translation_m, xyz_m)


def test_camera_model() -> None:
    matrix = np.array([[721.5, 0, 609.6], [0, 720.5, 172.9], [0, 0, 1.0]])
    camera = CameraModel(1242, 375, matrix, np.array([-0.37, 0.2, 0.001, 0.0005, -0.07]))
    message = sensors.camera_info_to_msg(camera, 5, "camera", blank)
    assert_same(
        sensors.camera_model_from_msg(through_cdr("sensor_msgs/msg/CameraInfo", message), "camera"), camera
    )


def broken(change: Callable[[Any], None], value: Any, encode: Any) -> Any:
    message = encode(value, blank)
    change(message)
    return message


def set_to(path: str, value: Any) -> Callable[[Any], None]:
    """Change one field, named by its path; a number in it is an index."""

    def change(message: Any) -> None:
        *way, last = path.split(".")
        for part in way:
            message = message[int(part)] if part.isdigit() else getattr(message, part)
        if last.isdigit():
            message[int(last)] = value
        else:
            setattr(message, last, value)

    return change


ONE_LINEAGE = Lineage((SourceStamp("front", 1),), (StageTiming("perception", 1, 2, 3, 4, 5, 6, 7),))
ONE_DETECTION = dataclasses.replace(
    Detections.empty(1, "base_link", ONE_LINEAGE),
    centers_m=np.ones((1, 3)), sizes_m=np.ones((1, 3)), yaws_rad=np.zeros(1), class_ids=np.array([1]),
    scores=np.ones(1), sensors=np.array([1]), num_points=np.array([9]), position_cov_m2=np.eye(2)[None],
    image_boxes_px=np.full((1, 4), np.nan),
)  # fmt: skip
ONE_FINDING = Finding(Reason.ZONE, Action.STOP, 0.0, "points", 5.0, 4.0, "points")
NO_RISKS = ObjectRisks(*[np.zeros(0)] * 9)
ONE_DECISION = Decision(
    1, 1, Action.STOP, GateState.STOPPED, 0.0, 1.0, (ONE_FINDING,), False, 5, (1.0, 0.0, 0.0), (0.0, 0.0, 0.0),
    without=Without(Action.LIMIT, 0.5, Reason.ZONE),
)  # fmt: skip
NAN = float("nan")


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("detections.0.center.x", NAN, "detections.center"),
        ("detections.0.yaw", float("inf"), "detections.yaw"),
        ("detections.0.size.y", -1.0, "detections.size"),
        ("detections.0.class_id", 99, "detections.class_id"),
        ("detections.0.score", NAN, "detections.score"),
        ("detections.0.position_covariance.0", NAN, "detections.position_covariance"),
        ("lineage.sensors", ["a", "b"], "lineage"),
        ("lineage.stages.0.started_ns", 99, "lineage.stages"),
        ("header.stamp.nanosec", 2_000_000_000, "header.stamp"),
        ("header.stamp.sec", -1, "header.stamp"),
    ],
)
def test_a_malformed_detection_is_refused_by_name(path: str, value: Any, field: str) -> None:
    message = broken(set_to(path, value), ONE_DETECTION, objects.detections_to_msg)
    with pytest.raises(InputError) as caught:
        objects.detections_from_msg(message, "/somewhere")
    assert (caught.value.source, caught.value.where) == ("/somewhere", field)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("action", 9, "action"),
        ("state", 77, "state"),
        ("speed_limit", NAN, "speed_limit"),
        ("output.linear.x", NAN, "output.linear.x"),
        ("command.angular.z", float("inf"), "command.angular.z"),
        ("findings.0.reason", 999, "findings.reason"),
        ("findings.0.value", NAN, "findings.value"),
        ("findings.0.speed_limit", -0.5, "findings.speed_limit"),
        ("latency", NAN, "latency"),
        ("profile", NAN, "profile"),
        ("previous_state", 77, "previous_state"),
        ("without_action", 77, "without_action"),
        ("without_reason", 999, "without_reason"),
        ("without_speed_limit", NAN, "without_speed_limit"),
    ],
)
def test_a_malformed_decision_is_refused_by_name(path: str, value: Any, field: str) -> None:
    message = broken(
        set_to(path, value), ONE_DECISION, lambda v, m: verdicts.decision_to_msg(v, "base_link", m)
    )
    with pytest.raises(InputError) as caught:
        verdicts.decision_from_msg(message)
    assert caught.value.where == field


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("pose.pose.position.z", NAN, "pose.pose.position.z"),
        ("pose.pose.orientation.w", 0.0, "pose.pose.orientation"),
        ("pose.pose.orientation.x", 0.5, "pose.pose.orientation"),
        ("twist.twist.linear.x", float("inf"), "twist.twist.linear.x"),
    ],
)
def test_malformed_odometry_is_refused_by_name(path: str, value: Any, field: str) -> None:
    ego = EgoState(1, Transform.identity(), (1.0, 0.0), 0.0)
    message = broken(
        set_to(path, value), ego, lambda v, m: sensors.odometry_to_msg(v, "odom", "base_link", m)
    )
    with pytest.raises(InputError) as caught:
        sensors.ego_from_odometry(message, "/odom")
    assert caught.value.where == field
