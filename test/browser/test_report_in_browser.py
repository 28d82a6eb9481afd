"""The report in a real browser: plots are drawn, the safety case is, the replay can be scrubbed and played."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from perception_platform.evaluation.evidence.gate_file import load_gate
from perception_platform.evaluation.evidence.report import write_report
from perception_platform.evaluation.evidence.results import read_results
from perception_platform.evaluation.evidence.safety_case import load_safety_case
from perception_platform.robot.load import share_dir
from test.browser.chromium import Page, browser, executable
from test.unit.evaluation.result_folders import Faults, write_results


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    binary = executable()
    if binary is None:
        pytest.skip("no Chromium here: install it with apt-get install chromium")
    folder = tmp_path_factory.mktemp("report")
    sound = read_results(write_results(folder / "sound"))
    blind = read_results(write_results(folder / "blind", faults=Faults(blind_deg=(-5.0, 15.0))))
    case = load_safety_case(share_dir() / "config" / "safety_case.yaml")
    write_report(load_gate("smoke"), sound, blind, case, {}, datetime.now(UTC), folder / "out")
    with browser(binary, folder / "profile") as opened:
        opened.open(folder / "out" / "report.html")
        yield opened


def moved_to(page: Page, moment: int) -> str:
    """Drag the slider to a moment; what is said there."""
    return str(page.evaluate(
        f"(() => {{const s = document.getElementById('replay-time'); s.value = {moment};"
        "s.dispatchEvent(new Event('input')); return document.getElementById('replay-said').textContent})()"
    ))  # fmt: skip


def ego_x_px(page: Page) -> float:
    return float(page.evaluate("document.getElementById('replay-ego').getBoundingClientRect().x"))


def test_plots_are_drawn(page: Page) -> None:
    """Each picture has a size, and ink where it is."""
    boxes = page.evaluate(
        "[...document.querySelectorAll('[role=img] > svg')].map(s => {const r = s.getBoundingClientRect();"
        "return [r.x + scrollX, r.y + scrollY, r.width, r.height, s.querySelectorAll('path').length]})"
    )
    assert len(boxes) == 3
    for x, y, width, height, paths in boxes:
        assert min(width, height) > 200
        assert paths > 20
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = page.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        data = np.frombuffer(b64decode(shot), dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        assert (image.min(axis=2) < 200).mean() > 0.002


def test_the_slider_moves_the_robot(page: Page) -> None:
    assert moved_to(page, 0).startswith("0.00 s")
    start_px = ego_x_px(page)
    assert moved_to(page, 25).startswith("2.50 s")
    assert ego_x_px(page) > start_px + 20
    assert moved_to(page, 0).startswith("0.00 s")
    assert ego_x_px(page) == start_px


def test_actors_and_tracks_are_there_when_they_are(page: Page) -> None:
    count = "['.actor', '.track'].map(kind => document.querySelectorAll('#replay-view ' + kind).length)"
    for moment, there in ((0, [0, 0]), (6, [1, 0]), (30, [1, 1])):
        moved_to(page, moment)
        assert page.evaluate(count) == there
    assert page.evaluate("document.getElementById('replay-why').textContent") == "person 7 in the path"


def test_another_run_can_be_chosen(page: Page) -> None:
    moved_to(page, 10)
    before = page.evaluate("document.getElementById('replay-strip').innerHTML")
    page.evaluate(
        "(() => {const c = document.getElementById('replay-run'); c.value = 1; c.dispatchEvent(new Event('change'))})()"
    )
    assert page.evaluate("document.getElementById('replay-time').value") == "0"
    assert page.evaluate("document.getElementById('replay-strip').innerHTML") != before


def test_it_plays_to_the_end_by_itself(page: Page) -> None:
    moved_to(page, 36)
    ended = page.evaluate(
        "(async () => {document.getElementById('replay-play').click();"
        "for (let i = 0; i < 400 && document.getElementById('replay-play').textContent === 'pause'; i++)"
        "await new Promise(r => setTimeout(r, 50));"
        "return [document.getElementById('replay-time').value, document.getElementById('replay-play').textContent]})()"
    )
    assert ended == ["39", "play"]


def test_what_is_not_supported_is_red(page: Page) -> None:
    states = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.gsn')].map(g => [g.id, g.dataset.supported]))"
    )
    assert (states["gsn-G1"], states["gsn-Sn1"], states["gsn-Sn3"]) == ("false", "false", "true")
    fills = "['gsn-Sn1', 'gsn-Sn3'].map(n => getComputedStyle(document.getElementById(n).children[1]).fill)"
    red, green = page.evaluate(fills)
    assert red != green


def test_nothing_went_wrong_on_the_page(page: Page) -> None:
    assert page.errors == []
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
