"""Cameras through OpenCV: devices of this machine, network streams, video files and image folders.

Capture time: a V4L2 device stamps its buffers itself; a network stream gives no time that can be trusted across
machines, so its images carry the time at which they were grabbed, and played ones the time at which they were due.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image
from perception_platform.core.time import from_ms, from_s
from perception_platform.robot.sensors import Camera, Stream, V4l2, Video
from perception_platform.sensing.clock import Clock, Pacer
from perception_platform.sensing.rectify import Rectifier
from perception_platform.sensing.source import EndOfData, Reading, SourceLost

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STREAM_TIMEOUT_MS = 3000
# A buffer older than this was not stamped by the clock we compare it with.
OLDEST_BUFFER_NS = from_s(1.0)


def load_image(path: Path, t_ns: int, rectifier: Rectifier) -> Image:
    """An image from a file.

    Raises:
        InputError: if it is no image, or not of the robot file's size.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError(path, "is not an image that can be read")
    return rectifier.image(pixels.astype(np.uint8, copy=False), t_ns, path)


class _Capture:
    """What all OpenCV sources share."""

    def __init__(self, camera: Camera, clock: Clock) -> None:
        self._rectifier = Rectifier(camera)
        self._clock = clock
        self._capture: Any = None

    def close(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def _take(self, name: str, capture: Any) -> None:
        if not capture.isOpened():
            capture.release()
            raise SourceLost(f"{name}: cannot be opened")
        self._capture = capture

    def _grab(self, name: str) -> None:
        if not self._capture.grab():
            raise SourceLost(f"{name}: gives no more images")

    def _retrieve(self, name: str, t_ns: int) -> Reading[Image]:
        decoded, pixels = self._capture.retrieve()
        if not decoded:
            raise InputError(name, "an image could not be decoded")
        return Reading(self._rectifier.image(pixels, t_ns, name))


class DeviceCamera(_Capture):
    """A V4L2 device, with the capture time its driver stamped."""

    def __init__(self, camera: Camera, driver: V4l2, clock: Clock) -> None:
        super().__init__(camera, clock)
        self._camera, self._driver = camera, driver

    def open(self) -> None:
        """Open the device with the size, rate and pixel format of the robot file.

        Raises:
            SourceLost: if it isn't there.
        """
        capture = cv2.VideoCapture(self._driver.device, cv2.CAP_V4L2)
        self._take(self._driver.device, capture)
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self._driver.fourcc))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._camera.intrinsics.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._camera.intrinsics.height_px)
        capture.set(cv2.CAP_PROP_FPS, self._camera.rate_hz)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # an old image is worth less than none

    def read(self) -> Reading[Image]:
        """The next image.

        Raises:
            SourceLost: if the device is gone.
            InputError: if the image is damaged or of another size.
        """
        self._grab(self._driver.device)
        buffer_ns = from_ms(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        t_ns = capture_time_ns(self._clock.now_ns(), time.monotonic_ns(), buffer_ns)
        return self._retrieve(self._driver.device, t_ns)


def capture_time_ns(now_ns: int, monotonic_ns: int, buffer_ns: int) -> int:
    """Capture time of a buffer stamped by the kernel's monotonic clock, brought to the clock of ``now_ns``.

    Some drivers stamp with another clock, or not at all: a stamp that is not of the last second counts as none, and
    the time of the grab is taken.
    """
    age_ns = monotonic_ns - buffer_ns
    return now_ns - age_ns if 0 <= age_ns <= OLDEST_BUFFER_NS else now_ns


class StreamCamera(_Capture):
    """An RTSP or HTTP stream; its images carry the time at which they were grabbed."""

    def __init__(self, camera: Camera, driver: Stream, clock: Clock) -> None:
        super().__init__(camera, clock)
        self._url = driver.url

    def open(self) -> None:
        """Connect.

        Raises:
            SourceLost: if nothing answers in time.
        """
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS),
        ]
        self._take(self._url, cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, timeouts))

    def read(self) -> Reading[Image]:
        """The next image.

        Raises:
            SourceLost: if the stream broke off.
            InputError: if the image is damaged or of another size.
        """
        self._grab(self._url)
        return self._retrieve(self._url, self._clock.now_ns())


class VideoFile(_Capture):
    """A video file, played at the sensor's rate."""

    def __init__(self, camera: Camera, driver: Video, clock: Clock) -> None:
        super().__init__(camera, clock)
        self._driver = driver
        self._period_ns = from_s(1.0 / camera.rate_hz)

    def open(self) -> None:
        """Open the file.

        Raises:
            SourceLost: if there is none, or it is no video.
        """
        self._take(self._driver.path, cv2.VideoCapture(self._driver.path, cv2.CAP_FFMPEG))
        self._count = 0
        self._pacer = Pacer(self._clock)

    def read(self) -> Reading[Image]:
        """The next image, when it is due.

        Raises:
            EndOfData: after the last one, without ``loop``.
            SourceLost: if not even the first one can be had.
            InputError: if the image is of another size.
        """
        if not self._capture.grab():
            self._rewind()
        t_ns = self._pacer.wait_until(self._count * self._period_ns)
        self._count += 1
        return self._retrieve(self._driver.path, t_ns)

    def _rewind(self) -> None:
        if not self._driver.loop and self._count:
            raise EndOfData(f"{self._driver.path}: all of it was played")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        self._grab(self._driver.path)
