"""Entry point of the ``perception-platform`` command: gathers the groups, turns bad input into one line."""

from __future__ import annotations

import sys

import typer

from perception_platform.cli import (
    bag,
    bench,
    check,
    demo,
    evaluate,
    explain,
    gate,
    importing,
    latency,
    models,
    perception,
    replay,
    scenarios,
    show,
    topics,
    track,
    train,
    up,
)
from perception_platform.core.errors import InputError

app = typer.Typer(
    name="perception-platform",
    help="From sensor to stop: run, replay and look at the safety-perception stack of a robot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (
    up,
    demo,
    replay,
    latency,
    importing,
    bag,
    topics,
    track,
    models,
    train,
    perception,
    scenarios,
    evaluate,
    explain,
    gate,
    bench,
    check,
    show,
):
    group.register(app)


def main() -> None:
    """Run the command; bad input and files that cannot be used end it with one clear line and exit code 2."""
    try:
        app()
    except (InputError, OSError) as error:
        print(f"error: {error if isinstance(error, InputError) else _as_line(error)}", file=sys.stderr)
        raise SystemExit(2) from error


def _as_line(error: OSError) -> str:
    """``<path>: <reason>``, as far as the error knows them."""
    known = (error.filename, error.strerror or str(error) or type(error).__name__)
    return ": ".join(str(part) for part in known if part is not None)
