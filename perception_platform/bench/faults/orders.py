"""What the bench tells the feeder to do, over a datagram socket: it also reaches a feeder that has just begun anew."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ANSWER_WITHIN_S = 2.0
_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Orders:
    """How the feeder speaks from now on; as made, it speaks as it should.

    Attributes:
        silent: rows of the topic table that are not published.
        shift_s: what is added to the stamps of a row, s.
        sweeps_hz: sweeps a second; 0: the lidar's own rate.
        burst_s: publish at once, now, all sweeps that the lidar made in this time.
        clock_back_s: set the clock back by this much, now.
    """

    silent: tuple[str, ...] = ()
    shift_s: Mapping[str, float] = field(default_factory=dict)
    sweeps_hz: float = 0.0
    burst_s: float = 0.0
    clock_back_s: float = 0.0

    def to_json(self) -> bytes:
        """For the way."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Orders:
        """As sent."""
        read = json.loads(data)
        return cls(**{**read, "silent": tuple(read["silent"])})


class Commander:
    """The bench's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.feeder = folder / "feeder.socket"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "bench.socket"))
        self._socket.settimeout(ANSWER_WITHIN_S)

    def tell(self, orders: Orders) -> float:
        """Since when the feeder follows these orders, s of the steady clock.

        Raises:
            OSError: if there is no feeder, or it does not answer.
        """
        self._socket.sendto(orders.to_json(), str(self.feeder))
        return float(self._socket.recv(_BYTES))

    def close(self) -> None:
        """End."""
        self._socket.close()


class Listening:
    """The feeder's end."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # of a feeder that was killed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def wait(self, timeout_s: float) -> Orders | None:
        """The next orders, if any come within that time; they count as followed from now on."""
        self._socket.settimeout(max(timeout_s, 1e-6))
        try:
            data, sender = self._socket.recvfrom(_BYTES)
        except TimeoutError:
            return None
        self._socket.sendto(repr(time.monotonic()).encode(), sender)
        return Orders.from_json(data)
