"""What the robot knew, from above: at one moment around the robot, and over the whole run in the fixed frame."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Polygon

from perception_platform.core.geometry import Array, box_corners
from perception_platform.explain.look import ACTIONS, CLASSES, INK, MOVERS, PALE, legend, spoken
from perception_platform.explain.run_files import Line, Run
from perception_platform.explain.story import Moment, evidence_ids, paths_in_odom, pose, spans
from perception_platform.robot.description import Robot
from perception_platform.robot.zones import Zone

_MOST_LABELS = 8
_LABELLED_MPS = 0.3
_HALO = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.2}
_SLOWEST_ARROW_MPS = 0.15
_STANDSTILL_MPS = 0.03


def stopping_distance_m(robot: Robot, speed_mps: float, latency_s: float) -> float:
    """Way to a stand with the service brake, after latency and reaction, with the clearance left ahead."""
    delay_s = latency_s + robot.drive.reaction_s
    return speed_mps * delay_s + speed_mps**2 / (2 * robot.drive.service_decel_mps2) + robot.clearance.ahead_m


def draw_moment(axes: Axes, moment: Moment, robot: Robot) -> None:
    """The surroundings in the base frame, ahead up and left to the left."""
    ego = moment.tracks["ego"] if moment.tracks else {}
    speed_mps = float(moment.decision.get("speed_mps") or 0.0)
    drives = abs(speed_mps) > _STANDSTILL_MPS
    latency_s = float(moment.decision.get("latency_ms") or 0.0) / 1e3
    # Signed like the speed: a robot that backs up needs its room behind.
    way_m = math.copysign(stopping_distance_m(robot, abs(speed_mps), latency_s), speed_mps if drives else 1.0)
    ahead_m, behind_m, beside_m = _view(moment, robot, way_m)
    if len(moment.obstacles_m):
        axes.scatter(
            *_up(moment.obstacles_m), s=4, c="#9aa3ad", linewidths=0, label="obstacle points", zorder=1
        )
    turn_radpm = float(ego.get("yaw_rate_radps") or 0.0) / speed_mps if drives else 0.0
    _draw_path(axes, robot, turn_radpm, way_m, ahead_m if way_m > 0 else -behind_m)
    _draw_zones(axes, robot)
    _draw_tracks(axes, moment, (ahead_m, behind_m, beside_m))
    points_m = np.array([p[:2] for f in moment.decision["evidence"] for p in f["points_m"]]).reshape(-1, 2)
    if len(points_m):
        axes.scatter(
            *_up(points_m), s=34, c=ACTIONS["stop"], marker="x", label="points in evidence", zorder=6
        )
    axes.add_patch(Polygon(_corners(robot.footprint), facecolor=INK, edgecolor=INK, zorder=7, label="robot"))
    nose_m = robot.footprint[:, 0].max()
    axes.annotate(
        "",
        _at(nose_m * 0.85, 0.0),
        _at(0.0, 0.0),
        zorder=8,
        arrowprops={"color": "white", "arrowstyle": "->"},
    )
    axes.set(xlim=(beside_m, -beside_m), ylim=(-behind_m, ahead_m), aspect="equal")
    axes.set(xlabel="left of the robot, m", ylabel="ahead of the robot, m")
    axes.set_title(f"{moment.t_s:.2f} s: {moment.why}")
    legend(axes, below=True)


def draw_run(axes: Axes, run: Run) -> None:
    """The robot's way, coloured by the gate's action, and those of the objects, in the fixed frame."""
    paths = paths_in_odom(run)
    for name in ("structure", "unknown", *MOVERS):
        ways = [way for class_name, way in paths.values() if class_name == name and len(way) > 1]
        for way in ways:
            mover = name in MOVERS
            axes.plot(
                *way.T,
                c=CLASSES[name],
                lw=1.6 if mover else 0.8,
                alpha=0.9 if mover else 0.45,
                zorder=2 + mover,
            )
            axes.plot(*way[-1], marker="o" if mover else ".", ms=4 if mover else 2, c=CLASSES[name], zorder=3)
    times_s = np.array([run.t_s(line) for line in run.tracks])
    ego_m = np.array([[line["ego"]["x_m"], line["ego"]["y_m"]] for line in run.tracks]).reshape(-1, 2)
    for span in spans(run, lambda d: d["action"]):
        during = (times_s >= span.from_s - 0.2) & (times_s <= span.to_s + 0.2)
        axes.plot(*ego_m[during].T, c=ACTIONS[str(span.value)], lw=5, solid_capstyle="butt", zorder=4)
    if len(ego_m):
        axes.plot(*ego_m[0], marker="o", ms=8, mfc="white", mec=INK, ls="", label="start", zorder=5)
        _frame_run(axes, ego_m)
    axes.set(xlabel="x, m (odom)", ylabel="y, m (odom)")
    axes.set_title("The whole run from above")
    legend(axes, _run_legend(run, paths))


def _frame_run(axes: Axes, ego_m: Array) -> None:
    """Show the robot's way and what is within 12 m of it."""
    low, high = ego_m.min(axis=0) - 6.0, ego_m.max(axis=0) + 6.0
    high[0] += 6.0
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")


def _run_legend(run: Run, paths: dict[int, tuple[str, Array]]) -> list[Patch]:
    actions = dict.fromkeys(d["action"] for d in run.decisions)
    classes = dict.fromkeys(name for name, _ in paths.values() if name in MOVERS)
    ego = [Patch(color=ACTIONS[a], label=f"robot: {spoken(a)}") for a in ACTIONS if a in actions]
    people = [Patch(color=CLASSES["person"], label="person")] if "person" in classes else []
    others = [Patch(color=CLASSES["car"], label="vehicle")] if set(classes) - {"person"} else []
    return [*ego, *people, *others, Patch(color=CLASSES["unknown"], label="other")]


def _view(moment: Moment, robot: Robot, way_m: float) -> tuple[float, float, float]:
    """How far to show ahead, behind and to each side, m: the path to a stand (negative backwards) and what binds."""
    front_m, rear_m = robot.footprint[:, 0].max(), -robot.footprint[:, 0].min()
    far_m = [
        front_m + 1.5 * max(way_m, 0.0),
        *(float(z.max()) for zone in robot.zones for z in _x_of(zone, robot)),
    ]
    named = evidence_ids(moment.decision["evidence"][:1])
    tracks = moment.tracks["tracks"] if moment.tracks else []
    far_m += [t["center_base_m"][0] + 4.0 for t in tracks if t["id"] in named]
    ahead_m = float(np.clip(max(far_m) + 1.0, 5.0, 45.0))
    behind_m = float(rear_m + max(0.15 * ahead_m, min(-1.5 * way_m, 45.0)))
    return ahead_m, behind_m, 0.42 * (ahead_m + behind_m)


def _draw_path(axes: Axes, robot: Robot, turn_radpm: float, way_m: float, end_m: float) -> None:
    """The swept band along the present arc, and where a stop from the present speed would end; both signed."""
    x_m, y_m = robot.footprint.T
    begin_m = x_m.max() if way_m > 0 else x_m.min()
    sides_m = (y_m.max() + robot.clearance.beside_m, y_m.min() - robot.clearance.beside_m)
    band = _arc(np.linspace(begin_m, end_m, 60), turn_radpm, sides_m)
    axes.fill(*_up(band), facecolor="#56b4e9", alpha=0.14, edgecolor="none", zorder=0, label="path")
    edge = _arc(np.array([begin_m + way_m]), turn_radpm, sides_m)
    axes.plot(*_up(edge), c="#0072b2", lw=2, zorder=3, label=f"room needed to stop, {abs(way_m):.2f} m")


def _arc(s_m: Array, turn_radpm: float, sides_m: tuple[float, float]) -> Array:
    """Outline of a band of constant curvature: out along its left edge, back along its right one."""
    angle = turn_radpm * s_m
    x = s_m * np.sinc(angle / np.pi)
    y = 0.5 * turn_radpm * s_m**2 * np.sinc(angle / 2 / np.pi) ** 2
    to_left = np.column_stack([-np.sin(angle), np.cos(angle)])
    middle, (left_m, right_m) = np.column_stack([x, y]), sides_m
    return np.concatenate([middle + left_m * to_left, (middle + right_m * to_left)[::-1]])


def _draw_zones(axes: Axes, robot: Robot) -> None:
    for zone in robot.zones:
        style, colour = ("--", ACTIONS["stop"]) if zone.action == "stop" else (":", ACTIONS["limit"])
        for outline_m in zone.outlines_m(robot.footprint)[:1]:
            axes.add_patch(
                Polygon(_corners(outline_m), fill=False, edgecolor=colour, ls=style, lw=1.6, zorder=4,
                        label=f"zone {spoken(zone.name)}: {zone.action}")
            )  # fmt: skip


def _x_of(zone: Zone, robot: Robot) -> list[Array]:
    return [outline_m[:, 0] for outline_m in zone.outlines_m(robot.footprint)]


def _draw_tracks(axes: Axes, moment: Moment, view_m: tuple[float, float, float]) -> None:
    if moment.tracks is None:
        return
    named, turn = evidence_ids(moment.decision["evidence"]), pose(moment.tracks["ego"]).inverse()
    labels = {t["id"] for t in _worth_a_label(moment.tracks["tracks"], named, view_m)}
    for track in moment.tracks["tracks"]:
        colour = CLASSES.get(track["class"], PALE)
        corners = box_corners(
            np.array([track["center_base_m"]]), np.array([track["size_m"]]), np.array([track["yaw_base_rad"]])
        )[0]
        bold = track["id"] in named
        axes.add_patch(
            Polygon(_corners(corners), facecolor=(*_rgb(colour), 0.25), zorder=5 if bold else 2,
                    edgecolor=ACTIONS["stop"] if bold else colour, lw=2.4 if bold else 0.9)
        )  # fmt: skip
        velocity_mps = turn.rotate(np.array([[*track["velocity_mps"], 0.0]]))[0, :2]
        if track["id"] in labels:
            _draw_label(axes, track, velocity_mps, moment.trails_m.get(track["id"]), colour)


def _draw_label(axes: Axes, track: Line, velocity_mps: Array, trail_m: Array | None, colour: str) -> None:
    """A track's trail, its way in the next second, and its name and speed."""
    x, y = track["center_base_m"][:2]
    speed_mps = float(np.hypot(*velocity_mps))
    if trail_m is not None:
        axes.plot(*_up(trail_m), c=colour, lw=1.4, ls="-", alpha=0.7, zorder=3)
    if speed_mps > _SLOWEST_ARROW_MPS:
        tip = _at(x + velocity_mps[0], y + velocity_mps[1])
        axes.annotate(
            "", tip, _at(x, y), zorder=6, arrowprops={"color": colour, "arrowstyle": "-|>", "lw": 1.8}
        )
    text = f"{track['class']} {track['id']}\n{speed_mps:.1f} m/s"
    axes.annotate(
        text, _at(x, y), xytext=(9, 5), textcoords="offset points", fontsize=8, zorder=9, bbox=_HALO
    )


def _worth_a_label(tracks: list[Line], named: set[int], view_m: tuple[float, float, float]) -> list[Line]:
    """Of the tracks in view: those in the evidence, then people and what moves, nearest first."""
    ahead_m, behind_m, beside_m = view_m

    def wanted(track: Line) -> bool:
        x, y = track["center_base_m"][:2]
        moves = track["class"] in MOVERS and float(np.hypot(*track["velocity_mps"])) > _LABELLED_MPS
        shown = track["id"] in named or track["class"] == "person" or moves
        return shown and -behind_m < x < 0.95 * ahead_m and abs(y) < 0.95 * beside_m

    chosen = [t for t in tracks if wanted(t)]
    chosen.sort(key=lambda t: (t["id"] not in named, float(np.hypot(*t["center_base_m"][:2]))))
    return chosen[:_MOST_LABELS]


def _at(x_m: float, y_m: float) -> tuple[float, float]:
    """Where a base-frame point is drawn: x up; the axis across is turned round, so left is left."""
    return (float(y_m), float(x_m))


def _up(points_m: Array) -> tuple[Array, Array]:
    return points_m[:, 1], points_m[:, 0]


def _corners(polygon_m: Array) -> Array:
    return polygon_m[:, 1::-1]


def _rgb(colour: str) -> tuple[float, float, float]:
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return r, g, b
