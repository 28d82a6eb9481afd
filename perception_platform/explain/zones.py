"""A picture of what a robot looks at: footprint, way to a stop and zones, for several speeds and turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from perception_platform.core.geometry import Array, Transform
from perception_platform.core.sensor_data import EgoState
from perception_platform.explain.look import ACTIONS, spoken
from perception_platform.risk.config import RiskConfig, ZoneRule
from perception_platform.risk.outlines import Outline, outlines
from perception_platform.robot.description import Robot

Motion = tuple[float, float]  # m/s and rad/s
_GREY, _BLUE = "#777777", "#0072b2"
_LINES = {"stop": "-", "limit": "--", "approach": "-.", "occlusion": ":", "exclude": ":"}


def usual_motions(robot: Robot) -> list[Motion]:
    """Slow, fast, and half as fast in a bend."""
    fast = robot.drive.max_speed_mps
    bend = min(
        0.5 * robot.drive.max_yaw_rate_radps, 1.0 / (0.5 * fast)
    )  # lateral acceleration of 1 m/s² at most
    return [(0.3 * fast, 0.0), (fast, 0.0), (0.5 * fast, round(bend, 2))]


def draw_zones(
    robot: Robot,
    motions: Sequence[Motion],
    path: Path,
    payload_kg: float | None = None,
    latency_s: float = 0.0,
) -> None:
    """Draw a panel a motion, seen from above, x upward, all to one scale."""
    config = RiskConfig.from_robot(robot)
    shown = [outlines(config, _ego(motion), latency_s, payload_kg) for motion in motions]
    low_m, high_m = _extent([o.polygon_m for panel in shown for o in panel])
    figure = Figure(figsize=(3.4 * len(motions), 6.0), dpi=110)
    figure.suptitle(f"{spoken(robot.name)}: way to a stop and zones", fontsize=11)
    for i, (motion, panel) in enumerate(zip(motions, shown, strict=True)):
        axes = figure.add_subplot(1, len(motions), i + 1)
        _draw(axes, panel, {zone.name: zone for zone in config.zones})
        axes.set_title(_title(motion), fontsize=9)
        axes.set(xlim=(-high_m[1], -low_m[1]), ylim=(low_m[0], high_m[0]), aspect="equal")
        axes.set_xticks(axes.get_xticks(), [f"{0.0 - x:g}" for x in axes.get_xticks()])
        axes.set(xlim=(-high_m[1], -low_m[1]), xlabel="to the left (y), m")
        axes.grid(alpha=0.25)
        if i == 0:
            axes.set_ylabel("ahead (x), m")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.04 + 0.025 * ((len(labels) + 1) // 2), 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def outlines_of(
    robot: Robot, motions: Sequence[Motion], payload_kg: float | None = None, latency_s: float = 0.0
) -> list[dict[str, Any]]:
    """The same polygons as plain values, a dictionary a motion."""
    config = RiskConfig.from_robot(robot)
    return [
        {
            "speed_mps": speed_mps,
            "yaw_rate_radps": yaw_rate_radps,
            "outlines": [
                {"name": o.name, "action": o.action, "polygon_m": np.round(o.polygon_m, 4).tolist()}
                for o in outlines(config, _ego((speed_mps, yaw_rate_radps)), latency_s, payload_kg)
            ],
        }
        for speed_mps, yaw_rate_radps in motions
    ]


def _ego(motion: Motion) -> EgoState:
    return EgoState(0, Transform.identity(), (motion[0], 0.0), motion[1])


def _title(motion: Motion) -> str:
    return f"{motion[0]:.1f} m/s" + (f", {motion[1]:+.2f} rad/s" if motion[1] else "")


def _extent(polygons_m: Sequence[Array]) -> tuple[Array, Array]:
    corners_m = np.concatenate(polygons_m)
    return corners_m.min(axis=0) - 0.5, corners_m.max(axis=0) + 0.5


def _draw(axes: Any, panel: Sequence[Outline], zones: dict[str, ZoneRule]) -> None:
    for outline in panel:
        patch: dict[str, Any] = {"fill": False, "lw": 1.6, "label": _label(outline, zones)}
        if outline.name == "footprint":
            patch |= {"fill": True, "facecolor": "#dddddd", "edgecolor": "black", "lw": 1.0}
        elif outline.name == "path":
            patch |= {"fill": True, "facecolor": _BLUE, "alpha": 0.18, "edgecolor": "none"}
        else:
            colour = ACTIONS["stop" if outline.action == "stop" else "limit"]
            patch |= {
                "edgecolor": _GREY if outline.action == "exclude" else colour,
                "ls": _LINES[outline.action],
            }
        axes.add_patch(Polygon(np.stack([-outline.polygon_m[:, 1], outline.polygon_m[:, 0]], -1), **patch))


def _label(outline: Outline, zones: dict[str, ZoneRule]) -> str:
    zone = zones.get(outline.name)
    if zone is None:
        return {"path": "way to a stop, with clearance"}.get(outline.name, outline.name)
    details = {
        "limit": f"at most {zone.speed_limit_mps:g} m/s",
        "approach": f"{zone.least_time_s:g} s away at least",
        "occlusion": f"unseen corners, at least {zone.speed_limit_mps:g} m/s",
        "exclude": "left out of account",
    }
    return f"{spoken(zone.name)}: {details.get(zone.action, zone.action)}"
