"""One replay in lockstep from a bag to its files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_platform.bags.reader import bag_info, read_messages, span_ns
from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.replay.lockstep import Lockstep
from perception_platform.replay.records import Records, write_json
from perception_platform.robot.description import Robot
from perception_platform.ros.topics import TOPICS
from perception_platform.runtime.latency import percentiles
from perception_platform.tracking.tracker import Tracker

OnProgress = Callable[[float], None]
SHOWN_TOPICS = 8


def replay_lockstep(
    bag: Path,
    robot: Robot,
    graph: PerceptionGraph,
    out_dir: Path,
    on_progress: OnProgress = lambda share: None,
) -> dict[str, Any]:
    """Replay a bag and write detections, tracks, decisions, ``summary.json`` and ``timing.json``.

    Args:
        bag: MCAP or .db3.
        robot: whose chain it is.
        graph: its perception.
        out_dir: folder for the files; it is made.
        on_progress: told the share of the bag that has been played, 0 to 1.

    Returns:
        The summary.

    Raises:
        InputError: if the bag cannot be read or lacks what the chain needs.
    """
    require_sensors(bag, robot)
    start_ns, end_ns = span_ns(bag)
    length_ns = max(end_ns - start_ns, 1)
    skipped: Counter[str] = Counter()
    began = time.perf_counter()
    with Records(out_dir) as records:
        lockstep = Lockstep(robot, graph, Tracker(frame_id=robot.odom_frame), records)
        messages = read_messages(bag, topics=lockstep.topics(), skipped=skipped)
        lockstep.run(messages, lambda t_ns: on_progress((t_ns - start_ns) / length_ns))
    factor = to_s(length_ns) / (time.perf_counter() - began)
    summary = {
        "bag": bag.name,
        "bag_path": str(bag.resolve()),
        "robot": robot.name,
        "mode": "lockstep",
        **records.summary(lockstep.frames, realtime_factor=factor),
        "messages_skipped": dict(sorted(skipped.items())),
    }
    timing = {
        stage: percentiles([seconds * 1e3 for seconds in durations])
        for stage, durations in lockstep.durations_s.items()
    }
    write_json(out_dir / "summary.json", summary)
    write_json(out_dir / "timing.json", {"unit": "ms", "stages": timing})
    return summary


def require_sensors(bag: Path, robot: Robot) -> None:
    """See that a bag is one of the robot's: it has a topic of a sensor that measures gaps.

    Raises:
        InputError: names the topics that would do and those that are there.
    """
    wanted = [TOPICS["points"].of(lidar.name) for lidar in robot.lidars]
    wanted += [TOPICS[source.kind].of(source.name) for source in robot.sources]
    found = [info.topic for info in bag_info(bag).topics]
    if not set(wanted) & set(found):
        has = ", ".join(found[:SHOWN_TOPICS]) + (", …" if len(found) > SHOWN_TOPICS else "")
        raise InputError(
            bag, f"has no {' or '.join(wanted)}, which robot {robot.name} needs; it has {has or 'nothing'}"
        )
