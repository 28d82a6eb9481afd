"""What of an image a network is shown, and the way back: the whole, overlapping tiles, regions others point to.

A wide image squeezed into a square network leaves of a person at 20 m a handful of pixels. A tile or a region gives
them back, for another run of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints
from perception_platform.core.sensor_data import Image, Points
from perception_platform.inference.backend import Tensor
from perception_platform.perception.detector_config import ImageInput, Regions, Tiles, Views

Bgr = npt.NDArray[np.uint8]

# A region that is nearly as large as the whole would show nothing anew.
_NEARLY_WHOLE = 0.7
# A box that ends within so many of the network's pixels of where a view cuts the image is the stump of an object.
_STUMP_PX = 3.0


@dataclass(frozen=True, slots=True)
class PointedImage(Image):
    """An image with (N, 4) boxes x1 y1 x2 y2 in it that deserve a closer look, px; NaN points nowhere."""

    asked_px: Array


def choose_views(height_px: int, width_px: int, views: Views, network: ImageInput, asked_px: Array) -> Ints:
    """(V, 4) parts x1 y1 x2 y2 of an image to look at.

    Args:
        height_px: of the image.
        width_px: of the image.
        views: what is wanted.
        network: what each part is fitted into.
        asked_px: (N, 4) boxes that others point to; NaN points nowhere.
    """
    chosen = [np.array([[0, 0, width_px, height_px]], dtype=np.int64)] if views.whole else []
    if views.tiles is not None:
        chosen.append(_tiles(height_px, width_px, views.tiles))
    if views.regions is not None:
        chosen.append(_regions(height_px, width_px, views.regions, network, asked_px))
    return np.concatenate(chosen)


def _tiles(height_px: int, width_px: int, tiles: Tiles) -> Ints:
    x, y = (
        _spans(size, count, tiles.overlap)
        for size, count in ((width_px, tiles.columns), (height_px, tiles.rows))
    )
    return np.array([(x1, y1, x2, y2) for y1, y2 in y for x1, x2 in x], dtype=np.int64)


def _spans(size_px: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Begin and end of ``count`` equal pieces that overlap and cover a length."""
    piece_px = size_px / (count - (count - 1) * overlap)
    begins = np.linspace(0, size_px - piece_px, count)
    return [(int(np.floor(b)), min(int(np.ceil(b + piece_px)), size_px)) for b in begins]


def _regions(height_px: int, width_px: int, regions: Regions, network: ImageInput, asked_px: Array) -> Ints:
    """Parts of the network's shape around boxes, each the one that shows most of what no earlier one shows."""
    boxes = np.clip(asked_px, 0, np.array([width_px, height_px] * 2))
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    aspect = network.width_px / network.height_px
    high_px = np.maximum(regions.context * (boxes[:, 3] - boxes[:, 1]), regions.least_px / min(aspect, 1.0))
    high_px = np.maximum(high_px, 1.5 * (boxes[:, 2] - boxes[:, 0]) / aspect)
    size = np.minimum(np.column_stack([high_px * aspect, high_px]), (width_px, height_px))
    low = np.clip(0.5 * (boxes[:, :2] + boxes[:, 2:] - size), 0, (width_px, height_px) - size)
    parts = np.hstack([np.floor(low), np.ceil(low + size)]).astype(np.int64)
    shows = (boxes[None, :, :2] >= parts[:, None, :2]) & (boxes[None, :, 2:] <= parts[:, None, 2:])
    left = shows.all(axis=-1) & (size < _NEARLY_WHOLE * np.array([width_px, height_px])).any(axis=1)[:, None]
    chosen: list[Ints] = []
    while left.any() and len(chosen) < regions.most:
        best = int(left.sum(axis=1).argmax())
        chosen.append(parts[best])
        left = left & ~left[best]
    return np.array(chosen, dtype=np.int64).reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where a view lies in the network's input.

    Attributes:
        view_px: (4,) x1 y1 x2 y2 in the image.
        scale: (2,) network pixels per image pixel in x and y.
        offset_px: (2,) where the view begins in the network's input.
        mirrored: whether left and right are exchanged.
    """

    view_px: Ints
    scale: Array
    offset_px: Array
    mirrored: bool = False

    def to_image(self, boxes_px: Array) -> Array:
        """Boxes (N, 4) x1 y1 x2 y2 from the network's input to the image, cut at the view's border."""
        boxes = (boxes_px - np.tile(self.offset_px, 2)) / np.tile(self.scale, 2) + np.tile(
            self.view_px[:2], 2
        )
        if self.mirrored:
            boxes[:, [0, 2]] = self.view_px[0] + self.view_px[2] - boxes[:, [2, 0]]
        return np.asarray(np.clip(boxes, np.tile(self.view_px[:2], 2), np.tile(self.view_px[2:], 2)))

    def stumps(self, boxes_px: Array, height_px: int, width_px: int) -> npt.NDArray[np.bool_]:
        """(N,) which boxes in the image end where the view ends and the image goes on."""
        margin = _STUMP_PX / np.tile(self.scale, 2)
        inner = self.view_px != (0, 0, width_px, height_px)
        return np.asarray((inner & (np.abs(boxes_px - self.view_px) < margin)).any(axis=1))


class Fitter:
    """Resizes, pads, orders and normalises parts of images into the network's tensor, without intermediate copies."""

    def __init__(self, network: ImageInput) -> None:
        self._network = network
        self._dtype = np.dtype(network.dtype)
        values = np.arange(256, dtype=np.float32)
        self._tables: list[Points] = [
            ((values - mean) / std).astype(np.float32)
            for mean, std in zip(network.mean, network.std, strict=True)
        ]
        self._is_plain = network.mean == (0.0,) * 3 and network.std == (1.0,) * 3
        self._canvas: Bgr = np.full((network.height_px, network.width_px, 3), network.padding, np.uint8)
        self._covered = (0, 0, 0, 0)

    @property
    def canvas(self) -> Bgr:
        """The last view as the network's size, before it was normalised."""
        return self._canvas

    def tensor(self, count: int) -> Tensor:
        """Room for so many views."""
        n = self._network
        shape = (n.height_px, n.width_px, 3) if n.layout == "nhwc" else (3, n.height_px, n.width_px)
        return np.empty((count, *shape), self._dtype)

    def fit(self, bgr: Bgr, view_px: Ints, out: Tensor, mirrored: bool = False) -> Fitted:
        """Write a part of an image (H, W, 3) into one place of a tensor, left and right exchanged if asked for."""
        x1, y1, x2, y2 = view_px.tolist()
        n, high, wide = self._network, y2 - y1, x2 - x1
        scale = np.array([n.width_px / wide, n.height_px / high])
        if n.fit == "letterbox":
            scale[:] = scale.min()
        size = (max(round(wide * scale[0]), 1), max(round(high * scale[1]), 1))
        left, top = (
            ((n.width_px - size[0]) // 2, (n.height_px - size[1]) // 2) if n.align == "centre" else (0, 0)
        )
        if (left, top, *size) != self._covered:
            self._canvas[:] = n.padding
            self._covered = (left, top, *size)
        resized = cv2.resize(bgr[y1:y2, x1:x2], size, interpolation=cv2.INTER_LINEAR)
        self._canvas[top : top + size[1], left : left + size[0]] = resized[:, ::-1] if mirrored else resized
        self._normalise(out)
        return Fitted(
            view_px, np.array(size) / (wide, high), np.array([left, top], dtype=np.float64), mirrored
        )

    def _normalise(self, out: Tensor) -> None:
        """The canvas in the network's order and units: a look-up for each of the 256 values of a channel."""
        planes = cv2.split(self._canvas)
        for c, plane in enumerate(planes if self._network.channels == "bgr" else planes[::-1]):
            target = out[c] if self._network.layout == "nchw" else out[..., c]
            if self._is_plain:
                target[:] = plane
            elif self._dtype == np.float32 and self._network.layout == "nchw":
                cv2.LUT(plane, self._tables[c], dst=target)
            else:
                target[:] = self._tables[c][plane]
