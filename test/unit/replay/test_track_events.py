"""Events of tracks from the tracker through the files of a run to the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perception_platform.cli.main import app
from perception_platform.core.errors import InputError
from perception_platform.core.objects import Tracks
from perception_platform.core.track_events import TrackChange, TrackEvent, TrackReason
from perception_platform.replay.records import Records
from perception_platform.replay.track_events import read_events
from perception_platform.risk.assess import assess
from perception_platform.risk.config import RiskConfig
from perception_platform.robot.load import load_robot
from test.unit.scenes import ego_state, track

BORN = TrackEvent(5, 1, TrackChange.BORN, TrackReason.NEAR_ONES_TAKEN, 0.57, other_id=3)
ENDED = TrackEvent(1_000_000_005, 2, TrackChange.ENDED, TrackReason.NOT_SEEN, 0.04)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    config = RiskConfig.from_robot(load_robot("amr"))
    with Records(tmp_path) as records:
        for events in ((BORN,), (), (ENDED,)):
            tracks: Tracks = replace(track(3.0), events=events)
            risks = assess(tracks, (), ego_state(), config, now_ns=0).objects
            records.tracks(tracks, risks, ego_state())
    return tmp_path


def test_events_are_read_as_they_were_written(run_dir: Path) -> None:
    born, ended = read_events(run_dir)
    assert born == {
        "t_ns": 5, "id": 1, "change": "born", "reason": "near_ones_taken", "existence": 0.57, "other_id": 3,
    }  # fmt: skip
    assert (ended["id"], ended["reason"], ended["other_id"]) == (2, "not_seen", 0)


def test_the_list_is_for_people_and_for_programs(run_dir: Path) -> None:
    text = CliRunner().invoke(app, ["track", "events", str(run_dir)]).stdout
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "0.000 s track 1 born near ones taken (track 3); existence 0.57",
        "1.000 s track 2 ended not seen; existence 0.04",
    ]
    as_json = CliRunner().invoke(app, ["track", "events", str(run_dir), "--json"]).stdout
    assert json.loads(as_json) == read_events(run_dir)


@pytest.mark.parametrize(
    ("arguments", "ids"), [(["--id", "3"], [1]), (["--id", "2"], [2]), (["--change", "born"], [1])]
)
def test_a_track_or_a_kind_of_change_can_be_picked(
    run_dir: Path, arguments: list[str], ids: list[int]
) -> None:
    listed = CliRunner().invoke(app, ["track", "events", str(run_dir), "--json", *arguments]).stdout
    assert [event["id"] for event in json.loads(listed)] == ids


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 1: not JSON"),
        ('{"tracks": []}', "line 1: has no events"),
        ('{"events": {}}', "line 1: events are no list"),
        ('{"events": [{"t_ns": 1}]}', "line 1: an event lacks a proper id"),
    ],
)
def test_a_file_that_is_no_record_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "tracks.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"tracks\.jsonl") as found:
        read_events(tmp_path)
    assert problem in str(found.value)


def test_a_run_without_tracks_and_an_unknown_change_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tracks\.jsonl"):
        read_events(tmp_path)
    with pytest.raises(InputError, match="vanished"):
        CliRunner().invoke(
            app, ["track", "events", str(tmp_path), "--change", "vanished"], catch_exceptions=False
        )
