"""A network camera: an MJPEG stream over HTTP on this machine, broken off and taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import cv2
import numpy as np
import pytest

from perception_platform.core.time import from_s
from perception_platform.sensing.clock import SystemClock
from perception_platform.sensing.reconnect import Backoff, keep_reading
from perception_platform.sensing.sources import camera_source

WIDTH, HEIGHT = 64, 48


class Camera(ThreadingHTTPServer):
    """Serves pictures that get brighter by ten, until ``broken``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PictureHandler)
        self.broken = Event()
        self.visits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/stream"


class PictureHandler(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        self.server.visits += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        try:
            for number in range(20):
                picture = np.full((HEIGHT, WIDTH, 3), number * 10, dtype=np.uint8)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                if self.server.broken.wait(0.02):
                    return
        except OSError:
            return  # the reader went away

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[Camera]:
    with Camera() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.broken.set()
        server.shutdown()
        thread.join()


@pytest.mark.timeout(20)
def test_a_stream_is_taken_up_again_after_it_broke_off(served: Camera, make_camera: Any) -> None:
    clock = SystemClock()
    source = camera_source(make_camera({"type": "stream", "url": served.url}), clock)
    lost: list[str] = []
    images = []

    def mend(reason: str) -> None:
        lost.append(reason)
        served.broken.clear()

    began_ns = clock.now_ns()
    for reading in keep_reading(source, clock, mend, Backoff(0.05, 0.1)):
        assert reading.data is not None
        images.append(reading.data)
        if len(images) == 5:
            served.broken.set()
        if lost:
            clock.stop()

    assert served.visits == 2
    assert lost == [f"{served.url}: gives no more images"]
    assert [round(image.bgr.mean(), -1) for image in images[:5]] == [0, 10, 20, 30, 40]
    stamps = [image.t_ns for image in images]
    assert began_ns < stamps[0] < stamps[-1] < began_ns + from_s(10)
    assert stamps == sorted(stamps)
