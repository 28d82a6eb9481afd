"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from perception_platform.robot.pace import FASTEST_RATE, SLOWEST_RATE

Rate = Annotated[
    float,
    typer.Option(
        min=SLOWEST_RATE,
        max=FASTEST_RATE,
        help="Speed of playing to live nodes, times real time. The gate judges freshness in real time: "
        "beyond these bounds its verdicts would be others.",
    ),
]
