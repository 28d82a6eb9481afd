"""People found in laser scans held against labels: scan by scan, and as the tracker follows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from perception_platform.bags.reader import read_messages
from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array, Transform
from perception_platform.core.objects import ObjectClass
from perception_platform.core.sensor_data import EgoState, PointCloud
from perception_platform.evaluation.lidar_measures import binomial_bounds
from perception_platform.messages.clouds import scan_to_cloud
from perception_platform.perception.legs import LegParams, find_people
from perception_platform.tracking.tracker import Tracker

_SCAN, _LABELS = "sensor_msgs/msg/LaserScan", "geometry_msgs/msg/PoseArray"
# Labelled legs within a stride belong to one person; a person is found at most this far away.
_STRIDE_M = LegParams().stride_m
_FOUND_M = 0.35
_WALKS_MPS = 0.4


@dataclass(slots=True)
class _Tally:
    """Counts of one way to find people, and how far off it was each time."""

    found: int = 0
    labelled: int = 0
    said: int = 0
    errors_m: list[float] = field(default_factory=list)

    def add(self, people_m: Array, said_m: Array) -> None:
        """Take one scan: (N, 2) labelled people, (M, 2) said ones."""
        self.labelled += len(people_m)
        self.said += len(said_m)
        if len(people_m) and len(said_m):
            apart_m = np.linalg.norm(people_m[:, None] - said_m[None], axis=2)
            rows, columns = linear_sum_assignment(np.minimum(apart_m, 2 * _FOUND_M))
            close_m = apart_m[rows, columns][apart_m[rows, columns] <= _FOUND_M]
            self.found += len(close_m)
            self.errors_m += close_m.tolist()

    def report(self) -> dict[str, Any]:
        """Recall, precision and errors, with exact binomial bounds of the former two."""
        return {
            "labelled": self.labelled,
            "found": self.found,
            "recall": self.found / self.labelled if self.labelled else None,
            "recall_95": binomial_bounds(self.found, self.labelled),
            "said": self.said,
            "precision": self.found / self.said if self.said else None,
            "precision_95": binomial_bounds(self.found, self.said),
            "error_m": {
                "median": float(np.median(self.errors_m)) if self.errors_m else None,
                "p95": float(np.percentile(self.errors_m, 95)) if self.errors_m else None,
            },
        }


def labelled_scans(bag: Path) -> Iterator[tuple[PointCloud, Array]]:
    """Each scan that legs were labelled in, and (N, 2) where the people are: in the middle of their legs.

    Labels are PoseArrays of the legs in the scan that follows them, in its frame (the training bags of ROS leg_tracker,
    Leigh et al., ICRA 2015). A bag without any has none.

    Raises:
        InputError: if the bag cannot be read or a message is malformed.
    """
    legs_m: Array | None = None
    for record in read_messages(bag):
        if record.type == _LABELS:
            places = [(pose.position.x, pose.position.y) for pose in record.message.poses]
            legs_m = np.array(places, dtype=np.float64).reshape(-1, 2)
        elif record.type == _SCAN and legs_m is not None and len(legs_m):
            yield scan_to_cloud(record.message, record.topic), _people(legs_m)
            legs_m = None


def _people(legs_m: Array) -> Array:
    """(N, 2) middles of legs (M, 2) that are within a stride of each other."""
    if len(legs_m) == 1:
        return legs_m
    person = fcluster(linkage(legs_m, "single"), _STRIDE_M, "distance") - 1
    count = np.bincount(person)
    return np.column_stack([np.bincount(person, legs_m[:, i]) / count for i in range(2)])


def evaluate_scans(bags: list[Path]) -> dict[str, Any]:
    """Recall, precision and position error of people in scans, of their tracks, and of the tracks that walk.

    The scanner is taken to stand still: such bags have no odometry. Whoever nobody labelled counts as a false alarm.

    Raises:
        InputError: if no bag has labelled scans.
    """
    tallies = {name: _Tally() for name in ("scans", "tracks", "walking_tracks")}
    scans = 0
    for bag in bags:
        tracker = Tracker(frame_id="odom")
        for scan, people_m in labelled_scans(bag):
            scans += 1
            found = find_people(replace(scan, frame_id="base_link"), np.zeros(3))
            tallies["scans"].add(people_m, found.centers_m[:, :2])
            standing = EgoState(scan.t_ns, Transform.planar(0.0, 0.0, 0.0), (0.0, 0.0), 0.0)
            tracks = tracker.step(scan.t_ns, found, standing)
            person = tracks.class_ids == int(ObjectClass.PERSON)
            walks = person & (np.hypot(*tracks.velocities_mps.T) > _WALKS_MPS)
            tallies["tracks"].add(people_m, tracks.centers_m[person, :2])
            tallies["walking_tracks"].add(people_m, tracks.centers_m[walks, :2])
    if scans == 0:
        raise InputError(", ".join(map(str, bags)), f"no {_SCAN} that follows a {_LABELS} with labels")
    return {"bags": len(bags), "scans": scans} | {name: tally.report() for name, tally in tallies.items()}
