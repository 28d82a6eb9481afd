"""HOTA (Luiten et al., HOTA: a higher order metric for evaluating multi-object tracking, 2021), by TrackEval.

As the KITTI benchmark has it: boxes in the image, cars and pedestrians. TrackEval reads folders and talks while it
does, so that results are laid out for it in a folder of their own.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception_platform.core.errors import InputError
from perception_platform.evaluation.kitti_files import KittiBoxes, write_tracks

CATEGORIES = ("Car", "Pedestrian")


def hota(
    results: Mapping[str, KittiBoxes], labels_dir: Path, frames: Mapping[str, int], category: str
) -> dict[str, float]:
    """HOTA, DetA, AssA and LocA, as fractions, means over TrackEval's 19 thresholds of overlap.

    Args:
        results: boxes of each sequence, all of which count, whatever their scores.
        labels_dir: folder of KITTI's label files.
        frames: number of frames of each sequence.
        category: Car or Pedestrian.

    Raises:
        InputError: if TrackEval is not installed, or cannot make sense of the results.
    """
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        try:
            import trackeval
        except ImportError as error:
            raise InputError("trackeval", "not installed: pip install --no-deps trackeval") from error
        _lay_out(Path(folder), results, labels_dir, frames, category)
        dataset = trackeval.datasets.Kitti2DBox(
            {
                "GT_FOLDER": folder,
                "TRACKERS_FOLDER": f"{folder}/trackers",
                "CLASSES_TO_EVAL": [category.lower()],
                "SPLIT_TO_EVAL": "all",
                "PRINT_CONFIG": False,
            }
        )
        metric = trackeval.metrics.HOTA()
        try:
            parts = {s: metric.eval_sequence(_paired(dataset, s, category.lower())) for s in results}
        except trackeval.utils.TrackEvalException as error:
            raise InputError(category, str(error)) from error
        combined = metric.combine_sequences(parts)
    return {name: float(np.mean(combined[name])) for name in ("HOTA", "DetA", "AssA", "LocA")}


def _paired(dataset: object, sequence: str, category: str) -> object:
    raw = dataset.get_raw_seq_data("ours", sequence)  # type: ignore[attr-defined]
    return dataset.get_preprocessed_seq_data(raw, category)  # type: ignore[attr-defined]


def _lay_out(
    folder: Path,
    results: Mapping[str, KittiBoxes],
    labels_dir: Path,
    frames: Mapping[str, int],
    category: str,
) -> None:
    (folder / "label_02").symlink_to(labels_dir.resolve())
    lines = [f"{name} empty 000000 {frames[name]:06d}" for name in results]
    (folder / "evaluate_tracking.seqmap.all").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, boxes in results.items():
        write_tracks(folder / "trackers" / "ours" / "data" / f"{name}.txt", boxes, category)
