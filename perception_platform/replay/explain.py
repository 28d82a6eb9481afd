"""One decision of a recording, found again: replayed up to it, with all that it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perception_platform.bags.reader import read_messages, span_ns
from perception_platform.core.errors import InputError
from perception_platform.core.time import to_s
from perception_platform.core.verdicts import Decision
from perception_platform.explain.counterfactual import Case, Change, counterfactuals
from perception_platform.perception.graph import PerceptionGraph
from perception_platform.replay.lockstep import Lockstep
from perception_platform.replay.records import Records, decision_line
from perception_platform.replay.run import require_sensors
from perception_platform.robot.description import Robot
from perception_platform.tracking.tracker import Tracker


@dataclass
class Asked:
    """A witness that waits for one decision: by its sequence number, or the first one from a time on.

    Attributes:
        sequence: number of the decision, or None.
        from_ns: time of the clock that stamps the sensors, ns; used without a sequence.
        decision: the decision, once it was heard.
        case: what it was made from; None if there was no assessment yet.
    """

    sequence: int | None = None
    from_ns: int = 0
    decision: Decision | None = None
    case: Case | None = None

    def wants(self, t_ns: int) -> bool:
        """Whether it may be the decision of that time."""
        return self.decision is None and (self.sequence is not None or t_ns >= self.from_ns)

    def hear(self, decision: Decision, case: Case | None) -> None:
        """Keep the one that was asked for."""
        if self.decision is not None:
            return
        mine = decision.t_ns >= self.from_ns if self.sequence is None else decision.sequence == self.sequence
        if mine:
            self.decision, self.case = decision, case


def find_decision(
    bag: Path,
    robot: Robot,
    graph: PerceptionGraph,
    asked: Asked,
    on_progress: Callable[[float], None] = lambda share: None,
) -> tuple[Decision, Case]:
    """Replay a bag in lockstep up to the decision that was asked for.

    Raises:
        InputError: if the bag cannot be read, ends before it, or nothing had been assessed by then.
    """
    require_sensors(bag, robot)
    start_ns, end_ns = span_ns(bag)

    def until_found(messages: Iterator[Any]) -> Iterator[Any]:
        for message in messages:
            if asked.decision is not None:
                return
            on_progress((message.log_ns - start_ns) / max(end_ns - start_ns, 1))
            yield message

    with TemporaryDirectory() as folder, Records(Path(folder)) as records:
        lockstep = Lockstep(robot, graph, Tracker(frame_id=robot.odom_frame), records, witness=asked)
        lockstep.run(until_found(read_messages(bag, topics=lockstep.topics())))
    if asked.decision is None:
        what = (
            f"decision {asked.sequence}" if asked.sequence is not None else "a decision at or after that time"
        )
        raise InputError(bag, f"ends before {what}")
    if asked.case is None:
        raise InputError(bag, f"nothing had been assessed before decision {asked.decision.sequence}")
    return asked.decision, asked.case


def recorded_line(run_dir: Path, sequence: int | None, from_ns: int) -> tuple[str, dict[str, Any]]:
    """The line of a run's ``decisions.jsonl`` that is asked for, as it stands and as read.

    Raises:
        InputError: if the file cannot be read, or has none.
    """
    path = run_dir / "decisions.jsonl"
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            mine = line["t_ns"] >= from_ns if sequence is None else line["sequence"] == sequence
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(path, f"no decision: {error}", f"line {number}") from error
        if mine:
            return text, line
    raise InputError(path, "has no such decision" if sequence is None else f"has no decision {sequence}")


def explain(decision: Decision, case: Case, recorded: str | None = None) -> dict[str, Any]:
    """Everything about one decision, for JSON.

    Args:
        decision: as the replay made it.
        case: what it was made from.
        recorded: the line of a run that it is held against, if there is one.
    """
    found = counterfactuals(case)
    line = decision_line(decision, case.ego_at_gate)
    lineage = found.decision.lineage.then(
        decision.lineage.stages[-1]
    )  # the gate's own stage is added after its step
    again = decision_line(replace(found.decision, lineage=lineage), case.ego_at_gate)
    return {
        "decision": line,
        "same_when_made_again": again == line,
        "same_as_recorded": None if recorded is None else recorded == as_recorded(line),
        "object": {"track_ids": list(found.object_ids), "points": found.object_points},
        "without_object": _short(found.without_object) if found.without_object else None,
        "flips": [_change(change) for change in found.changes],
    }


def as_recorded(line: dict[str, Any]) -> str:
    """A decision as it is written to ``decisions.jsonl``."""
    return json.dumps(line, allow_nan=False, separators=(", ", ": "))


def _short(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action.name.lower(),
        "speed_limit_mps": round(decision.speed_limit_mps, 3),
        "reasons": [reason.name.lower() for reason in decision.reasons],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "quantity": change.quantity,
        "change": round(change.change, 3),
        "unit": change.unit,
        "value": None if change.value is None else round(change.value, 3),
        "becomes": _short(change.becomes),
    }


def in_words(told: dict[str, Any], start_ns: int) -> list[str]:
    """The same as lines for people."""
    decision = told["decision"]
    lines = [
        f"decision {decision['sequence']} at {to_s(decision['t_ns'] - start_ns):.2f} s: "
        f"{_spoken(decision)}, gate {decision['state']}",
        *(f"  because: {f['text']}" + _measure(f) for f in decision["evidence"]),
    ]
    if decision["transition"]:
        lines.append(f"  state changed: {decision['transition']}")
    sources = ", ".join(
        f"{s['sensor']} {to_s(s['t_ns'] - start_ns):.3f} s" for s in decision["lineage"]["sources"]
    )
    lines.append(
        f"  from: {sources or 'nothing'}; models: {', '.join(m['id'] for m in decision['models']) or 'none'}"
    )
    if told["without_object"] is not None:
        ids = told["object"]["track_ids"]
        name = f"track {', '.join(map(str, ids))}" if ids else "these points"
        lines.append(
            f"  without {name} ({told['object']['points']} points): {_spoken(told['without_object'])}"
        )
    for flip in told["flips"]:
        value = "" if flip["value"] is None else f", to {flip['value']:g} {flip['unit']}"
        lines.append(
            f"  {flip['quantity']} {flip['change']:+g} {flip['unit']}{value}: {_spoken(flip['becomes'])}"
        )
    lines.append(
        f"  made again from its own inputs: {'the same' if told['same_when_made_again'] else 'ANOTHER'}"
    )
    if told["same_as_recorded"] is not None:
        same = "byte for byte" if told["same_as_recorded"] else "NOT"
        lines.append(f"  as recorded in the run: {same}")
    return lines


def _spoken(decision: dict[str, Any]) -> str:
    if decision["action"] == "limit":
        return f"limit to {decision['speed_limit_mps']:.2f} m/s"
    return str(decision["action"]).replace("_", " ")


def _measure(finding: dict[str, Any]) -> str:
    if finding["value"] is None or finding["threshold"] is None:
        return ""
    return (
        f" [{finding['quantity']} {finding['value']:g}, threshold {finding['threshold']:g}, "
        f"margin {finding['margin']:g} {finding['unit']}]"
    )
