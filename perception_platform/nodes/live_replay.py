"""A recording through the real nodes, with the records of a lockstep replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_platform.bags.reader import bag_info
from perception_platform.core.time import to_s
from perception_platform.nodes.listener import Hear
from perception_platform.nodes.live import LiveOutcome, LiveRun, play_live
from perception_platform.replay.live_records import LiveRecorder
from perception_platform.replay.records import Records, write_json
from perception_platform.replay.run import require_sensors
from perception_platform.robot.description import Robot
from perception_platform.robot.load import load_robot
from perception_platform.ros.topics import sensor_topic


def replay_live(
    run: LiveRun, out_dir: Path, hear: Hear | None = None, each: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], LiveOutcome]:
    """Play a recording to the real nodes and write the records of what they said.

    Args:
        run: what to run.
        out_dir: takes the records and ``summary.json`` and ``timing.json``.
        hear: hears every value too.
        each: called a few times a second in the meantime.

    Returns:
        The summary, with the measured latency, and how the run went.

    Raises:
        InputError: if the bag or the robot file is bad, a node refuses its parameters, or the run hangs.
    """
    robot = load_robot(run.robot_file)
    require_sensors(run.bag, robot)
    played = _frames_in(run.bag, robot)
    with Records(out_dir) as records:
        recorder = LiveRecorder(records)

        def record(value: object, sensor: str, received_ns: int) -> None:
            recorder.hear(value)
            if hear is not None:
                hear(value, sensor, received_ns)

        outcome = play_live(run, record, each)
    records.start_ns = outcome.start_ns
    realtime_factor = to_s(outcome.end_ns - outcome.start_ns) / outcome.wall_s
    summary = {
        "bag": run.bag.name,
        "bag_path": str(run.bag.resolve()),
        "robot": robot.name,
        "mode": "live",
        **records.summary(recorder.frames(played), realtime_factor=realtime_factor),
        "messages_skipped": {
            f"{info.topic}: {info.problem}": info.count for info in bag_info(run.bag).topics if info.problem
        },
    }
    write_json(out_dir / "summary.json", summary)
    write_json(out_dir / "timing.json", {"unit": "ms", "stages": recorder.timing()})
    return summary, outcome


def _frames_in(bag: Path, robot: Robot) -> dict[str, int]:
    """How many frames of each sensor the bag has."""
    counts = {info.topic: info.count for info in bag_info(bag).topics}
    names = {sensor.name: sensor_topic(sensor).of(sensor.name) for sensor in robot.sensors}
    return {sensor: counts[name] for sensor, name in names.items() if name in counts}
