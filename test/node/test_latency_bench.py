"""The latency bench on a small load: it measures every sweep of a real stack, and loses none."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception_platform.bench.latency.bench import broken_promises, pure_compute, report, run_block
from perception_platform.bench.latency.load import make_load

FRAMES = 25


@pytest.mark.timeout(110)
def test_a_composed_stack_decides_on_sweeps_and_loses_none(tmp_path: Path) -> None:
    load = make_load(tmp_path, None, seed=0)
    assert all(100_000 < points <= 130_000 for points in load.points)
    pure_ms = pure_compute(load, 5)
    block = run_block(load, "composed", FRAMES)
    assert min(block.latencies_ms) > min(pure_ms) / 2
    whole = report(pure_ms, {"composed": [block]}, {}, load)
    assert broken_promises(whole) == []
    figures = whole["modes"]["composed"]
    assert figures["frames"]["points"]["sent"] == FRAMES
    assert figures["frames"]["image"]["sent"] == 3 * FRAMES
    for frames in figures["frames"].values():
        assert frames["lost"] == frames["unaccounted"] == 0
        assert frames["processed"] > 0
    assert figures["memory_mb"] > 50
    assert set(figures["cpu_by_process"]) == {"chain", "safety_gate"}


def test_a_loss_that_must_not_be_is_told() -> None:
    whole = {"lost": 0, "unaccounted": 0}
    modes = {
        "naive": {
            "frames": {"points": {"lost": 9, "unaccounted": 0}, "image": {"lost": 0, "unaccounted": 2}}
        },
        "composed": {"frames": {"points": {"lost": 1, "unaccounted": 0}, "image": whole}},
    }
    assert broken_promises({"modes": modes}) == [
        "naive: 2 of image unaccounted for",
        "composed: 1 of points lost by reference",
    ]
