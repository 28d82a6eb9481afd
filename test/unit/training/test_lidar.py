"""The bird's-eye-view network: made-up sweeps, targets, augmentation, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: make setup WITH=training")
pytest.importorskip("onnx", reason="onnx is of the same extra")

from perception_platform.core.errors import InputError  # noqa: E402
from perception_platform.inference.onnx_backend import load_onnx  # noqa: E402
from perception_platform.perception.bird_view import (  # noqa: E402
    ANSWERS,
    BITS,
    CELLS,
    CLASSES,
    HALF_M,
    REGRESSED,
    boxes_of,
)
from perception_platform.training.lidar import LidarSettings, LidarTask, matched, validate  # noqa: E402
from perception_platform.training.lidar_bundle import OnnxNetwork, export, quantise  # noqa: E402
from perception_platform.training.lidar_data import Sweeps, generate, occupancy, visible  # noqa: E402
from perception_platform.training.lidar_network import BirdViewNetwork, Deployed  # noqa: E402
from perception_platform.training.lidar_worlds import make_example  # noqa: E402
from perception_platform.training.loop import Plan, fit  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard of made-up sweeps."""
    made = tmp_path_factory.mktemp("sweeps")
    generate(made, 64, seed=0, workers=1, quiet=True)
    return made


@pytest.mark.slow
def test_the_same_seed_makes_the_same_world() -> None:
    one, two, other = make_example(5), make_example(5), make_example(6)
    assert np.array_equal(one.sweep.xyz_m, two.sweep.xyz_m)
    assert np.array_equal(one.truth.boxes, two.truth.boxes)
    assert not np.array_equal(one.sweep.xyz_m, other.sweep.xyz_m)


@pytest.mark.slow
def test_labelled_objects_have_their_points_and_move_as_they_say() -> None:
    seen = moved = 0
    for seed in range(6):
        example = make_example(seed)
        for box, velocity, count in zip(
            example.truth.boxes, example.truth.velocities_mps, example.truth.points, strict=True
        ):
            seen += 1
            inside = _inside(example.sweep.xyz_m[example.sweep.height_m > 0.1], box, 0.1)
            assert inside.sum() == count >= 6
            if count < 60:
                continue
            # The sweep before shows it where it was then, as seen from where the robot was then.
            before = box.copy()
            before[:2] -= velocity * 0.1
            there = _inside(example.earlier.xyz_m[example.earlier.height_m > 0.1], before, 0.25).sum()
            moved += there > 0.5 * count
            assert there > 0.25 * count
    assert seen > 20
    assert moved > 5


def _inside(points: Any, box: Any, margin: float) -> Any:
    c, s = np.cos(box[6]), np.sin(box[6])
    at = points - box[:3]
    u, v = at[:, 0] * c + at[:, 1] * s, at[:, 1] * c - at[:, 0] * s
    half = box[3:6] / 2 + margin
    return (np.abs(u) < half[0]) & (np.abs(v) < half[1]) & (np.abs(at[:, 2]) < half[2])


def test_occupancy_covers_an_outline_and_little_more() -> None:
    covered = occupancy(np.array([[10.0, -5.0, 4.0, 2.0, 0.5]]))
    area_m2 = covered.sum() * (2 * HALF_M / ANSWERS) ** 2
    assert 8.0 <= area_m2 <= 4.6 * 2.6
    row, column = int((-5.0 + HALF_M) / 0.4), int((10.0 + HALF_M) / 0.4)
    assert covered[row, column]
    assert not covered[column, row]


@pytest.mark.slow
def test_a_wall_hides_what_is_behind_it() -> None:
    example = make_example(3)
    flags = visible(example.sweep)
    assert flags[ANSWERS // 2, ANSWERS // 2]
    assert 0.05 < flags.mean() < 0.95


@pytest.mark.slow
def test_targets_decode_to_the_labels(folder: Path) -> None:
    """What the network is asked for gives, decoded as its answers are, the labelled boxes."""
    task = LidarTask(LidarSettings(folder, folder, 8), Plan(1, 1e-3, device="cpu"))
    batch = Sweeps(folder, CPU).batch(torch.arange(8))
    heat, wanted, at, real = task._targets(batch)
    decoded = 0
    for i in range(8):
        regressed = torch.zeros(REGRESSED, ANSWERS * ANSWERS)
        regressed[:, at[i, real[i]]] = wanted[i, real[i]].T
        peaks = heat[i] * (heat[i] > 0.999)
        found = boxes_of(
            peaks.numpy(), regressed.reshape(REGRESSED, ANSWERS, ANSWERS).numpy(), np.zeros(64), 0.5
        )
        labels = batch.boxes[i][real[i]].numpy()
        assert len(found) == len(labels)
        for k in range(len(found)):
            nearest = int(np.linalg.norm(labels[:, :2] - found.centers_m[k, :2], axis=1).argmin())
            label = labels[nearest]
            np.testing.assert_allclose(found.centers_m[k], label[:3], atol=1e-3)
            np.testing.assert_allclose(found.sizes_m[k], label[3:6], rtol=1e-3)
            assert np.cos(found.yaws_rad[k] - label[6]) == pytest.approx(1.0, abs=1e-4)
            np.testing.assert_allclose(found.velocities_mps[k], label[7:9], atol=1e-3)
            decoded += 1
    assert decoded > 10


@pytest.mark.slow
def test_mirrored_and_turned_sweeps_keep_boxes_on_their_points(folder: Path) -> None:
    sweeps = Sweeps(folder, CPU)
    for seed in range(6):
        batch = sweeps.augmented(torch.arange(12), torch.Generator().manual_seed(seed))
        some = batch.planes[:, 1 : BITS - 2].amax(1)
        hits = total = 0
        for i in range(12):
            for box, kind in zip(batch.boxes[i], batch.classes[i], strict=True):
                if kind < 0:
                    continue
                column, row = ((box[:2] + HALF_M) / 0.2).long().clamp(8, CELLS - 9).tolist()
                hits += bool(some[i, row - 8 : row + 9, column - 8 : column + 9].any())
                total += 1
        assert hits > 0.9 * total > 0


def test_centres_are_matched_once_each_surest_first() -> None:
    labels = np.array([[0.0, 0.0], [5.0, 0.0]])
    assert matched(np.array([[0.1, 0.0], [0.0, 0.1], [5.2, 0.0]]), labels, 0.5) == [True, False, True]
    assert matched(np.array([[9.0, 0.0]]), labels, 0.5) == [False]
    assert matched(np.array([[0.0, 0.0]]), np.zeros((0, 2)), 0.5) == [False]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_learns_and_is_exported_as_it_is(folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    plan = Plan(epochs=4, learning_rate=3e-3, ema=0.5, device="cpu", validate_every=4)
    few = tmp_path / "few"
    few.mkdir()
    with np.load(folder / "00000.npz") as arrays:
        np.savez(few / "00000.npz", **{name: value[:8] for name, value in arrays.items()})
    task = LidarTask(LidarSettings(few, few, 4), plan)
    batch = next(task.batches(0))
    with torch.no_grad():
        before = sum(float(v) for v in task.loss(batch).values())
    fit(task, plan, tmp_path / "out", quiet=True)
    with torch.no_grad():
        after = sum(float(v) for v in task.loss(batch).values())
    assert after < 0.8 * before

    network = task.network.eval()
    export(network, tmp_path / "network.onnx")
    planes = batch.planes[:1]
    with torch.no_grad():
        wanted = Deployed(network)(planes)
    got = OnnxNetwork(load_onnx(tmp_path / "network.onnx", "bev_lidar@1"))(planes)
    # Which of several equal cells is the peak, rounding decides.
    assert float(wanted[0].max()) == pytest.approx(float(got[0].max()), abs=1e-3)
    for ours, theirs in zip(wanted[1:], got[1:], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-3)
    figures = validate(OnnxNetwork(load_onnx(tmp_path / "network.onnx", "b@1")), Sweeps(few, CPU), 8, CPU)
    assert 0.0 <= figures["score"] <= 1.0


@pytest.mark.slow
def test_eight_bits_are_smaller_and_close(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BirdViewNetwork()
    sweeps = Sweeps(folder, CPU)
    export(network, tmp_path / "whole.onnx")
    with np.load(folder / "00000.npz") as arrays:
        np.savez(tmp_path / "few.npz", **{name: value[:4] for name, value in arrays.items()})
    quantise(tmp_path / "whole.onnx", tmp_path / "small.onnx", Sweeps(tmp_path, CPU))
    assert (tmp_path / "small.onnx").stat().st_size < 0.45 * (tmp_path / "whole.onnx").stat().st_size
    planes = sweeps.batch(torch.arange(1)).planes
    whole = OnnxNetwork(load_onnx(tmp_path / "whole.onnx", "w@1"))(planes)[1].numpy()
    small = OnnxNetwork(load_onnx(tmp_path / "small.onnx", "s@1"))(planes)[1].numpy()
    assert np.corrcoef(whole.ravel(), small.ravel())[0, 1] > 0.95


def test_shards_of_another_seed_and_broken_ones_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no examples"):
        Sweeps(tmp_path, CPU)
    (tmp_path / "seed.txt").write_text("4\n")
    with pytest.raises(InputError, match="seed 4"):
        generate(tmp_path, 64, seed=5, workers=1, quiet=True)
    (tmp_path / "00000.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="made again"):
        Sweeps(tmp_path, CPU)


@pytest.mark.slow
def test_classes_and_bits_fit_what_was_trained() -> None:
    example = np.zeros((1, BITS, CELLS, CELLS), np.uint8)
    answers = Deployed(BirdViewNetwork().eval())(torch.from_numpy(example))
    assert answers[0].shape == (1, len(CLASSES), ANSWERS, ANSWERS)
    assert answers[1].shape == (1, REGRESSED, ANSWERS, ANSWERS)
    assert answers[2].shape == (1, 1, ANSWERS, ANSWERS)
