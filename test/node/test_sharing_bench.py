"""The bench of sharing, with its processes: what is reported. Times are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception_platform.evaluation.sharing_bench import SharingBench, bench_sharing
from perception_platform.evaluation.sharing_plot import plot_sharing
from perception_platform.robot.load import load_robot

AMR = load_robot("amr")


@pytest.mark.timeout(400)  # five processes, one after the other
def test_the_separate_ones_add_up_and_share_less(tmp_path: Path) -> None:
    shares: list[float] = []
    report = bench_sharing(SharingBench(AMR, None, None, 20, 0), shares.append)
    rows = report["pipelines"]
    assert list(rows) == [
        "decisions",
        "people_protection",
        "vehicle_following",
        "free_space_keeping",
        "shared",
    ]
    apart = [row for name, row in rows.items() if name != "shared"]
    for key in ("cpu_ms_per_sweep", "arrays_peak_mb", "process_mb"):
        assert report["separate"][key] == pytest.approx(sum(row[key] for row in apart), rel=1e-3)
        assert report["times_less"][key] == pytest.approx(
            report["separate"][key] / rows["shared"][key], abs=0.01
        )
    assert report["times_less"]["arrays_peak_mb"] > 2
    assert (rows["shared"]["samples"], rows["free_space_keeping"]["samples"]) == (20, 10)
    assert report["geometric_path"]["samples"] == 20
    assert shares[-1] == 1.0
    plot_sharing(report, tmp_path / "sharing.png")
    assert (tmp_path / "sharing.png").read_bytes().startswith(b"\x89PNG")
