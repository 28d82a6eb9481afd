"""The risk stage on real human driving: nothing dangerous happens there, so every emergency stop is a false one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array, box_corners, wrap_angle
from perception_platform.core.objects import Tracks
from perception_platform.core.sensor_data import EgoState
from perception_platform.core.time import from_s
from perception_platform.core.verdicts import Action
from perception_platform.evaluation.kitti_drive import Drive, read_drive
from perception_platform.evaluation.kitti_files import read_sequences
from perception_platform.evaluation.kitti_run import FRAME_NS
from perception_platform.evaluation.motion_errors import label_velocities
from perception_platform.evaluation.risk_baselines import AutowareRule, CorridorRule
from perception_platform.risk.config import RiskConfig
from perception_platform.risk.objects import track_corners
from perception_platform.risk.path import outline, predict_path
from perception_platform.risk.stage import RiskStage
from perception_platform.robot.load import load_robot

ROBOT = "delivery_van"
CALM_S = 1.0  # emergency stops that are less than this apart are one
MATCH_M = 2.0  # from a label's middle to its track's
TTC_SHOWN_S = 10.0  # beyond it, a time to collision says nothing
FRAME_S = FRAME_NS * 1e-9


class Rule(Protocol):
    """A rule for braking hard."""

    def brakes_hard(self, tracks: Tracks, ego: EgoState) -> bool:
        """Whether it would at this moment."""


class OurRule:
    """The risk stage as it runs on the robot."""

    def __init__(self, config: RiskConfig) -> None:
        self._stage = RiskStage(config)
        self._latency_ns = from_s(config.expected_latency_s)
        self.stops = 0

    def brakes_hard(self, tracks: Tracks, ego: EgoState) -> bool:
        """Whether the strictest finding asks for an emergency stop."""
        found = self._stage.step(tracks, (), ego, now_ns=tracks.t_ns + self._latency_ns).findings
        action = found[0].action if found else Action.PROCEED
        self.stops += action is Action.STOP
        return action is Action.EMERGENCY_STOP


@dataclass(frozen=True, slots=True)
class LeadErrors:
    """Of K moments with something ahead in the path: estimates and what labels say."""

    gap_m: Array
    true_gap_m: Array
    ttc_s: Array
    true_ttc_s: Array


def judge_kitti(
    folder: FilePath, on_progress: Callable[[float], None] = lambda share: None
) -> tuple[dict[str, Any], LeadErrors]:
    """Count emergency stops of the risk stage and of two plain rules on every sequence of a folder.

    Args:
        folder: laid out as KITTI tracking: seqmap.txt, detections_3d, ego_pose, label_02.
        on_progress: told the share that is done.

    Returns:
        The report, and the errors of gap and time to collision for a plot.

    Raises:
        InputError: naming what is missing or malformed.
    """
    frames = read_sequences(folder / "seqmap.txt")
    config = RiskConfig.from_robot(load_robot(ROBOT))
    rows, leads = [], []
    for i, (name, count) in enumerate(frames.items()):
        drive = read_drive(folder, name, count)
        rows.append(_count(drive, config))
        leads.append(lead_errors(drive, config))
        on_progress((i + 1) / len(frames))
    lead = LeadErrors(*(np.concatenate([getattr(part, n) for part in leads]) for n in LeadErrors.__slots__))
    return _report(rows, lead), lead


def _count(drive: Drive, config: RiskConfig) -> dict[str, Any]:
    ours = OurRule(config)
    rules: dict[str, Rule] = {
        "ours": ours,
        "corridor": CorridorRule(config.footprint_m),
        "autoware": AutowareRule(config.footprint_m),
    }
    hard = {name: np.zeros(len(drive.egos), dtype=np.bool_) for name in rules}
    for i, (ego, tracks) in enumerate(zip(drive.egos, drive.tracks, strict=True)):
        for name, rule in rules.items():
            hard[name][i] = rule.brakes_hard(tracks, ego)
    return {
        "sequence": drive.name,
        "seconds": round(len(drive.egos) * FRAME_S, 1),
        "service_stop_frames": ours.stops,
        "events": {name: events(flags) for name, flags in hard.items()},
        "frames": {name: int(flags.sum()) for name, flags in hard.items()},
    }


def events(flags: npt.NDArray[np.bool_]) -> int:
    """Runs of True (N,), those that are less than ``CALM_S`` apart taken together."""
    at = np.flatnonzero(flags)
    return int(len(at) > 0) + int((np.diff(at) * FRAME_S > CALM_S).sum())


def _report(rows: Sequence[dict[str, Any]], lead: LeadErrors) -> dict[str, Any]:
    minutes = sum(row["seconds"] for row in rows) / 60
    rules = {}
    for name in rows[0]["events"]:
        total = sum(row["events"][name] for row in rows)
        rules[name] = {
            "emergency_stops": total,
            "per_minute": round(total / minutes, 4),
            "frames": sum(row["frames"][name] for row in rows),
        }
    ours, corridor = (rules[name]["emergency_stops"] for name in ("ours", "corridor"))
    return {
        "minutes": round(minutes, 2),
        "rules": rules,
        "corridor_over_ours": round(corridor / ours, 2) if ours else None,
        "ours_per_10_minutes": round(10 * ours / minutes, 3),
        "ours_per_10_minutes_at_most": round(10 * _poisson_upper(ours) / minutes, 3),
        "service_stop_frames": sum(row["service_stop_frames"] for row in rows),
        "lead": _lead_report(lead),
        "sequences": list(rows),
    }


def _poisson_upper(count: int) -> float:
    """One-sided 95 % bound of a Poisson mean (Garwood 1936)."""
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, 2 * count + 2) / 2)


def lead_errors(drive: Drive, config: RiskConfig) -> LeadErrors:
    """Gap and time to collision to the nearest labelled object in the path, and what the tracks say of the same one."""
    velocities = label_velocities(drive.labels, _in_odom(drive))
    rows = [
        row
        for frame in range(2, len(drive.egos) - 2)
        if (row := _lead_at(drive, config, frame, velocities)) is not None
    ]
    return LeadErrors(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


def _in_odom(drive: Drive) -> Array:
    frames, centers_m = drive.labels.frames.tolist(), drive.label_centers_m
    at = [drive.egos[f].odom_from_base.apply(c[None])[0, :2] for f, c in zip(frames, centers_m, strict=True)]
    return np.array(at).reshape(-1, 2)


def _lead_at(
    drive: Drive, config: RiskConfig, frame: int, velocities: Array
) -> tuple[float, float, float, float] | None:
    """(gap, true gap, ttc, true ttc) of one frame."""
    ego, tracks, labels = drive.egos[frame], drive.tracks[frame], drive.labels
    rows = np.flatnonzero((labels.frames == frame) & np.isfinite(velocities).all(axis=1))
    if not len(rows) or not len(tracks) or ego.velocity_mps[0] < 0.5:
        return None
    path = predict_path(ego, config.footprint_m, 0.0)
    _, width, length = labels.sizes_m[rows].T
    yaws_rad = wrap_angle(-labels.ry_rad[rows] - np.pi / 2)
    corners_m = box_corners(drive.label_centers_m[rows], np.column_stack([length, width]), yaws_rad)
    gaps_m = _gaps(corners_m, path)
    near = int(np.argmin(gaps_m))
    if not np.isfinite(gaps_m[near]):
        return None
    middles_m = track_corners(tracks, ego).mean(axis=1)
    apart_m = np.linalg.norm(middles_m - drive.label_centers_m[rows[near], :2], axis=1)
    match = int(np.argmin(apart_m))
    if apart_m[match] > MATCH_M:
        return None
    gap_m = float(_front_gap(track_corners(tracks, ego)[match], path))
    forward = ego.odom_from_base.rotation[:2, 0]
    true_mps = _true_speed(drive.egos, frame) - float(velocities[rows[near]] @ forward)
    closing_mps = ego.velocity_mps[0] - float(tracks.velocities_mps[match] @ forward)
    true_gap_m = float(gaps_m[near])
    return gap_m, true_gap_m, _ttc(gap_m, closing_mps), _ttc(true_gap_m, true_mps)


def _gaps(corners_m: Array, path: Any) -> Array:
    sd = path.coordinates(outline(corners_m))
    return np.asarray(np.where(path.in_band(sd), path.gap_m(sd), np.inf).min(axis=1))


def _front_gap(corners_m: Array, path: Any) -> float:
    return float(path.gap_m(path.coordinates(outline(corners_m[None]))).min())


def _true_speed(egos: Sequence[EgoState], frame: int) -> float:
    """By central difference over 0.4 s, as labels' velocities are."""
    moved = egos[frame + 2].odom_from_base.translation_m - egos[frame - 2].odom_from_base.translation_m
    return float(np.linalg.norm(moved[:2]) / (4 * FRAME_S))


def _ttc(gap_m: float, closing_mps: float) -> float:
    return max(gap_m, 0.0) / closing_mps if closing_mps > 1e-6 else float("inf")


def _lead_report(lead: LeadErrors) -> dict[str, Any]:
    gap_error_m = np.abs(lead.gap_m - lead.true_gap_m)
    close = lead.true_ttc_s < TTC_SHOWN_S
    ttc_error_s = np.abs(lead.ttc_s[close] - lead.true_ttc_s[close])
    return {
        "moments": len(gap_error_m),
        "gap_error_m": _quantiles(gap_error_m),
        "moments_with_ttc_below_10_s": int(close.sum()),
        "ttc_error_s": _quantiles(ttc_error_s),
    }


def _quantiles(values: Array) -> dict[str, float | None]:
    names = {"median": 0.5, "p90": 0.9}
    if not len(values):
        return dict.fromkeys(names)
    return {
        name: round(min(float(np.quantile(values, q, method="lower")), 1e6), 4) for name, q in names.items()
    }
