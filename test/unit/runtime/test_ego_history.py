from __future__ import annotations

from perception_platform.core.geometry import Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s
from perception_platform.runtime.ego_history import EgoHistory


def ego(t_s: float) -> EgoState:
    return EgoState(from_s(t_s), Transform.identity(), (1.0, 0.0), 0.0)


def filled(*times_s: float) -> EgoHistory:
    history = EgoHistory(keep_s=1.0)
    for t_s in times_s:
        history.add(ego(t_s))
    return history


def nearest_s(history: EgoHistory, t_s: float) -> float | None:
    found = history.nearest(from_s(t_s))
    return found and found.t_ns / 1e9


def test_the_closest_in_time_is_found_on_either_side() -> None:
    history = filled(10.0, 10.1, 10.2, 10.3)
    assert nearest_s(history, 10.14) == 10.1
    assert nearest_s(history, 10.16) == 10.2
    assert nearest_s(history, 99.0) == 10.3


def test_before_the_first_there_is_none() -> None:
    assert EgoHistory().nearest(0) is None


def test_what_is_older_than_it_should_keep_is_gone() -> None:
    assert nearest_s(filled(10.0, 10.5, 11.2), 10.0) == 10.5


def test_it_starts_over_when_time_goes_backwards() -> None:
    assert nearest_s(filled(10.0, 10.1, 5.0), 10.1) == 5.0
