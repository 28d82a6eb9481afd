"""What pages of HTML are made of: no script of their own, nothing from outside, readable on a phone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

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


def document(title: str, body: str, style: str = "") -> str:
    """A whole page; the body is HTML already.

    Args:
        title: for the window.
        body: of the page.
        style: rules of its own, besides STYLE.
    """
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}{style}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def table(caption: str, head: Sequence[str], rows: Sequence[Row], numbers: Sequence[int] = ()) -> str:
    """A table; cells are HTML already."""
    top = "".join(f'<th scope="col">{escaped(h)}</th>' for h in head)
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
    return (
        f'<div class="scroll"><table><caption>{escaped(caption)}</caption><tr>{top}</tr>{body}</table></div>'
    )


def picture(svg: str, label: str, kind: str = "") -> str:
    """A picture that scrolls sideways where there is no room, with a label for those who can't see it."""
    return f'<div class="scroll {kind}"><div role="img" aria-label="{escaped(label)}">{svg}</div></div>'


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def escaped(value: object) -> str:
    """Text that HTML takes for text."""
    return html.escape(str(value))
