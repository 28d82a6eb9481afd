"""A suite: many jobs into one folder, by one process or many, that goes on where it was cut short."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from perception_platform.core.errors import InputError
from perception_platform.perception.parameters import GeometryParams
from perception_platform.robot.load import load_robot
from perception_platform.scenarios.cases import Case, draw
from perception_platform.scenarios.description import Family
from perception_platform.scenarios.job import Job, Result
from perception_platform.scenarios.policies import PolicyName

RESULTS, PART, MANIFEST, TRACES = "results.jsonl", "results.part.jsonl", "manifest.json", "traces"
Traces = Literal["none", "failures", "all"]
# Given jobs, yields their results in any order.
Runner = Callable[[Sequence[Job]], Iterable[Result]]


@dataclass(frozen=True)
class Suite:
    """What is to be run.

    Attributes:
        name: for the manifest.
        cases: the cases; each is run with every policy.
        policies: who judges.
        traces: which runs leave lines for pictures.
    """

    name: str
    cases: tuple[Case, ...]
    policies: tuple[PolicyName, ...]
    traces: Traces = "failures"

    def jobs(self) -> list[Job]:
        """Every case with every policy, in the order of the results."""
        return [Job(case, policy, self.traces != "none") for case in self.cases for policy in self.policies]

    def manifest(self) -> dict[str, Any]:
        """What was meant to run, and with what."""
        counts = Counter(case.family.family for case in self.cases)
        return {
            "suite": self.name,
            "version": 1,
            "digest": self.digest(),
            "policies": list(self.policies),
            "families": dict(sorted(counts.items())),
            "expected_cases": [case.id for case in self.cases],
        }

    def digest(self) -> str:
        """SHA-256 of the families, the robots' files and the parameters of their perception."""
        families = {case.family.family: case.family.model_dump(mode="json") for case in self.cases}
        robots = {
            name: load_robot(name).model_dump(mode="json") for name in {c.family.robot for c in self.cases}
        }
        model = GeometryParams().model_ref()
        text = json.dumps([families, robots, model.id, model.digest], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def random_cases(families: Sequence[Family], runs: int, seed: int) -> tuple[Case, ...]:
    """``runs`` random cases of each family."""
    return tuple(draw(family, seed, index) for family in families for index in range(runs))


def run_suite(
    suite: Suite, out: Path, runner: Runner, on_result: Callable[[Result], None] = lambda result: None
) -> list[dict[str, Any]]:
    """Run what is not there yet, and write ``results.jsonl`` and ``manifest.json``.

    Each result is kept as it comes, in ``results.part.jsonl``; what is found there from a run of the same suite that
    was cut short is not run again. In the end the results are put into the order of the suite, so that they are the
    same bytes however many processes took part.

    Args:
        suite: what to run.
        out: folder; it is made.
        runner: does the jobs.
        on_result: told of each, for a progress bar.

    Returns:
        All lines.

    Raises:
        InputError: if the folder holds another suite's results, or a line in it is broken.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest = suite.manifest()
    _claim(out, manifest)
    done = _kept(out)
    missing = [job for job in suite.jobs() if job.key not in done]
    with (out / PART).open("a", encoding="utf-8") as part:
        for result in runner(missing):
            line = _with_trace(result, suite.traces, out)
            done[line["case"], line["policy"]] = line
            _append(part, line)
            on_result(result)
    lines = [done[job.key] for job in suite.jobs()]
    (out / RESULTS).write_text("".join(_text(line) for line in lines), encoding="utf-8")
    (out / PART).unlink()
    return lines


def _claim(out: Path, manifest: dict[str, Any]) -> None:
    path = out / MANIFEST
    if path.exists():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(path, f"is no JSON: {error}") from error
        if there != manifest:
            raise InputError(path, "belongs to another suite; give another folder, or remove this one")
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _kept(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Results that are there; a last line that was cut off is taken away and run again."""
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    part = out / PART
    if part.exists():
        text = part.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            part.write_text(whole, encoding="utf-8")
    for path in (out / RESULTS, part):
        if path.exists():
            for line in read_results(path):
                kept[line["case"], line["policy"]] = line
    return kept


def read_results(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a result file.

    Raises:
        InputError: names file and line if one is no result.
    """
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            line["case"], line["policy"], line["outcome"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(path, f"is no result: {text[:60]!r}", f"line {number}") from error
        yield line


def _with_trace(result: Result, traces: Traces, out: Path) -> dict[str, Any]:
    line = result.line
    if not result.trace or (traces == "failures" and not failed(line)):
        return line
    name = f"{TRACES}/{line['case']}-{line['policy']}.jsonl"
    (out / TRACES).mkdir(exist_ok=True)
    (out / name).write_text("".join(_text(moment) for moment in result.trace), encoding="utf-8")
    return {**line, "trace": name}


def failed(line: dict[str, Any]) -> bool:
    """Whether a result is one that people will want to look at."""
    events = line["events"]
    return line["outcome"] != "ok" or bool(events["late_stop"] or events["false_stop"])


def _append(file: IO[str], line: dict[str, Any]) -> None:
    file.write(_text(line))
    file.flush()


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, allow_nan=False, separators=(", ", ": ")) + "\n"


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By policy: runs, collisions in and outside the stated domain, late and false stops, time lost."""
    table: dict[str, dict[str, Any]] = {}
    for policy in dict.fromkeys(line["policy"] for line in lines):
        own = [line for line in lines if line["policy"] == policy]
        whole = [line for line in own if line["outcome"] in ("ok", "collision")]
        hits = [line for line in whole if line["outcome"] == "collision"]
        table[policy] = {
            "runs": len(own),
            "crashed": len(own) - len(whole),
            "collisions": len(hits),
            "collisions_in_domain": sum(line["in_domain"] for line in hits),
            "struck": sum(bool(line["events"]["struck"]) for line in whole),
            "late_stops": sum(line["events"]["late_stop"] for line in whole),
            "false_stops": sum(line["events"]["false_stop"] for line in whole),
            "mean_time_lost_s": round(
                sum(line["events"]["time_lost_s"] for line in whole) / max(len(whole), 1), 3
            ),
        }
    return table
