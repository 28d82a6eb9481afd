"""One replay in lockstep from a bag to its files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_platform.bags.reader import read_messages, span_ns
from perception_platform.core.time import to_s
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.replay.lockstep import Lockstep
from perception_platform.replay.records import Records, percentiles, write_json
from perception_platform.robot.description import Robot
from perception_platform.tracking.tracker import Tracker

OnProgress = Callable[[float], None]


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
    start_ns, end_ns = span_ns(bag)
    length_ns = max(end_ns - start_ns, 1)
    began = time.perf_counter()
    with Records(out_dir) as records:
        lockstep = Lockstep(robot, graph, Tracker(), records)
        messages = read_messages(bag, topics=lockstep.topics())
        lockstep.run(messages, lambda t_ns: on_progress((t_ns - start_ns) / length_ns))
    factor = to_s(length_ns) / (time.perf_counter() - began)
    summary = {
        "bag": bag.name,
        "robot": robot.name,
        "mode": "lockstep",
        **records.summary(lockstep.frames, realtime_factor=factor),
    }
    timing = {
        stage: percentiles([seconds * 1e3 for seconds in durations])
        for stage, durations in lockstep.durations_s.items()
    }
    write_json(out_dir / "summary.json", summary)
    write_json(out_dir / "timing.json", {"unit": "ms", "stages": timing})
    return summary
