"""Cameras from files: order, stamps, size, rectification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from perception_platform.core.errors import InputError
from perception_platform.core.sensor_data import Image
from perception_platform.core.time import from_ms, from_s
from perception_platform.sensing.cameras import capture_time_ns
from perception_platform.sensing.source import EndOfData, Source, SourceLost
from perception_platform.sensing.sources import camera_source

WIDTH, HEIGHT = 64, 48


def picture(number: int) -> npt.NDArray[np.uint8]:
    """A grey picture whose brightness is its number times ten."""
    return np.full((HEIGHT, WIDTH, 3), number * 10, dtype=np.uint8)


Opener = Callable[..., Source[Image]]


@pytest.fixture
def opened(make_camera: Any, clock: Any) -> Opener:
    def build(driver: dict[str, Any], **intrinsics: Any) -> Source[Image]:
        source = camera_source(make_camera(driver, **intrinsics), clock)
        source.open()
        return source

    return build


def next_image(source: Source[Image]) -> Image:
    data = source.read().data
    assert data is not None
    return data


def write_video(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(1, count + 1):
        writer.write(picture(number))
    writer.release()


def test_an_image_folder_is_played_in_order(tmp_path: Path, opened: Opener, clock: Any) -> None:
    for number, name in ((2, "b.png"), (1, "a.PNG"), (3, "c.bmp")):
        cv2.imwrite(str(tmp_path / name), picture(number))
    start_ns = clock.now_ns()
    source = opened({"type": "folder", "path": str(tmp_path)})
    images = [next_image(source) for _ in range(3)]
    assert [image.bgr[0, 0, 0] for image in images] == [10, 20, 30]
    assert [image.t_ns - start_ns for image in images] == [0, from_ms(100), from_ms(200)]
    assert {image.sensor for image in images} == {image.frame_id for image in images} == {"camera_front"}
    with pytest.raises(EndOfData):
        source.read()


def test_a_file_that_is_no_image_does_not_cost_the_next(tmp_path: Path, opened: Opener) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    cv2.imwrite(str(tmp_path / "c.png"), picture(3))
    source = opened({"type": "folder", "path": str(tmp_path)})
    source.read()
    with pytest.raises(InputError, match=r"b\.png: is not an image"):
        source.read()
    assert next_image(source).bgr[0, 0, 0] == 30


def test_an_image_of_another_size_than_the_robot_file_says_is_refused(tmp_path: Path, opened: Opener) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    source = opened({"type": "folder", "path": str(tmp_path)}, width_px=640, height_px=480)
    message = r"a\.png: camera_front\.intrinsics: is 64x48, the robot file says 640x480"
    with pytest.raises(InputError, match=message):
        source.read()


def test_a_video_is_played_at_the_sensors_rate(tmp_path: Path, opened: Opener) -> None:
    write_video(tmp_path / "v.avi", 4)
    source = opened({"type": "video", "path": str(tmp_path / "v.avi")})
    images = [next_image(source) for _ in range(4)]
    np.testing.assert_allclose([image.bgr.mean() for image in images], [10, 20, 30, 40], atol=2)
    assert np.diff([image.t_ns for image in images]).tolist() == [from_ms(100)] * 3
    with pytest.raises(EndOfData):
        source.read()
    source.close()
    source.close()


def test_a_looped_video_goes_on_in_time(tmp_path: Path, opened: Opener) -> None:
    write_video(tmp_path / "v.avi", 2)
    source = opened({"type": "video", "path": str(tmp_path / "v.avi"), "loop": True})
    images = [next_image(source) for _ in range(5)]
    np.testing.assert_allclose([image.bgr.mean() for image in images], [10, 20, 10, 20, 10], atol=2)
    assert np.diff([image.t_ns for image in images]).tolist() == [from_ms(100)] * 4


@pytest.mark.parametrize(
    "driver",
    [
        {"type": "video", "path": "/nowhere/v.avi"},
        {"type": "folder", "path": "/nowhere"},
        {"type": "v4l2", "device": "/dev/video_nowhere"},
        {"type": "stream", "url": "http://127.0.0.1:9/stream"},
    ],
)
def test_what_is_not_there_is_a_loss(opened: Opener, driver: dict[str, Any]) -> None:
    with pytest.raises(SourceLost, match=r"no such folder|cannot be opened"):
        opened(driver)


def test_a_text_file_is_no_video(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "v.avi").write_text("not a video")
    with pytest.raises(SourceLost, match="cannot be opened"):
        opened({"type": "video", "path": str(tmp_path / "v.avi")})


def test_a_camera_driven_elsewhere_is_refused(opened: Opener) -> None:
    with pytest.raises(InputError, match="another package's driver"):
        opened({"type": "external"})


def test_distortion_is_taken_out(tmp_path: Path, opened: Opener, make_camera: Any) -> None:
    distortion = [-0.3, 0.1, 0.01, -0.01, 0.02]
    camera = make_camera(None, distortion=distortion)
    model = camera.intrinsics.model()
    # One bright spot where the lens puts a known ray; rectified, it must be where the pinhole puts it.
    ray = np.array([[0.35, -0.2, 1.0]])
    raw, _ = cv2.projectPoints(ray, np.zeros(3), np.zeros(3), model.matrix, model.distortion)
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    x, y = np.rint(raw[0, 0]).astype(int)
    pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    image = next_image(opened({"type": "folder", "path": str(tmp_path)}, distortion=distortion))
    weights = image.bgr[..., 0].astype(float)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    spot = [np.average(columns, weights=weights), np.average(rows, weights=weights)]
    assert np.linalg.norm(raw[0, 0] - model.project(ray)[0]) > 1.0
    np.testing.assert_allclose(spot, model.project(ray)[0], atol=0.7)


def test_a_buffers_own_stamp_is_the_capture_time() -> None:
    assert capture_time_ns(from_s(1000), from_s(50), from_s(50) - from_ms(30)) == from_s(1000) - from_ms(30)


@pytest.mark.parametrize("buffer_ns", [0, from_s(48), from_s(51), -from_s(1)])
def test_a_stamp_of_another_clock_counts_as_none(buffer_ns: int) -> None:
    assert capture_time_ns(from_s(1000), from_s(50), buffer_ns) == from_s(1000)


def test_images_of_a_real_drive(shared_data: Path, opened: Opener) -> None:
    folder = shared_data / "kitti_drive_0052" / "image_02" / "data"
    source = opened({"type": "folder", "path": str(folder)}, width_px=1242, height_px=375)
    first, second = next_image(source), next_image(source)
    assert first.bgr.shape == (375, 1242, 3)
    assert second.t_ns - first.t_ns == from_ms(100)
    assert not np.array_equal(first.bgr, second.bgr)
