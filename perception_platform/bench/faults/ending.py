"""How the bench's own processes end: so that DDS takes its shared memory along."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.signals import SignalHandlerOptions


@contextmanager
def told_to_end() -> Iterator[None]:
    """Have ROS in here, up to SIGTERM, which ends the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.shutdown()
