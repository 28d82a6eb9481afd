"""Images with labelled boxes in the formats of YOLO, COCO and KITTI."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from perception_platform.core.errors import InputError
from perception_platform.core.geometry import Array
from perception_platform.core.objects import Ints, ObjectClass
from perception_platform.perception.camera_views import Bgr

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
_IGNORED = -1
# What the classes of common data sets are to us; others are not looked for.
_MEANING = {
    **dict.fromkeys(
        ("person", "pedestrian", "person_sitting", "people", "worker", "human"), ObjectClass.PERSON
    ),
    **dict.fromkeys(("cyclist", "rider", "bicycle", "motorcycle", "motorbike", "bike"), ObjectClass.CYCLIST),
    **dict.fromkeys(("car", "van"), ObjectClass.CAR),
    **dict.fromkeys(("truck", "bus", "tram", "train", "trailer"), ObjectClass.TRUCK),
    **dict.fromkeys(("forklift", "pallet_truck", "reach_truck"), ObjectClass.FORKLIFT),
}


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image and what was labelled in it.

    Attributes:
        path: of the image.
        boxes: (N, 4) x1 y1 x2 y2 in pixels, or in shares of the image's sides.
        class_ids: (N,) values of ObjectClass; -1 for what is not judged: crowds, DontCare, classes unknown to us.
        shares: whether the boxes are shares.
    """

    path: Path
    boxes: Array
    class_ids: Ints
    shares: bool = False

    def read(self) -> tuple[Bgr, Array]:
        """The image (H, W, 3) and its boxes in pixels.

        Raises:
            InputError: if the image cannot be read.
        """
        bgr = read_image(self.path)
        scale = np.array([bgr.shape[1], bgr.shape[0]] * 2) if self.shares else np.ones(4)
        return bgr, self.boxes * scale


def image_paths(folder: Path) -> list[Path]:
    """Images of a folder by name.

    Raises:
        InputError: if there are none.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in _IMAGES)
    if not paths:
        raise InputError(folder, f"holds no image ({', '.join(_IMAGES)})")
    return paths


def read_image(path: Path) -> Bgr:
    """An image (H, W, 3).

    Raises:
        InputError: if it cannot be read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(path, "is no image that can be read")
    return np.asarray(bgr, dtype=np.uint8)


def read_labels(images: Path, labels: Path, names: Sequence[str] = ()) -> list[LabelledImage]:
    """Each image that has labels, in the order of the names.

    Args:
        images: folder of images.
        labels: folder of ``<image>.txt`` in YOLO's or KITTI's format, or of one COCO ``.json``, or that file.
        names: of YOLO's classes in their order; ``data.yaml`` or ``classes.txt`` near the labels say them too.

    Raises:
        InputError: naming file, line and value, if there is nothing, or something cannot be read.
    """
    by_stem = {p.stem: p for p in image_paths(images)}
    coco = [labels] if labels.is_file() else sorted(labels.glob("*.json"))
    if len(coco) > 1:
        raise InputError(labels, f"holds {len(coco)} .json files; name one of them")
    found = _coco(coco[0], by_stem) if coco else _texts(labels, by_stem, names)
    if not found:
        raise InputError(labels, f"labels none of the {len(by_stem)} images in {images}")
    return found


def _texts(labels: Path, by_stem: dict[str, Path], names: Sequence[str]) -> list[LabelledImage]:
    """A text file an image; the first line of all says which format they have."""
    paths = [p for p in sorted(labels.glob("*.txt")) if p.stem in by_stem]
    first = next((line for p in paths for line in _text(p).splitlines() if line.strip()), "")
    if len(first.split()) >= 15:
        return [_read_lines(by_stem[p.stem], p, _kitti_line, False) for p in paths]
    classes = [_meaning(n) for n in names or _yolo_names(labels)]
    return [_read_lines(by_stem[p.stem], p, lambda parts: _yolo_line(parts, classes), True) for p in paths]


def _read_lines(
    image: Path, path: Path, parse: Callable[[list[str]], tuple[int, list[float]]], shares: bool
) -> LabelledImage:
    class_ids, boxes = [], []
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            class_id, box = parse(text.split())
            if not (np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]):
                raise ValueError(f"no box: {box}")
        except ValueError as error:
            raise InputError(path, str(error), f"line {number}") from error
        class_ids.append(class_id)
        boxes.append(box)
    return LabelledImage(
        image, np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(class_ids, dtype=np.int64), shares
    )


def _kitti_line(parts: list[str]) -> tuple[int, list[float]]:
    """Type, truncation, occlusion, alpha, left, upper, right, lower side in pixels, and the box in space."""
    if len(parts) < 15:
        raise ValueError(f"{len(parts)} fields in place of 15")
    return _meaning(parts[0]), [float(p) for p in parts[4:8]]


def _yolo_line(parts: list[str], classes: list[int]) -> tuple[int, list[float]]:
    """Class, centre and size as shares of the image."""
    if len(parts) != 5:
        raise ValueError(f"{len(parts)} fields in place of 5")
    index = int(parts[0])
    if not 0 <= index < len(classes):
        raise ValueError(f"class {index}, but there are names for {len(classes)}")
    x, y, width, height = (float(p) for p in parts[1:])
    return classes[index], [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _yolo_names(labels: Path) -> list[str]:
    """Names from ``data.yaml`` or ``classes.txt`` beside the labels or up to two folders above.

    Raises:
        InputError: if there are none.
    """
    for folder in [labels, *labels.resolve().parents[:2]]:
        if (folder / "classes.txt").is_file():
            return _text(folder / "classes.txt").split()
        if (folder / "data.yaml").is_file():
            try:
                names = yaml.safe_load(_text(folder / "data.yaml"))["names"]
                return [str(names[i]) for i in range(len(names))]
            except (yaml.YAMLError, KeyError, TypeError) as error:
                raise InputError(folder / "data.yaml", "has no list of names", "names") from error
    raise InputError(labels, "nothing says what the classes are: give --names, or put classes.txt there")


def _coco(path: Path, by_stem: dict[str, Path]) -> list[LabelledImage]:
    """COCO's instances: images, categories, and annotations with boxes x y width height."""
    try:
        data = json.loads(_text(path))
        meaning = {c["id"]: _meaning(c["name"]) for c in data["categories"]}
        stems = {i["id"]: Path(i["file_name"]).stem for i in data["images"]}
        rows: dict[Any, list[tuple[int, list[float]]]] = {i: [] for i in stems}
        for a in data["annotations"]:
            x, y, width, height = (float(v) for v in a["bbox"])
            class_id = _IGNORED if a.get("iscrowd") else meaning[a["category_id"]]
            rows[a["image_id"]].append((class_id, [x, y, x + width, y + height]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"is not in COCO's format: {type(error).__name__} {error}") from error
    return [
        LabelledImage(
            by_stem[stem],
            np.array([box for _, box in rows[i]], dtype=np.float64).reshape(-1, 4),
            np.array([c for c, _ in rows[i]], dtype=np.int64),
        )
        for i, stem in sorted(stems.items(), key=lambda pair: pair[1])
        if stem in by_stem
    ]


def _meaning(name: str) -> int:
    return int(_MEANING.get(name.strip().lower().replace(" ", "_"), _IGNORED))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error)) from error
