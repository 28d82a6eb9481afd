"""What sharing saves, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from perception_platform.explain.look import INK, RC, figure

_COLORS = ("#5a6470", "#b3307a", "#0072b2", "#009e73", "#e69f00", "#d55e00")
_PANELS = (
    ("cpu_ms_per_sweep", "core a sweep, ms"),
    ("arrays_peak_mb", "arrays at most, MB"),
    ("process_mb", "processes, MB"),
)


def plot_sharing(report: dict[str, Any], path: Path) -> None:
    """Pipelines apart, stacked, beside the shared layer: time and memory.

    Args:
        report: of ``bench_sharing``.
        path: the picture's; its ending says which kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    apart = {name: row for name, row in report["pipelines"].items() if name != "shared"}
    with mpl.rc_context(RC):
        made = figure(8.0, 3.2)
        for axes, (key, title) in zip(made.subplots(1, len(_PANELS)), _PANELS, strict=True):
            bottom = 0.0
            for (name, row), color in zip(apart.items(), _COLORS, strict=False):
                axes.bar("apart", row[key], bottom=bottom, color=color, label=name.replace("_", " "))
                bottom += row[key]
            shared = report["pipelines"]["shared"][key]
            axes.bar("shared", shared, color=INK)
            for x, value in enumerate((bottom, shared)):
                axes.annotate(f"{value:.{0 if value >= 100 else 1}f}", (x, value), ha="center", va="bottom")
            axes.set_title(f"{title}: {report['times_less'][key]:.1f} × less", fontsize=9)
        made.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
        made.savefig(path, dpi=130)
