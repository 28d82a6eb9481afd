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
    backend = load_torch(program, "tiny@1")
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
