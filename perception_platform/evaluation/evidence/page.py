"""The report of a judgement as one page of HTML that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from perception_platform.evaluation.evidence.diagram import safety_case_svg
from perception_platform.evaluation.evidence.gate import Verdict
from perception_platform.evaluation.evidence.plots import POLICIES, bounds_svg, pareto_svg, separation_svg
from perception_platform.evaluation.evidence.results import Results, Run
from perception_platform.evaluation.evidence.safety_case import SafetyCase, State
from perception_platform.evaluation.evidence.trace import Trace
from perception_platform.explain.look import ACTIONS, spoken
from perception_platform.explain.markup import document, escaped, number, picture, table

_CHIPS = {
    Verdict.SHIP: "background:#00704f;color:#fff",
    Verdict.NO_SHIP: "background:#b34700;color:#fff",
    Verdict.NOT_ENOUGH: "background:#e69f00;color:#1b1f24",
}
_STYLE = """
.replay{display:grid;gap:.5rem}.replay svg{border:1px solid #d8dde3;border-radius:.4rem;background:#fbfcfd}
#replay-view{max-height:26rem}#replay-strip{height:5rem}.replay input{width:100%}
.replay select{max-width:100%;font:inherit}
.replay button{font:inherit;padding:.2rem 1rem}.row{display:flex;gap:.8rem;align-items:center;flex-wrap:wrap}
.bad{color:#8c1d04;font-weight:600}
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """One of the worst runs, with what it can be looked at with, if there is anything."""

    why: str
    run: Run
    trace: Trace | None


def page(
    figures: Mapping[str, Any],
    candidate: Results,
    replays: Sequence[Replay],
    case: SafetyCase,
    states: Mapping[str, State],
) -> str:
    """The whole page.

    Args:
        figures: of ``summary``.
        candidate: the results that were judged.
        replays: the worst runs.
        case: the safety case.
        states: how its nodes stand.
    """
    verdict, gate = Verdict(figures["verdict"]), figures["gate"]
    title = f"{gate['name']}, version {gate['version']}: {verdict}"
    body = (
        _header(figures, verdict, title),
        "<main>",
        f"<section><h2>What was asked, and what was found</h2>{_checks(figures)}</section>",
        "<section><h2>Against the baselines, in the same runs</h2>",
        f'<div class="two">{picture(pareto_svg(figures["policies"]), "Collisions against time lost, by policy")}',
        f"{picture(separation_svg(candidate), 'Smallest separation, by policy')}</div>",
        f"{_policies(figures)}{_cost(figures)}</section>",
        "<section><h2>What the counts prove</h2>",
        picture(bounds_svg(figures["checks"]), "Bounds against what is wanted"),
        f"{_strata(figures, 'hazards')}{_strata(figures, 'families')}</section>",
        f"<section><h2>The worst runs</h2>{_worst(replays)}{_player(replays)}</section>",
        f"<section><h2>Safety case: {escaped(case.title)}</h2>{_safety_case(case, states)}</section>",
        _footer(figures),
        "</main>",
        _script(replays),
    )
    return document(title, "".join(body), _STYLE)


def _header(figures: Mapping[str, Any], verdict: Verdict, title: str) -> str:
    candidate, baseline = figures["candidate"], figures["baseline"]
    open_checks = sorted((c for c in figures["checks"] if c["verdict"] != Verdict.SHIP), key=_most_urgent)
    because = "; ".join(f"{spoken(c['name'])} ({c['of']}): {c['found']}" for c in open_checks[:3])
    more = f"; and {len(open_checks) - 3} more" if len(open_checks) > 3 else ""
    before = "itself" if baseline == candidate else baseline["folder"]
    return (
        f"<header><div><p>gate {escaped(title)}</p><h1>{_chip(verdict)} {escaped(candidate['folder'])} against "
        f"{escaped(before)}, suite {escaped(candidate['suite'])} version "
        f"{escaped(candidate['version'])}</h1>"
        f'<p class="answer">{escaped(because + more) or "Every check holds."}</p></div></header>'
    )


def _checks(figures: Mapping[str, Any]) -> str:
    rows = [
        [_chip(Verdict(c["verdict"])), escaped(c["kind"]), escaped(spoken(c["name"])), escaped(spoken(c["of"])),
         escaped(c["wanted"]), escaped(c["found"])]
        for c in sorted(figures["checks"], key=_most_urgent)
    ]  # fmt: skip
    head = ("verdict", "kind", "check", "of", "wanted", "found")
    return table("Each line can block; missing, skipped and crashed cases are never passes", head, rows)


def _most_urgent(check: Mapping[str, Any]) -> int:
    return (Verdict.NO_SHIP, Verdict.NOT_ENOUGH, Verdict.SHIP).index(Verdict(check["verdict"]))


def _policies(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, found in figures["policies"].items():
        lost, impact, near = found["time_lost_s"], found["impact_speed_mps"], found["min_separation_m"]
        decel, jerk = found["peak_decel_mps2"], found["peak_jerk_mps3"]
        rows.append([
            escaped(POLICIES[name][0]), str(found["runs"]),
            _rate(found["collision"]), _rate(found["collision_in_domain"]),
            number(impact and impact["max"]), _rate(found["late_stop"]), _rate(found["false_stop"]),
            number(near and near["p5"]), number(lost and lost["mean"]), number(decel and decel["p95"]),
            number(jerk and jerk["p95"]),
        ])  # fmt: skip
    head = (
        "policy", "runs", "collisions", "inside the domain", "hardest impact, m/s", "late stops", "false stops",
        "separation p5, m", "time lost, s", "braking p95, m/s²", "jerk p95, m/s³",
    )  # fmt: skip
    return table("Events by policy: seen, of, and what the rate is at most", head, rows, numbers=range(1, 11))


def _cost(figures: Mapping[str, Any]) -> str:
    rows = [
        [escaped(POLICIES[name][0]), str(found["cases"]), number(found["time_lost_s"]),
         number(found["their_time_lost_s"]),
         f"{found['added_s']['mean']:+.2f} ({found['added_s']['low']:+.2f} to {found['added_s']['high']:+.2f})"]
        for name, found in figures["cost_beside"].items() if found
    ]  # fmt: skip
    judged = POLICIES[figures["gate"]["policy"]][0]
    head = (
        "beside",
        "cases",
        f"time lost by {judged}, s",
        "by the other, s",
        "more a run, s (interval by family)",
    )
    title = "Cost, in the cases inside the domain that both came through without collision, late stop or being struck"
    return table(title, head, rows, numbers=range(1, 5)) if rows else ""


def _strata(figures: Mapping[str, Any], by: str) -> str:
    policies = list(figures["policies"])
    rows = [
        [escaped(spoken(stratum)),
         *(_rate(found.get(p, {}).get("collision")) for p in policies),
         *(_rate(found.get(figures["gate"]["policy"], {}).get(event)) for event in ("late_stop", "false_stop"))]
        for stratum, found in figures[by].items()
    ]  # fmt: skip
    head = (by, *(f"collisions, {POLICIES[p][0]}" for p in policies), "late stops", "false stops")
    lines = table(f"By {by}", head, rows, numbers=range(1, len(head)))
    return f"<details{' open' if by == 'hazards' else ''}><summary>By {by}</summary>{lines}</details>"


def _rate(rate: Mapping[str, Any] | None) -> str:
    """Events, trials and the upper bound."""
    if rate is None or not rate["trials"]:
        return "–"
    return f"{rate['events']} of {rate['trials']}, ≤ {100 * rate['at_most']:.1f} %"


def _worst(replays: Sequence[Replay]) -> str:
    rows = [
        [escaped(r.run.case), str(r.run.seed), escaped(spoken(r.run.hazard)), escaped(r.why),
         escaped(", ".join(f"{k} {_short(v)}" for k, v in r.run.parameters.items())) or "–"]
        for r in replays
    ]  # fmt: skip
    head = ("case", "seed", "hazard", "what happened", "parameters")
    return table("New failures first, then by outcome, impact and separation", head, rows, numbers=(1,))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _player(replays: Sequence[Replay]) -> str:
    """Chooser, bird's-eye view, slider and speeds of the runs that left a trace."""
    seen = [replay for replay in replays if replay.trace]
    if not seen:
        return "<p>None of these runs left a trace to look at.</p>"
    options = "".join(
        f'<option value="{i}">{escaped(f"{r.run.case}, seed {r.run.seed}: {r.why}")}</option>'
        for i, r in enumerate(seen)
    )
    return (
        f'<div class="replay"><label>Run <select id="replay-run">{options}</select></label>'
        '<svg id="replay-view" role="img" aria-label="The run from above" preserveAspectRatio="xMidYMid meet"></svg>'
        '<div class="row"><button id="replay-play" type="button">play</button><output id="replay-said"></output></div>'
        '<p id="replay-why"></p>'
        '<input id="replay-time" type="range" min="0" value="0" step="1" aria-label="Moment of the run">'
        '<svg id="replay-strip" viewBox="0 0 600 80" preserveAspectRatio="none" role="img" '
        'aria-label="Speed (solid) and allowed speed (dashed) over time"></svg></div>'
    )


def _script(replays: Sequence[Replay]) -> str:
    """The traces and what plays them."""
    seen = [replay.trace.as_json() for replay in replays if replay.trace]
    if not seen:
        return ""
    code = resources.files(__package__).joinpath("replay.js").read_text(encoding="utf-8")
    return (
        f'<script type="application/json" id="replays">{_embedded(seen)}</script>'
        f'<script type="application/json" id="replay-colours">{_embedded(ACTIONS)}</script><script>{code}</script>'
    )


def _embedded(content: Any) -> str:
    """JSON that can't end the element it stands in."""
    return json.dumps(_rounded(content), separators=(",", ":")).replace("<", "\\u003c")


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return round(content, 3)
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list | tuple) else content


def _safety_case(case: SafetyCase, states: Mapping[str, State]) -> str:
    broken = [name for name, state in states.items() if not state.supported]
    said = (
        f'<p class="bad">Not supported: {escaped(", ".join(broken))}.</p>'
        if broken
        else "<p>All supported.</p>"
    )
    rows = []
    for name, node in case.nodes.items():
        state = "supported" if states[name].supported else '<span class="bad">not supported</span>'
        said_of = (node.text, states[name].why or "–", node.amlas or "–", ", ".join(node.clauses) or "–")
        rows.append([escaped(name), escaped(node.kind), state, *(escaped(text) for text in said_of)])
    head = ("node", "kind", "state", "claim", "evidence", "AMLAS stage", "clauses")
    lines = table("Every node", head, rows)
    drawing = f'<div class="scroll">{safety_case_svg(case, states)}</div>'
    return f"{said}{drawing}<details><summary>As a table</summary>{lines}</details>"


def _footer(figures: Mapping[str, Any]) -> str:
    said = [f"Gate <code>{escaped(figures['gate']['digest'])}</code>"]
    said += [
        f"{name}: suite <code>{escaped(figures[name]['digest'])}</code>, {figures[name]['runs']} runs, "
        f"made {escaped(figures[name]['made_utc'])}"
        for name in ("candidate", "baseline")
    ]
    return f"<footer>{'<br>'.join(said)}</footer>"


def _chip(verdict: Verdict) -> str:
    return f'<span class="chip" style="{_CHIPS[verdict]}">{escaped(verdict)}</span>'
