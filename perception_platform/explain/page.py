"""The report as one page of HTML: no script, nothing from outside, readable on a phone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from perception_platform.core.time import to_ms
from perception_platform.explain.look import ACTIONS, spoken
from perception_platform.explain.run_files import Line, Run
from perception_platform.explain.story import STOPS, Moment, Window, stops
from perception_platform.robot.description import Robot
from perception_platform.runtime.latency import Kind, Part

Row = Sequence[Any]

STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#f4f6f8;margin:0}
main{max-width:72rem;margin:0 auto;padding:1rem}
header{background:#1b1f24;color:#fff}header div{max-width:72rem;margin:0 auto;padding:1.2rem 1rem}
h1{font-size:1.45rem;line-height:1.25;margin:.1rem 0 .5rem}h2{font-size:1.15rem;margin:0 0 .6rem}
header p{margin:0;color:#d8dde3}header .answer{font-size:1.1rem;color:#fff;margin:.4rem 0}
section{background:#fff;border:1px solid #d8dde3;border-radius:.6rem;padding:1rem;margin:1rem 0}
section>p{margin:.2rem 0 .8rem;color:#414a54}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1rem 0}
.card{background:#fff;border:1px solid #d8dde3;border-radius:.6rem;padding:.6rem .8rem}
.card b{display:block;font-size:1.25rem}.card span{color:#414a54;font-size:.85rem}
.two{display:grid;gap:1rem;margin-top:1rem;grid-template-columns:minmax(0,1fr)}
@media(min-width:62rem){.two{grid-template-columns:minmax(0,1fr) minmax(0,1fr);align-items:start}}
.scroll{overflow-x:auto}svg{width:100%;height:auto;display:block}.wide svg{min-width:34rem}
table{border-collapse:collapse;width:100%;font-size:.88rem}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{text-align:left;padding:.35rem .55rem;border-bottom:1px solid #e4e8ec;vertical-align:top}
th{color:#414a54;font-weight:600;white-space:nowrap}td.t{min-width:18rem}td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.chip{display:inline-block;border-radius:1rem;padding:0 .6rem;font-weight:600;white-space:nowrap}
code{font-size:.85em;overflow-wrap:anywhere}footer{color:#414a54;font-size:.85rem;padding:0 0 2rem}
"""
_ROOM = ' class="t"'
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
        f'<div class="two">{_picture(moment_svg, "Bird’s-eye view of the most telling moment")}',
        f"<div>{_latency(run, moment)}{_models(moment)}</div></div></section>",
        f"<section><h2>Over time</h2>{_picture(timeline_svg, 'Speed, gap, actions and reasons over time', 'wide')}",
        _windows(run, windows),
        _episodes(run),
        "</section>",
        f"<section><h2>From above</h2>{_picture(run_svg, 'The whole run from above', 'wide')}</section>",
        f"<section><h2>Sensors</h2>{_sensors(run)}</section>",
        _footer(run),
        "</main>",
    ]  # fmt: skip
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_e(title)}</title><style>{STYLE}</style>"
    )
    text = "".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{text}</body></html>\n'


def _header(run: Run, robot: Robot, moment: Moment, title: str) -> str:
    decision = moment.decision
    return (
        f"<header><div><p>{_e(robot.description)} · {_e(run.summary.get('mode', 'run'))}</p><h1>{_e(title)}</h1>"
        f'<p class="answer">{_chip(decision["action"])} at {moment.t_s:.2f} s, '
        f"driving {_n(decision.get('speed_mps'))} m/s, "
        f"limit {_n(decision['speed_limit_mps'])} m/s, decided on data {_n(decision.get('latency_ms'), 0)} ms old. "
        f"Shown: {_e(moment.why)}.</p></div></header>"
    )


def _cards(run: Run) -> str:
    summary = run.summary
    first, latency = summary.get("first_stop_t_s"), summary.get("latency_ms") or {}
    dropped = sum((summary.get("frames_dropped") or {}).values())
    cards = [("first stop", "none" if first is None else f"{first:.2f} s")]
    cards += [(spoken(name), str(count)) for name, count in (summary.get("decisions") or {}).items()]
    cards += [
        ("latency p50 / p99", f"{_n(latency.get('p50'), 0)} / {_n(latency.get('p99'), 0)} ms"),
        ("frames, dropped", f"{summary.get('frames_in', '–')}, {dropped}"),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{_e(v)}</b><span>{_e(k)}</span></div>' for k, v in cards)
        + "</div>"
    )


def _evidence(moment: Moment) -> str:
    rows = [
        [
            _chip(f["action"]),
            _e(f["text"] or spoken(f["reason"])),
            _e(spoken(f["reason"])),
            f"{_e(f['quantity'])} {_n(f['value'], 2)} {_unit(f['unit'])}".strip(),
            _n(f["threshold"], 2),
            _n(f["margin"], 2),
            _n(f["speed_limit_mps"], 2),
            ", ".join(map(str, f["track_ids"])) or "–",
            _e(f["sensor"] or "–"),
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
        _table(caption, head, rows, numbers=(4, 5, 6))
        if rows
        else "<p>No rule asked for less: free to proceed.</p>"
    )


def _latency(run: Run, moment: Moment) -> str:
    t_ns = int(moment.decision["t_ns"])
    latency = next((d for d in run.latencies.decisions if d.t_ns == t_ns), None)
    if latency is None:
        return ""
    lineage = moment.decision["lineage"]
    ages = [[_e(s["sensor"]), _n(to_ms(t_ns - int(s["t_ns"])), 1)] for s in lineage["sources"]]
    stages = dict.fromkeys(part.stage for part in latency.parts_ms)
    rows = [
        [_e(spoken(stage)), *(_n(sum(latency.parts_ms.get(Part(stage, k), 0.0) for k in kinds), 1)
                              for kinds in _WAYS.values())]
        for stage in stages
    ]  # fmt: skip
    caption = f"Latency of this decision, in parts: {latency.total_ms:.1f} ms from the oldest capture"
    return _table("Sensor data that it rests on", ("sensor", "age, ms"), ages, numbers=(1,)) + _table(
        caption, ("stage", *(f"{way}, ms" for way in _WAYS)), rows, numbers=(1, 2, 3, 4)
    )


def _models(moment: Moment) -> str:
    rows = [
        [_e(m["id"]), f"<code>{_e(m['digest'][:16])}</code>"] for m in moment.decision.get("models") or []
    ]
    return _table("Models that took part", ("id", "digest, first 16"), rows) if rows else ""


def _windows(run: Run, windows: Sequence[Window]) -> str:
    rows = []
    for w in windows:
        inside = [d for d in run.decisions if w.from_s <= run.t_s(d) <= w.to_s]
        stopped = [d for d in inside if d["action"] in STOPS]
        first = f"{run.t_s(stopped[0]) - w.from_s:.2f}" if stopped else "–"
        rows.append([
            "must stop" if w.expect == "stop" else "must not stop", f"{w.from_s:.2f} to {w.to_s:.2f}",
            f"{len(stopped)} of {len(inside)}", first, _e(w.why),
        ])  # fmt: skip
    head = ("truth", "window, s", "decisions that stop", "first stop after, s", "why")
    return _table("Truth against what was decided", head, rows, numbers=(2, 3)) if rows else ""


def _episodes(run: Run) -> str:
    rows = [
        [f"{s.from_s:.2f}", f"{s.to_s - s.from_s:.2f}", _chip(s.first["action"]), _n(s.first.get("speed_mps"), 2),
         _e(s.first["evidence"][0]["text"] if s.first["evidence"] else "–")]
        for s in stops(run)
    ]  # fmt: skip
    head = ("from, s", "for, s", "began as", "speed, m/s", "because")
    return (
        _table("Every stop", head, rows, numbers=(0, 1, 3)) if rows else "<p>The robot never had to stop.</p>"
    )


def _sensors(run: Run) -> str:
    counts: dict[str, Line] = run.summary.get("sensors") or {}
    rows = [
        [_e(name), str(c["in"]), str(c["processed"]),
         _e(", ".join(f"{spoken(reason)} {n}" for reason, n in c["dropped"].items()) or "none")]
        for name, c in counts.items()
    ]  # fmt: skip
    head = ("sensor", "frames in", "processed", "dropped")
    return (
        _table("Frames of each sensor", head, rows, numbers=(1, 2)) if rows else "<p>No counts were kept.</p>"
    )


def _footer(run: Run) -> str:
    digest = run.summary.get("digest")
    return f"<footer>Digest of the records <code>{_e(digest)}</code></footer>" if digest else ""


def _picture(svg: str, label: str, kind: str = "") -> str:
    return f'<div class="scroll {kind}"><div role="img" aria-label="{_e(label)}">{svg}</div></div>'


def _table(caption: str, head: Sequence[str], rows: Sequence[Row], numbers: Sequence[int] = ()) -> str:
    """A table; cells are HTML already."""
    top = "".join(f'<th scope="col">{_e(h)}</th>' for h in head)
    lines = (  # cells that hold a sentence get room for it
        "".join(
            f'<td class="n">{c}</td>'
            if i in numbers
            else f"<td{_ROOM if ' ' in str(c)[:40] and len(c) > 24 and '<' not in c else ''}>{c}</td>"
            for i, c in enumerate(row)
        )
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><caption>{_e(caption)}</caption><tr>{top}</tr>{body}</table></div>'


def _chip(action: str) -> str:
    return f'<span class="chip" style="{_CHIPS[action]}">{_e(spoken(action))}</span>'


def _unit(unit: str) -> str:
    return "" if unit == "1" else _e(unit)


def _n(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _e(value: object) -> str:
    return html.escape(str(value))
