"""The formulas of docs/risk.md as curves, with the figures of one robot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perception_platform.explain.look import spoken
from perception_platform.risk import measures as m
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.objects import PERSON_MAX_MPS, PERSON_MAX_MPS2, WALKING_MPS
from perception_platform.robot.description import Robot

_COLOURS = ("#0072b2", "#d55e00", "#009e73")


def draw_measures(robot: Robot, path: Path) -> None:
    """Nine panels: one a formula."""
    config = RiskConfig.from_robot(robot)
    reaction_s = config.reaction_after_s(config.expected_latency_s)
    panels: list[Callable[[Axes, RiskConfig, float], None]] = [
        _stopping,
        _limits,
        _required,
        _ttc,
        _headway,
        _rss,
        _encroachment,
        _reach,
        _separation,
    ]
    figure = Figure(figsize=(10.5, 9.0), dpi=100)
    figure.suptitle(f"{spoken(robot.name)}: reaction {reaction_s:.2f} s, service brake", fontsize=11)
    for i, draw in enumerate(panels):
        axes = figure.add_subplot(3, 3, i + 1)
        draw(axes, config, reaction_s)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
        axes.title.set_fontsize(9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _speeds(config: RiskConfig) -> Any:
    return np.linspace(0.0, config.max_speed_mps, 80)


def _curves(axes: Axes, x: Any, curves: dict[str, Any], **labels: str) -> None:
    for colour, (name, y) in zip(_COLOURS, curves.items(), strict=False):
        axes.plot(x, y, color=colour, label=name)
    axes.set(**labels)


def _decel(config: RiskConfig) -> float:
    return config.brakes.at(config.max_speed_mps)


def _stopping(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    v = _speeds(config)
    curves = {
        f"latency +{late:g} s": m.needed_way_m(v, 0.0, reaction_s + late, _decel(config))
        for late in (0, 0.3, 0.6)
    }
    _curves(axes, v, curves, title="stopping distance", xlabel="speed, m/s", ylabel="m")


def _limits(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    way_m = np.linspace(
        0.0, float(m.needed_way_m(config.max_speed_mps, WALKING_MPS, reaction_s, _decel(config))), 80
    )
    curves = {
        f"comes at {u:g} m/s": config.brakes.safe_speed_mps(way_m - u * reaction_s, u, reaction_s)
        for u in (0.0, 0.8, 1.6)
    }
    _curves(axes, way_m, curves, title="speed limit", xlabel="gap less clearance, m", ylabel="m/s")


def _required(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    v = config.max_speed_mps
    braking_m = float(m.needed_way_m(v, 0.0, reaction_s, _decel(config)))
    gap_m = np.linspace(0.35 * braking_m + v * reaction_s * 0.5, 2 * braking_m, 80)
    curves = {
        f"at {share * v:.1f} m/s": np.minimum(m.required_decel_mps2(share * v, 0.0, gap_m, reaction_s), 8.0)
        for share in (0.5, 0.75, 1.0)
    }
    _curves(axes, gap_m, curves, title="required deceleration", xlabel="gap, m", ylabel="m/s²")


def _ttc(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    closing = np.linspace(0.2, config.max_speed_mps, 80)
    gap_m = 3.0 * config.max_speed_mps
    curves = {
        f"closing at {a:+g} m/s²": m.time_to_collision_accelerating_s(gap_m, closing, a)
        for a in (0.0, 0.5, -0.1)
    }
    title = f"time to collision, gap {gap_m:.0f} m"
    _curves(axes, closing, curves, title=title, xlabel="closing speed, m/s", ylabel="s")
    axes.set_ylim(0, 20)


def _headway(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    v = _speeds(config)[4:]
    curves = {f"gap {gap:g} m": m.time_headway_s(gap, v) for gap in (1.0, 3.0, 10.0)}
    _curves(axes, v, curves, title="time headway", xlabel="speed, m/s", ylabel="s")
    axes.set_ylim(0, 10)


def _rss(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    v, fast = _speeds(config), config.max_speed_mps
    curves = {
        name: m.rss_longitudinal_m(v, object_mps, reaction_s, 0.0, _decel(config), config.object_decel_mps2)
        for name, object_mps in {
            "stands": 0.0,
            f"drives on at {0.5 * fast:.1f} m/s": 0.5 * fast,
            f"comes at {0.5 * fast:.1f} m/s": -0.5 * fast,
        }.items()
    }
    _curves(axes, v, curves, title="RSS gap", xlabel="speed, m/s", ylabel="m")


def _encroachment(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    enters = np.linspace(0.0, 8.0, 120)
    walked_s = (2 * config.footprint_m[:, 1].max() + 0.5) / WALKING_MPS
    robot = (np.full(120, 3.0), np.full(120, 4.5))
    curves = {"robot there from 3 to 4.5 s": m.post_encroachment_time_s(robot, (enters, enters + walked_s))}
    axes.axhline(0.0, color="black", lw=0.8)
    _curves(axes, enters, curves, title="post-encroachment time", xlabel="person comes after, s", ylabel="s")


def _reach(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    t_s = np.linspace(0.0, 4.0, 80)
    curves = {
        f"walks at {v:g} m/s": m.reach_m(t_s, v, PERSON_MAX_MPS, PERSON_MAX_MPS2) for v in (-1.0, 0.0, 1.6)
    }
    _curves(axes, t_s, curves, title="a person's reach", xlabel="time, s", ylabel="m")


def _separation(axes: Axes, config: RiskConfig, reaction_s: float) -> None:
    v = _speeds(config)
    curves = {
        f"person at {u:g} m/s": m.separation_distance_m(
            v, u, reaction_s, _decel(config), config.ahead_m, 0.05
        )
        for u in (0.0, 0.8, 1.6)
    }
    _curves(axes, v, curves, title="separation distance", xlabel="speed, m/s", ylabel="m")
