"""The report as one page of HTML: no script, nothing from outside, readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence

from perception_platform.core.time import to_ms
from perception_platform.explain.look import ACTIONS, spoken
from perception_platform.explain.markup import document, escaped, number, picture, table
from perception_platform.explain.run_files import Line, Run
from perception_platform.explain.story import STOPS, Moment, Window, stops
from perception_platform.robot.description import Robot
from perception_platform.runtime.latency import Kind, Part

# On amber, dark text; on the others white: at least 4.5 : 1, for which green and vermilion are darkened here.
_CHIPS = {
    "proceed": "background:#00704f;color:#fff",
    "limit": "background:#e69f00;color:#1b1f24",
    "stop": "background:#b34700;color:#fff",
    "emergency_stop": f"background:{ACTIONS['emergency_stop']};color:#fff",
}
# Columns of the latency table, and the parts that each holds.
_WAYS = {
    "on the way": (Kind.TRANSPORT, Kind.HAND_OVER),
    "waited": (Kind.QUEUE, Kind.BEAT),
    "worked": (Kind.COMPUTE,),
    "sent": (Kind.PUBLISH,),
}


def page(
    run: Run,
    robot: Robot,
    windows: Sequence[Window],
    moment: Moment,
    pictures: tuple[str, str, str],
    title: str,
) -> str:
    """The whole page.

    Args:
        run: the run.
        robot: the robot it ran on.
        windows: of the truth, if known.
        moment: the most telling moment.
        pictures: SVG of the moment, of the run over time and of the run from above.
        title: one line that says what happened.
    """
    moment_svg, timeline_svg, run_svg = pictures
    body = [
        _header(run, robot, moment, title),
        "<main>",
        _cards(run),
        "<section><h2>Why did the robot brake?</h2>" if moment.decision["action"] in STOPS
        else "<section><h2>What bound the robot?</h2>",
        _evidence(moment),
        f'<div class="two">{picture(moment_svg, "Bird’s-eye view of the most telling moment")}',
        f"<div>{_latency(run, moment)}{_models(moment)}</div></div></section>",
        f"<section><h2>Over time</h2>{picture(timeline_svg, 'Speed, gap, actions and reasons over time', 'wide')}",
        _windows(run, windows),
        _episodes(run),
        "</section>",
        f"<section><h2>From above</h2>{picture(run_svg, 'The whole run from above', 'wide')}</section>",
        f"<section><h2>Sensors</h2>{_sensors(run)}</section>",
        _footer(run),
        "</main>",
    ]  # fmt: skip
    return document(title, "".join(body))


def _header(run: Run, robot: Robot, moment: Moment, title: str) -> str:
    decision = moment.decision
    return (
        f"<header><div><p>{escaped(robot.description)} · {escaped(run.summary.get('mode', 'run'))}</p>"
        f"<h1>{escaped(title)}</h1>"
        f'<p class="answer">{_chip(decision["action"])} at {moment.t_s:.2f} s, '
        f"driving {number(decision.get('speed_mps'))} m/s, "
        f"limit {number(decision['speed_limit_mps'])} m/s, "
        f"decided on data {number(decision.get('latency_ms'), 0)} ms old. "
        f"Shown: {escaped(moment.why)}.</p></div></header>"
    )


def _cards(run: Run) -> str:
    summary = run.summary
    first, latency = summary.get("first_stop_t_s"), summary.get("latency_ms") or {}
    dropped = sum((summary.get("frames_dropped") or {}).values())
    cards = [("first stop", "none" if first is None else f"{first:.2f} s")]
    cards += [(spoken(name), str(count)) for name, count in (summary.get("decisions") or {}).items()]
    cards += [
        ("latency p50 / p99", f"{number(latency.get('p50'), 0)} / {number(latency.get('p99'), 0)} ms"),
        ("frames, dropped", f"{summary.get('frames_in', '–')}, {dropped}"),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{escaped(v)}</b><span>{escaped(k)}</span></div>' for k, v in cards)
        + "</div>"
    )


def _evidence(moment: Moment) -> str:
    rows = [
        [
            _chip(f["action"]),
            escaped(f["text"] or spoken(f["reason"])),
            escaped(spoken(f["reason"])),
            f"{escaped(f['quantity'])} {number(f['value'], 2)} {_unit(f['unit'])}".strip(),
            number(f["threshold"], 2),
            number(f["margin"], 2),
            number(f["speed_limit_mps"], 2),
            ", ".join(map(str, f["track_ids"])) or "–",
            escaped(f["sensor"] or "–"),
        ]
        for f in moment.decision["evidence"]
    ]  # fmt: skip
    head = (
        "asks for",
        "finding",
        "rule",
        "measured",
        "threshold",
        "margin",
        "limit, m/s",
        "tracks",
        "sensor",
    )
    caption = "Evidence, the strictest first: the first row binds"
    return (
        table(caption, head, rows, numbers=(4, 5, 6))
        if rows
        else "<p>No rule asked for less: free to proceed.</p>"
    )


def _latency(run: Run, moment: Moment) -> str:
    t_ns = int(moment.decision["t_ns"])
    latency = next((d for d in run.latencies.decisions if d.t_ns == t_ns), None)
    if latency is None:
        return ""
    lineage = moment.decision["lineage"]
    ages = [[escaped(s["sensor"]), number(to_ms(t_ns - int(s["t_ns"])), 1)] for s in lineage["sources"]]
    stages = dict.fromkeys(part.stage for part in latency.parts_ms)
    rows = [
        [escaped(spoken(stage)), *(number(sum(latency.parts_ms.get(Part(stage, k), 0.0) for k in kinds), 1)
                              for kinds in _WAYS.values())]
        for stage in stages
    ]  # fmt: skip
    caption = f"Latency of this decision, in parts: {latency.total_ms:.1f} ms from the oldest capture"
    return table("Sensor data that it rests on", ("sensor", "age, ms"), ages, numbers=(1,)) + table(
        caption, ("stage", *(f"{way}, ms" for way in _WAYS)), rows, numbers=(1, 2, 3, 4)
    )


def _models(moment: Moment) -> str:
    rows = [
        [escaped(m["id"]), f"<code>{escaped(m['digest'][:16])}</code>"]
        for m in moment.decision.get("models") or []
    ]
    return table("Models that took part", ("id", "digest, first 16"), rows) if rows else ""


def _windows(run: Run, windows: Sequence[Window]) -> str:
    rows = []
    for w in windows:
        inside = [d for d in run.decisions if w.from_s <= run.t_s(d) <= w.to_s]
        stopped = [d for d in inside if d["action"] in STOPS]
        first = f"{run.t_s(stopped[0]) - w.from_s:.2f}" if stopped else "–"
        rows.append([
            "must stop" if w.expect == "stop" else "must not stop", f"{w.from_s:.2f} to {w.to_s:.2f}",
            f"{len(stopped)} of {len(inside)}", first, escaped(w.why),
        ])  # fmt: skip
    head = ("truth", "window, s", "decisions that stop", "first stop after, s", "why")
    return table("Truth against what was decided", head, rows, numbers=(2, 3)) if rows else ""


def _episodes(run: Run) -> str:
    rows = [
        [f"{s.from_s:.2f}", f"{s.to_s - s.from_s:.2f}", _chip(s.first["action"]), number(s.first.get("speed_mps"), 2),
         escaped(s.first["evidence"][0]["text"] if s.first["evidence"] else "–")]
        for s in stops(run)
    ]  # fmt: skip
    head = ("from, s", "for, s", "began as", "speed, m/s", "because")
    return (
        table("Every stop", head, rows, numbers=(0, 1, 3)) if rows else "<p>The robot never had to stop.</p>"
    )


def _sensors(run: Run) -> str:
    counts: dict[str, Line] = run.summary.get("sensors") or {}
    rows = [
        [escaped(name), str(c["in"]), str(c["processed"]),
         escaped(", ".join(f"{spoken(reason)} {n}" for reason, n in c["dropped"].items()) or "none")]
        for name, c in counts.items()
    ]  # fmt: skip
    head = ("sensor", "frames in", "processed", "dropped")
    return (
        table("Frames of each sensor", head, rows, numbers=(1, 2)) if rows else "<p>No counts were kept.</p>"
    )


def _footer(run: Run) -> str:
    digest = run.summary.get("digest")
    return f"<footer>Digest of the records <code>{escaped(digest)}</code></footer>" if digest else ""


def _chip(action: str) -> str:
    return f'<span class="chip" style="{_CHIPS[action]}">{escaped(spoken(action))}</span>'


def _unit(unit: str) -> str:
    return "" if unit == "1" else escaped(unit)
