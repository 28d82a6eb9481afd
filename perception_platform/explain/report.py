"""Write the report of a run: ``report.html``, one file that needs nothing else, and ``report.png``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perception_platform.core.errors import InputError
from perception_platform.explain.run_files import read_run
from perception_platform.explain.story import Window, telling_moment
from perception_platform.robot.description import Robot


def write_report(run_dir: Path, robot: Robot, out_dir: Path, windows: Sequence[Window] = ()) -> Path:
    """Explain a run to people.

    Args:
        run_dir: folder with ``detections.jsonl``, ``tracks.jsonl``, ``decisions.jsonl`` and ``summary.json``.
        robot: the robot it ran on.
        out_dir: where ``report.html`` and ``report.png`` go; it is made.
        windows: when a stop must or must not have happened, if known.

    Returns:
        Path of ``report.html``. The same run gives the same bytes.

    Raises:
        InputError: if a file is missing or malformed, or matplotlib is not installed.
    """
    try:
        from perception_platform.explain import plots
        from perception_platform.explain.page import page
    except ModuleNotFoundError as error:
        raise InputError("report", f"needs {error.name}: install the extra [view]") from error
    run = read_run(run_dir)
    moment = telling_moment(run)
    out_dir.mkdir(parents=True, exist_ok=True)
    pictures = (
        plots.moment_svg(moment, robot),
        plots.timeline_svg(run, robot, windows, moment),
        plots.run_svg(run),
    )
    plots.write_png(out_dir / "report.png", run, robot, windows, moment)
    path = out_dir / "report.html"
    path.write_text(
        page(run, robot, windows, moment, pictures, plots.headline(run, robot, moment)), encoding="utf-8"
    )
    return path
