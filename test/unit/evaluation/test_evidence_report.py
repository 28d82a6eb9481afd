"""The report of a judgement: that it stands alone, says what was found, and is the same twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.evaluation.evidence.gate_file import load_gate
from perception_platform.evaluation.evidence.report import write_report
from perception_platform.evaluation.evidence.results import read_results
from perception_platform.evaluation.evidence.safety_case import load_safety_case
from perception_platform.robot.load import share_dir
from test.unit.evaluation.result_folders import Faults, read_runs, write_json, write_results, write_runs

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name, faults in (("sound", Faults()), ("blind", Faults(blind_deg=(-5.0, 15.0)))):
        path = write_results(folder / name, faults=faults)
        manifest = json.loads((path / "manifest.json").read_text())
        write_json(path / "manifest.json", manifest | {"made_utc": NOW.isoformat()})
    return folder


def written(folders: Path, candidate: str, out: Path) -> Path:
    case = load_safety_case(share_dir() / "config" / "safety_case.yaml")
    sound, judged = read_results(folders / "sound"), read_results(folders / candidate)
    write_report(load_gate("smoke"), sound, judged, case, {}, NOW, out)
    return out


@pytest.fixture(scope="module")
def report(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(folders, "blind", tmp_path_factory.mktemp("out"))


class Tags(HTMLParser):
    """Checks that tags are closed in order; collects links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


@pytest.mark.slow
def test_the_page_stands_alone_and_says_what_was_found(report: Path) -> None:
    tags = Tags()
    tags.feed((report / "report.html").read_text(encoding="utf-8"))
    assert tags.open == []
    assert all(link.startswith("#") for link in tags.links)
    for words in (
        "no-ship",
        "low person",
        "this stack",
        "Autoware's formula",
        "which the baseline did not have",
    ):
        assert words in tags.text


@pytest.mark.slow
def test_the_same_is_there_as_json(report: Path) -> None:
    figures = json.loads((report / "report.json").read_text())
    assert (figures["verdict"], figures["exit_code"]) == ("no-ship", 1)
    assert figures["gate"]["digest"] == load_gate("smoke").digest
    worst = figures["requirements"]["collisions_by_hazard"]["worst"]
    assert worst["at_most"] == max(
        found["at_most"] for found in figures["requirements"]["collisions_by_hazard"].values()
    )
    ours, none = (figures["policies"][p]["collision"]["events"] for p in ("ours", "none"))
    assert 0 < ours < none
    assert figures["worst"][0]["outcome"] == "collision"
    impacts = [run["events"]["impact_speed_mps"] or 0.0 for run in figures["worst"]]
    assert impacts == sorted(impacts, reverse=True)
    assert figures["safety_case"]["nodes"]["G1"]["supported"] is False


@pytest.mark.slow
def test_cost_is_told_of_the_cases_that_both_came_through(folders: Path, report: Path) -> None:
    """Counted again from the lines themselves: inside the domain, nobody hit, struck or late."""
    found = json.loads((report / "report.json").read_text())["cost_beside"]
    assert set(found) == {"fixed_field", "autoware_aeb", "none"}
    runs = {(run["case"], run["policy"]): run for run in read_runs(folders / "blind")}
    bad = ("collision", "late_stop", "struck")
    for other, told in found.items():
        pairs = [(run, runs[case, other]) for (case, policy), run in runs.items() if policy == "ours"]
        both = [p for p in pairs if p[0]["in_domain"] and not any(r["events"].get(b) for r in p for b in bad)]
        assert told["cases"] == len(both) > 0
        own, their = (sum(p[i]["events"]["time_lost_s"] for p in both) / len(both) for i in (0, 1))
        assert (told["time_lost_s"], told["their_time_lost_s"]) == pytest.approx((own, their))
        assert told["added_s"]["mean"] == pytest.approx(own - their)
        assert told["added_s"]["low"] <= told["added_s"]["mean"] <= told["added_s"]["high"]


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(folders: Path, report: Path, tmp_path: Path) -> None:
    again = written(folders, "blind", tmp_path)
    for name in ("report.html", "report.json"):
        assert (again / name).read_bytes() == (report / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("candidate", "code"), [("sound", 0), ("blind", 1)])
def test_the_exit_code_is_the_verdict(folders: Path, tmp_path: Path, candidate: str, code: int) -> None:
    lidar = tmp_path / "lidar.json"
    write_json(lidar, {"people": {"recall": 1.0}, "objects": {"recall": 1.0}})
    arguments = [
        "gate",
        "smoke",
        "--baseline",
        str(folders / "sound"),
        "--candidate",
        str(folders / candidate),
    ]
    found = CliRunner().invoke(
        app, [*arguments, "--out", str(tmp_path / "out"), "--evidence", f"lidar={lidar}"]
    )
    assert found.exit_code == code, found.output
    nodes = json.loads((tmp_path / "out" / "report.json").read_text())["safety_case"]["nodes"]
    assert nodes["Sn5"]["supported"]


@pytest.mark.slow
def test_a_name_from_a_file_is_text_and_a_run_without_a_trace_is_listed(
    folders: Path, tmp_path: Path
) -> None:
    bad = "</script><script>alert(1)</script>"
    for name in ("sound", "blind"):
        runs = read_runs(folders / name)
        (tmp_path / name).mkdir()
        manifest = (
            (folders / name / "manifest.json")
            .read_text()
            .replace("low_obstacle/", f"{bad.replace('/', chr(92) + '/')}-")
        )
        (tmp_path / name / "manifest.json").write_text(manifest)
        for run in runs:
            run["case"] = run["case"].replace("low_obstacle/", f"{bad}-")
            run["trace"] = None
        write_runs(tmp_path / name, runs)
    html = (written(tmp_path, "blind", tmp_path / "out") / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "None of these runs left a trace to look at." in html


def test_evidence_has_to_be_named(folders: Path) -> None:
    arguments = ["gate", "smoke", "--baseline", str(folders / "sound"), "--candidate", str(folders / "sound")]
    for given in ("lidar", "=file", "gate=file"):
        found = CliRunner().invoke(app, [*arguments, "--evidence", given])
        assert f"'{given}' is not SOURCE=FILE" in str(found.exception)
