"""A decision's latency in parts: nothing is lost, nothing counts twice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from perception_platform.cli.latency import read_parts
from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.lineage import Lineage, SourceStamp, StageTiming
from perception_platform.runtime.latency import by_part, percentiles, split, worst

MS = 1_000_000


def stage(name: str, queued_ms: int, started_ms: int, finished_ms: int) -> StageTiming:
    queued_ns, started_ns, finished_ns = queued_ms * MS, started_ms * MS, finished_ms * MS
    return StageTiming(name, queued_ns, queued_ns, started_ns, finished_ns, finished_ns)


CHAIN = Lineage(
    (SourceStamp("lidar_top", 0), SourceStamp("scan_front", 20 * MS)),
    (stage("perception", 2, 5, 40), stage("risk", 41, 41, 44), stage("safety_gate", 45, 60, 61)),
)


def test_a_chain_in_parts() -> None:
    parts = split(CHAIN, 62 * MS)
    assert parts is not None
    assert parts.total_ms == 62.0
    assert parts.parts_ms == {
        "to perception": 2.0,
        "perception wait": 3.0,
        "perception work": 35.0,
        "to risk": 1.0,
        "risk wait": 0.0,
        "risk work": 3.0,
        "to safety_gate": 1.0,
        "safety_gate wait": 15.0,
        "safety_gate work": 1.0,
        "to decision": 1.0,
    }
    assert parts.largest == "perception work"


def test_a_decision_without_sensor_data_has_no_latency() -> None:
    assert split(Lineage(), 5) is None


times = st.integers(0, 1000).map(lambda ms: ms * MS)
stages = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(times, min_size=5, max_size=5).map(sorted)), max_size=5
)


@given(stages, times, times)
def test_parts_are_never_negative_and_always_add_up(
    raw: list[tuple[str, list[int]]], captured_ns: int, t_ns: int
) -> None:
    lineage = Lineage((SourceStamp("lidar_top", captured_ns),), tuple(StageTiming(n, *t) for n, t in raw))
    parts = split(lineage, t_ns)
    assert parts is not None
    assert min(parts.parts_ms.values()) >= 0
    assert sum(parts.parts_ms.values()) == pytest.approx(parts.total_ms)


def test_the_worst_come_first_and_parts_without_cost_are_left_out() -> None:
    slow, quick = split(CHAIN, 90 * MS), split(CHAIN, 61 * MS)
    assert slow is not None
    assert quick is not None
    assert worst([quick, slow], 1) == [slow]
    figures = by_part([quick, slow])
    assert "risk wait" not in figures
    assert figures["to decision"]["max"] == 29.0


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) == {"p50": None, "p90": None, "p99": None, "max": None, "samples": 0}


def run_folder(tmp_path: Path, *extra_lines: str) -> Path:
    line = {
        "t_ns": 62 * MS,
        "lineage": {
            "sources": [{"sensor": s.sensor, "t_ns": s.t_ns} for s in CHAIN.sources],
            "stages": [asdict(s) for s in CHAIN.stages],
        },
    }
    (tmp_path / "decisions.jsonl").write_text("\n".join([json.dumps(line), *extra_lines]) + "\n")
    return tmp_path


def test_the_command_writes_the_figures_and_draws_them(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    figures, picture = tmp_path / "latency.json", tmp_path / "latency.png"
    done = CliRunner().invoke(app, ["latency", str(run), "--json", str(figures), "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert "perception work" in done.output
    written = json.loads(figures.read_text())
    assert written["total"]["p50"] == 62.0
    assert written["worst"][0]["largest"] == "perception work"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_no_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_parts(tmp_path / "decisions.jsonl")
    with pytest.raises(InputError, match="line 2"):
        read_parts(run_folder(tmp_path, '{"t_ns": 5}') / "decisions.jsonl")
