"""Where a robot's telemetry is served and sent."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import Field

from perception_platform.robot.parts import Part


class Telemetry(Part):
    """How the node ``telemetry`` is reached: by this machine alone unless ``host`` says otherwise.

    Attributes:
        host: local address that metrics are served at.
        port: TCP port of it.
        otlp_endpoint: base address of an OpenTelemetry collector that traces are sent to; None for none.
    """

    host: IPv4Address | IPv6Address = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(gt=0, lt=65536)] = 9464
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = None
