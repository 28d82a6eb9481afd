"""A graph of the perception layer as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from perception_platform.explain.look import INK, PALE, RC, figure, spoken
from perception_platform.perception.component import SOURCES
from perception_platform.perception.graph_file import ApplicationEntry
from perception_platform.perception.wiring import Wired

_SOURCE, _COMPONENT, _LEARNED, _APPLICATION = "#d8dde3", "#cfe3f1", "#f6dfb8", "#cfeadf"
_WIDTH, _HEIGHT = 0.86, 0.5
Place = tuple[float, float]


def plot_graph(wired: Sequence[Wired], path: Path) -> None:
    """Components from left to right, each behind all that it takes from; applications are green, what is shed is amber.

    Args:
        wired: in their order, as ``wire`` puts them.
        path: the picture's; its ending says which kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    maker = {result: component.name for component in wired for result in component.makes}
    maker |= {source: source for source in SOURCES}
    places = _places(wired, maker)
    with mpl.rc_context(RC | {"axes.grid": False}):
        columns, rows = (max(place[i] for place in places.values()) + 1 for i in range(2))
        made = figure(1.5 * columns, 0.75 * rows + 0.5)
        axes = made.subplots()
        for component in wired:
            for source in dict.fromkeys(maker[result] for result in component.takes):
                _arrow(axes, places[source], places[component.name])
        for name, place in places.items():
            known = next((c for c in wired if c.name == name), None)
            _box(axes, place, name, known)
        axes.set(xlim=(-0.5, columns - 0.4), ylim=(rows - 0.5, -0.85))
        axes.set_axis_off()
        made.savefig(path, dpi=130)


def _places(wired: Sequence[Wired], maker: dict[str, str]) -> dict[str, Place]:
    """Column: the longest way from a sensor; applications last. Row: in order within the column."""
    column = dict.fromkeys(SOURCES, 0)
    for component in wired:
        column[component.name] = 1 + max((column[maker[result]] for result in component.takes), default=0)
    last = max(column.values())
    column |= {component.name: last for component in wired if component.is_application}
    taken: dict[int, int] = {}
    places = {}
    for name, at in column.items():
        places[name] = (float(at), float(taken.get(at, 0)))
        taken[at] = taken.get(at, 0) + 1
    return places


def _arrow(axes: Axes, start: Place, end: Place) -> None:
    """From side to side; over the boxes in between where both are in one row."""
    over = start[1] == end[1] and end[0] - start[0] > 1
    begin = (start[0], start[1] - _HEIGHT / 2) if over else (start[0] + _WIDTH / 2, start[1])
    finish = (end[0], end[1] - _HEIGHT / 2) if over else (end[0] - _WIDTH / 2, end[1])
    bend = -0.55 / (end[0] - start[0]) if over else 0.0
    style = {"arrowstyle": "-|>", "color": PALE, "lw": 0.9, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", finish, begin, arrowprops=style | {"shrinkA": 0, "shrinkB": 0}, zorder=1)


def _box(axes: Axes, place: Place, name: str, wired: Wired | None) -> None:
    color, small = _SOURCE, "sensors"
    if wired is not None:
        entry = wired.entry
        small = f"≤ {entry.budget_ms:g} ms"
        if isinstance(entry, ApplicationEntry):
            color, small = _APPLICATION, f"{entry.rate_hz:g} Hz, in {entry.deadline_ms:g} ms"
        else:
            color = _LEARNED if entry.shed_at else _COMPONENT
    corner = (place[0] - _WIDTH / 2, place[1] - _HEIGHT / 2)
    axes.add_patch(
        mpl.patches.FancyBboxPatch(
            corner, _WIDTH, _HEIGHT, "round,pad=0.02", fc=color, ec=PALE, lw=0.8, zorder=2
        )
    )
    axes.text(
        place[0], place[1] - 0.07, spoken(name), ha="center", va="center", fontsize=7.5, color=INK, zorder=3
    )
    axes.text(place[0], place[1] + 0.14, small, ha="center", va="center", fontsize=6, color=INK, zorder=3)
