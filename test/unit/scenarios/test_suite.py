"""Suites: the same bytes however they were run, and nothing lost or done twice when they are cut short."""

import json

import pytest

from perception_platform.core.errors import InputError
from perception_platform.scenarios.job import Job, Result, run_job
from perception_platform.scenarios.runners import Workers, all_of, in_this_process, runner_for
from perception_platform.scenarios.suite import (
    MANIFEST,
    PART,
    RESULTS,
    Suite,
    random_cases,
    run_suite,
    summary,
)
from test.unit.scenarios.families import family

FAMILIES = [family(), family(family="another_block", duration_s=6.0)]
SUITE = Suite("test", random_cases(FAMILIES, 2, 0), ("none",))


def test_a_suite_writes_what_it_was_meant_to_and_what_came(tmp_path):
    lines = run_suite(SUITE, tmp_path, in_this_process)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["families"] == {"another_block": 2, "block_ahead": 2}
    assert manifest["expected_cases"] == [line["case"] for line in lines]
    assert [json.loads(text) for text in (tmp_path / RESULTS).read_text().splitlines()] == lines
    assert not (tmp_path / PART).exists()
    assert summary(lines)["none"]["collisions"] == 4


def test_the_order_in_which_results_come_does_not_matter(tmp_path):
    run_suite(SUITE, tmp_path / "one", in_this_process)
    run_suite(SUITE, tmp_path / "other", lambda jobs: reversed([run_job(job) for job in jobs]))
    assert (tmp_path / "one" / RESULTS).read_bytes() == (tmp_path / "other" / RESULTS).read_bytes()


def test_a_suite_that_was_cut_short_goes_on_where_it_was(tmp_path):
    def dies_after_two(jobs):
        yield from map(run_job, jobs[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_suite(SUITE, tmp_path / "cut", dies_after_two)
    with (tmp_path / "cut" / PART).open("a") as part:
        part.write('{"case": "half a li')  # the disk was full
    done: list[Job] = []

    def counting(jobs):
        done.extend(jobs)
        return map(run_job, jobs)

    run_suite(SUITE, tmp_path / "cut", counting)
    assert len(done) == 2
    run_suite(SUITE, tmp_path / "whole", in_this_process)
    assert (tmp_path / "cut" / RESULTS).read_bytes() == (tmp_path / "whole" / RESULTS).read_bytes()
    run_suite(SUITE, tmp_path / "whole", counting)
    assert len(done) == 2  # nothing is missing, nothing is run


def test_a_folder_belongs_to_one_suite_and_its_lines_are_results(tmp_path):
    run_suite(SUITE, tmp_path, in_this_process)
    changed = Suite("test", random_cases([family(route_m=7.0)], 2, 0), ("none",))
    with pytest.raises(InputError, match="another suite"):
        run_suite(changed, tmp_path, in_this_process)
    (tmp_path / RESULTS).write_text('{"case": 1}\n')
    with pytest.raises(InputError, match=r"results\.jsonl: line 1"):
        run_suite(SUITE, tmp_path, in_this_process)


def test_traces_are_kept_of_failures_of_all_or_of_none(tmp_path):
    for traces, kept in ("none", 0), ("failures", 4), ("all", 4):
        suite = Suite("test", SUITE.cases, SUITE.policies, traces)
        lines = run_suite(suite, tmp_path / traces, in_this_process)
        found = [line["trace"] for line in lines if line["trace"]]
        assert len(found) == kept
        for name in found:
            head, *moments = (tmp_path / traces / name).read_text().splitlines()
            assert json.loads(head)["robot"] == "amr"
            assert len(moments) > 10


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(tmp_path):
    run_suite(SUITE, tmp_path / "one", in_this_process)
    run_suite(SUITE, tmp_path / "two", Workers(2))
    assert (tmp_path / "one" / RESULTS).read_bytes() == (tmp_path / "two" / RESULTS).read_bytes()


def test_results_are_given_back_in_the_order_of_the_jobs():
    jobs = SUITE.jobs()

    def backwards(given):
        return [Result({"case": job.case.id, "policy": job.policy}, [], 0.0, 0.0) for job in reversed(given)]

    assert [r.line["case"] for r in all_of(backwards, jobs)] == [job.case.id for job in jobs]


def test_who_runs_is_what_the_command_line_asks_for():
    assert runner_for(1, None) is in_this_process
    assert isinstance(runner_for(2, None), Workers)
