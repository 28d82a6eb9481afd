"""Exported programs on PyTorch, where it is installed; without it, a line that says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.errors import InputError
from perception_platform.inference.backend import ModelError
from perception_platform.inference.torch_backend import load_torch


def test_without_torch_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="runs on PyTorch, which is not installed: make setup WITH=training"):
        load_torch(tmp_path / "m.pt2", "tiny@1")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program of two outputs: twice its input, and the sum of it."""
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")

    class Tiny(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, image):  # type: ignore[no-untyped-def]
            return 2 * image, image.sum().reshape(1)

    path = tmp_path / "tiny.pt2"
    torch.export.save(torch.export.export(Tiny(), (torch.ones(1, 3),)), path)
    return path


@pytest.mark.slow
def test_a_program_runs(program: Path) -> None:
    backend = load_torch(program, "tiny@1", device="cpu")
    assert backend.name == "torch/cpu"
    assert backend.input_names == ["image"]
    assert len(backend.model.digest) == 64
    outputs = backend.run({"image": np.array([[1, 2, 3]], dtype=np.float32)})
    doubled, total = (outputs[name] for name in backend.output_names)
    assert doubled.tolist() == [[2, 4, 6]]
    assert total.tolist() == [6]
    with pytest.raises(ModelError, match="is not finite"):
        backend.run({"image": np.array([[1, np.nan, 3]], dtype=np.float32)})
    with pytest.raises(ModelError, match="tiny@1"):
        backend.run({"image": np.ones((1, 4), dtype=np.float32)})


@pytest.mark.slow
def test_a_file_that_is_no_program_is_refused(program: Path) -> None:
    program.write_bytes(program.read_bytes()[:100])
    with pytest.raises(InputError, match="PyTorch can't load it"):
        load_torch(program, "tiny@1")
    with pytest.raises(InputError, match="can't be read"):
        load_torch(program.with_name("none.pt2"), "tiny@1")


def has_cuda() -> bool:
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    return bool(torch.cuda.is_available())


@pytest.mark.slow
def test_without_a_gpu_it_runs_on_the_cpu_and_says_so(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert load_torch(program, "tiny@1").name == "torch/cpu without cuda"
    with pytest.raises(
        InputError, match="asks for cuda, and PyTorch finds none here: say device: auto or cpu"
    ):
        load_torch(program, "tiny@1", device="cuda")


@pytest.mark.slow
def test_on_cuda_it_answers_as_on_the_cpu(tmp_path: Path) -> None:
    """Convolution, product and a tensor that the program makes itself: chosen by itself, the same bits twice."""
    if not has_cuda():
        pytest.skip("PyTorch finds no GPU here")
    import torch

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.convolve, self.weigh = torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Linear(64, 64)

        def forward(self, image):  # type: ignore[no-untyped-def]
            seen = self.weigh(torch.relu(self.convolve(image)))
            return seen + torch.arange(64.0), seen.amax(dim=(2, 3))

    torch.manual_seed(1)
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.rand(2, 3, 64, 64),)), path)
    given = {"image": np.random.default_rng(1).random((2, 3, 64, 64), dtype=np.float32)}
    on_gpu, on_cpu = load_torch(path, "net@1"), load_torch(path, "net@1", device="cpu")
    assert (on_gpu.name, on_cpu.name) == ("torch/cuda", "torch/cpu")
    first, again, wanted = on_gpu.run(given), on_gpu.run(given), on_cpu.run(given)
    for name in on_gpu.output_names:
        assert first[name].tobytes() == again[name].tobytes()
        np.testing.assert_allclose(
            first[name], wanted[name], rtol=1e-3, atol=1e-4
        )  # what golden outputs ask for
    with pytest.raises(ModelError, match="is not finite"):
        on_gpu.run({"image": np.full((2, 3, 64, 64), np.nan, dtype=np.float32)})
    with pytest.raises(ModelError, match="net@1"):
        on_gpu.run({"image": np.ones((2, 5, 64, 64), dtype=np.float32)})
