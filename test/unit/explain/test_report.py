"""The written report: what it says, that it stands alone, that it is the same twice, and bad input."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from perception_platform.core.errors import InputError
from perception_platform.explain.page import page
from perception_platform.explain.report import write_report
from perception_platform.explain.run_files import read_run
from perception_platform.explain.story import telling_moment
from perception_platform.robot.load import load_robot
from test.unit.explain.runs import Truth, decision, free_run, stopping_run, tracks, write

ROBOT = load_robot("amr")
WINDOWS = [Truth("no_stop", 0.1, 1.0), Truth("stop", 1.4, 1.65)]
VOID = {"meta", "br", "img", "path", "use", "rect"}


class Checker(HTMLParser):
    """Collects links and text, and that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return write_report(write(folder / "run", stopping_run()), ROBOT, folder / "out", WINDOWS)


def parsed(report: Path) -> Checker:
    checker = Checker()
    checker.feed(report.read_text(encoding="utf-8"))
    assert checker.open == []
    return checker


def test_it_answers_why_the_robot_braked(report: Path) -> None:
    text = parsed(report).text
    for words in (
        "Why did the robot brake?",
        "person 7 in the path at 1.25 m: stop",
        "at 1.40 s",
        "-0.25",
        "geometry@1",
        "60 / 62 ms",
        "malformed 1",
        "6 of 6",
        "a <person> steps out",
    ):
        assert words in text


def test_the_page_stands_alone(report: Path) -> None:
    page = parsed(report)
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "link", "iframe", "img"} & page.tags
    assert "@import" not in page.text


def test_the_latency_is_given_in_parts(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    cells = "".join(f'<td class="n">{ms}</td>' for ms in ("0.0", "10.0", "40.0", "0.0"))
    assert f"<td>perception</td>{cells}" in text
    assert "in parts: 60.0 ms from the oldest capture" in text


def test_the_picture_is_one(report: Path) -> None:
    image = cv2.imread(str(report.with_name("report.png")))
    assert image is not None
    assert image.shape[1] > image.shape[0] > 600
    assert image.std() > 10


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(report: Path, tmp_path: Path) -> None:
    again = write_report(write(tmp_path / "run", stopping_run()), ROBOT, tmp_path / "out", WINDOWS)
    for name in ("report.html", "report.png"):
        assert again.with_name(name).read_bytes() == report.with_name(name).read_bytes()


def test_a_run_without_a_stop_or_truth_has_a_page_too(tmp_path: Path) -> None:
    run = read_run(write(tmp_path / "run", free_run()))
    text = page(run, ROBOT, [], telling_moment(run), ("", "", ""), "title")
    assert "The robot never had to stop." in text
    assert "free to proceed" in text
    assert "Truth against" not in text


@pytest.mark.slow
def test_a_run_that_saw_nothing_has_a_report_too(tmp_path: Path) -> None:
    records = stopping_run()
    records["tracks"], records["detections"] = [], []
    records["decisions"] = records["decisions"][28:29]
    for name in ("speed_mps", "latency_ms"):
        records["decisions"][0][name] = None
    records["summary"] = {"first_stop_t_s": 1.4}
    assert (
        "first stop" in parsed(write_report(write(tmp_path / "run", records), ROBOT, tmp_path / "out")).text
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("summary.json", None, "summary.json"),
        ("summary.json", "{", "is not JSON"),
        ("summary.json", "[]", "is not an object"),
        (
            "tracks.jsonl",
            '{"t_ns": 1, "tracks": [], "ego": {"x_m": 0, "y_m": 0, "yaw_rad": 0}}\n{"t_n',
            "line 2",
        ),
        (
            "tracks.jsonl",
            json.dumps({**tracks(0.1, None), "ego": {}}),
            "line 1: ego: lacks x_m, y_m, yaw_rad",
        ),
        (
            "tracks.jsonl",
            json.dumps({**tracks(0.1, None), "tracks": [{"id": 7}]}),
            "line 1: tracks: lacks class",
        ),
        (
            "tracks.jsonl",
            json.dumps({**tracks(0.1, None), "tracks": [7]}),
            "tracks: has '7' in place of an object",
        ),
        ("decisions.jsonl", '{"t_ns": 1, "reasons": []}\n', "lacks action, speed_limit_mps, evidence"),
        ("decisions.jsonl", json.dumps(decision(0.1, "fly")), "line 1: action 'fly' is none of"),
        (
            "decisions.jsonl",
            json.dumps(decision(0.1, evidence=[{"reason": "zone"}])),
            "line 1: evidence: lacks action",
        ),
        (
            "decisions.jsonl",
            json.dumps(decision(0.1) | {"lineage": {"stages": [{"stage": "perception"}]}}),
            "line 1: lineage: stages: lacks received_ns",
        ),
        ("decisions.jsonl", "", "no decision"),
        ("detections.jsonl", b"\xff\xfe", "detections.jsonl"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: str | bytes | None, says: str) -> None:
    folder = write(tmp_path / "run", stopping_run())
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=says):
        write_report(folder, ROBOT, tmp_path / "out")
