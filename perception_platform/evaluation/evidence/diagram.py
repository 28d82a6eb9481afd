"""A safety case as a drawing: goals are boxes, strategies slanted ones, solutions and what stands beside are round."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from perception_platform.evaluation.evidence.safety_case import Node, SafetyCase, State
from perception_platform.explain.look import ACTIONS, INK, PALE
from perception_platform.explain.markup import escaped

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 210.0, 104.0, 26.0, 64.0
_LINE, _LETTERS, _SLANT = 13.0, 34, 16
_GOOD, _BAD, _BESIDE_FILL = "#e3f4ec", "#fbe0d6", "#f4f6f8"


@dataclass(frozen=True, slots=True)
class _Place:
    """Centre of a node."""

    x: float
    y: float


def safety_case_svg(case: SafetyCase, states: Mapping[str, State]) -> str:
    """The argument as SVG, from the root down; what stands beside a node is at its right."""
    places: dict[str, _Place] = {}
    width = _place(case, case.root, 0, 0.0, places)
    height = max(place.y for place in places.values()) + _HEIGHT
    lines = "".join(_lines(case, places))
    nodes = "".join(_node(name, case.nodes[name], states[name], place) for name, place in places.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="min-width:{0.62 * width:.0f}px" font-family="system-ui,sans-serif" font-size="10.5" '
        f'role="group" aria-label="{escaped(case.title)}"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>'
        f"{lines}{nodes}</svg>"
    )


def _place(case: SafetyCase, name: str, depth: int, left: float, places: dict[str, _Place]) -> float:
    """Place a node, what stands beside it and what it rests on, from ``left`` on; returns where the next may begin.

    What rests in two places is drawn where it is met first; the second is an arrow to it.
    """
    node = case.nodes[name]
    y = depth * (_HEIGHT + _GAP_Y) + 0.5 * _HEIGHT + 8
    places[name] = _Place(left, y)  # taken, so that it is not placed again further down
    right = left
    for other in node.rests_on:
        if other not in places:
            right = _place(case, other, depth + 1, right, places)
    beside = [other for other in node.beside if other not in places]
    own = (1 + len(beside)) * (_WIDTH + _GAP_X)
    below = [places[other].x for other in node.rests_on if places[other].y > y]
    middle = 0.5 * (min(below) + max(below)) if below else left + 0.5 * (_WIDTH + _GAP_X)
    x = max(middle, left + 0.5 * (_WIDTH + _GAP_X))
    places[name] = _Place(x, y)
    for i, other in enumerate(beside, start=1):
        places[other] = _Place(x + i * (_WIDTH + _GAP_X), y)
    return max(right, x + own - 0.5 * (_WIDTH + _GAP_X))


def _lines(case: SafetyCase, places: Mapping[str, _Place]) -> list[str]:
    """Filled arrows to what supports, open ones to what stands beside."""
    drawn = []
    for name, place in places.items():
        for other in case.nodes[name].rests_on:
            to = places[other]
            top, bottom = place.y + 0.5 * _HEIGHT, to.y - 0.5 * _HEIGHT
            bend = 0.5 * (top + bottom)
            way = f"M{place.x:.1f} {top:.1f}C{place.x:.1f} {bend:.1f} {to.x:.1f} {bend:.1f} {to.x:.1f} {bottom:.1f}"
            drawn.append(f'<path d="{way}" fill="none" stroke="{PALE}" marker-end="url(#arrow)"/>')
        for other in case.nodes[name].beside:
            to = places[other]
            way = f"M{place.x + 0.5 * _WIDTH:.1f} {place.y:.1f}L{to.x - 0.5 * _WIDTH:.1f} {to.y:.1f}"
            look = f'fill="none" stroke="{PALE}" stroke-dasharray="4 3"'
            drawn.append(f'<path d="{way}" {look} marker-end="url(#arrow)"/>')
    return drawn


def _node(name: str, node: Node, state: State, place: _Place) -> str:
    fill, stroke = (_GOOD, ACTIONS["proceed"]) if state.supported else (_BAD, ACTIONS["emergency_stop"])
    if node.kind in ("context", "assumption", "justification"):
        fill, stroke = _BESIDE_FILL, PALE
    said = "supported" if state.supported else "not supported"
    letter = {"assumption": " A", "justification": " J"}.get(node.kind, "")
    head = f"{name}{letter}{'' if state.supported else ' ✗'}"
    rest = [*textwrap.wrap(node.text, _LETTERS), *textwrap.wrap(state.why, _LETTERS)][:6]
    top = place.y - 0.5 * _LINE * len(rest) + 3
    body = "".join(
        f'<tspan x="{place.x:.1f}" y="{top + i * _LINE:.1f}"{_weight(i)}>{escaped(line)}</tspan>'
        for i, line in enumerate([head, *rest])
    )
    return (
        f'<g id="gsn-{escaped(name)}" class="gsn {node.kind}" data-supported="{str(state.supported).lower()}">'
        f"<title>{escaped(f'{name}: {said}. {node.text} {state.why}')}</title>{_outline(node, place, fill, stroke)}"
        f'<text text-anchor="middle" fill="{INK}">{body}</text></g>'
    )


def _weight(line: int) -> str:
    return ' font-weight="700"' if line == 0 else ""


def _outline(node: Node, place: _Place, fill: str, stroke: str) -> str:
    """GSN's shape of the kind."""
    left, top = place.x - 0.5 * _WIDTH, place.y - 0.5 * _HEIGHT
    look = f'fill="{fill}" stroke="{stroke}" stroke-width="1.6"'
    if node.kind == "strategy":
        way = f"M{left + _SLANT:.1f} {top:.1f}h{_WIDTH:.1f}l{-2 * _SLANT} {_HEIGHT:.1f}h{-_WIDTH:.1f}z"
        return f'<path d="{way}" {look}/>'
    if node.kind in ("goal", "context"):
        radius = 2.0 if node.kind == "goal" else 0.5 * _HEIGHT
        size = f'width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}"'
        return f'<rect x="{left:.1f}" y="{top:.1f}" {size} {look}/>'
    size = f'rx="{0.54 * _WIDTH:.1f}" ry="{0.55 * _HEIGHT:.1f}"'
    return f'<ellipse cx="{place.x:.1f}" cy="{place.y:.1f}" {size} {look}/>'
