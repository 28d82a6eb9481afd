"""The training loop: resume, early stopping, a budget of time, and losses that mean nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: make setup WITH=training")
pytest.importorskip("tensorboard", reason="tensorboard is of the same extra")

from perception_platform.core.errors import InputError  # noqa: E402
from perception_platform.training.loop import BEST, LAST, Plan, choose_device, fit, load_best  # noqa: E402

PLAN = Plan(epochs=6, learning_rate=0.05, weight_decay=0.0, ema=0.5, device="cpu", seed=3)


class Line:
    """Learns y = 2 x + 1 from noisy points."""

    def __init__(self, scores: list[float] | None = None, broken: bool = False) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(1, 1)
        self._scores, self._broken = scores, broken
        self.validations = 0

    def steps(self) -> int:
        return 10

    def batches(self, epoch: int) -> Iterator[Any]:
        rng = torch.Generator().manual_seed(epoch)
        for _ in range(10):
            x = torch.randn(16, 1, generator=rng)
            yield x, 2 * x + 1 + 0.01 * torch.randn(16, 1, generator=rng)

    def loss(self, batch: Any) -> dict[str, Any]:
        x, y = batch
        # Drawn from the global generator, as dropout is: a run that goes on has to draw what one in one go draws.
        error = (self.network(x + 0.01 * torch.randn(x.shape)) - y).square().mean()
        return {"square": error * float("nan") if self._broken else error}

    def validate(self, network: Any) -> dict[str, float]:
        self.validations += 1
        if self._scores is not None:
            return {"score": self._scores[min(self.validations, len(self._scores)) - 1]}
        x = torch.linspace(-1, 1, 9)[:, None]
        return {"score": -float((network(x) - (2 * x + 1)).abs().max())}


@pytest.mark.slow
def test_it_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    outcome = fit(Line(), replace(PLAN, epochs=40, patience=40), tmp_path, quiet=True)
    assert outcome.ended == "all epochs done"
    network = torch.nn.Linear(1, 1)
    assert load_best(network, tmp_path)["score"] == outcome.best["score"] > -0.1
    assert float(network.weight.detach()) == pytest.approx(2, abs=0.1)
    assert json.loads((tmp_path / "outcome.json").read_text())["epochs"] == 40
    assert list((tmp_path / "logs").iterdir())


@pytest.mark.slow
def test_what_was_cut_short_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    fit(Line(), PLAN, tmp_path / "whole", quiet=True)
    cut = Line()
    real_loss, calls = cut.loss, []

    def loss(batch: Any) -> dict[str, Any]:
        calls.append(1)
        if len(calls) > 25:
            raise KeyboardInterrupt
        return real_loss(batch)

    cut.loss = loss  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(cut, PLAN, tmp_path / "cut", quiet=True)
    assert torch.load(tmp_path / "cut" / LAST, weights_only=True)["epoch"] == 2
    assert fit(Line(), PLAN, tmp_path / "cut", quiet=True).epochs == 6
    whole, gone_on = (torch.load(tmp_path / d / LAST, weights_only=True) for d in ("whole", "cut"))
    for part in ("network", "mean"):
        for name, value in whole[part].items():
            assert torch.equal(value, gone_on[part][name]), name


def test_it_ends_when_nothing_gets_better(tmp_path: Path) -> None:
    task = Line(scores=[0.1, 0.5, 0.4, 0.3, 0.2])
    outcome = fit(task, replace(PLAN, epochs=50, patience=3), tmp_path, quiet=True)
    assert (outcome.epochs, outcome.best_epoch, outcome.best["score"]) == (5, 2, 0.5)
    assert outcome.ended == "no better for 3 validations"


def test_it_ends_when_the_time_is_up(tmp_path: Path) -> None:
    outcome = fit(Line(), replace(PLAN, epochs=100_000, minutes=1e-4), tmp_path, quiet=True)
    assert outcome.ended == "time is up"
    assert (tmp_path / BEST).exists()


def test_a_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    fit(Line(), PLAN, tmp_path, quiet=True)
    with pytest.raises(InputError, match="other settings"):
        fit(Line(), replace(PLAN, seed=4), tmp_path, quiet=True)


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finite"):
        fit(Line(broken=True), PLAN, tmp_path, quiet=True)


def test_best_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.pt"):
        load_best(torch.nn.Linear(1, 1), tmp_path)


def test_a_gpu_that_is_not_there_is_said() -> None:
    assert choose_device("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            choose_device("cuda")
