"""The one training loop: progress, resume, early stopping, TensorBoard logs and averaged weights, for any network."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from perception_platform.core.errors import InputError

LAST, BEST = "last.pt", "best.pt"
_WARM_UP = 0.03  # share of the training in which the rate rises
_FLOOR = 0.02  # of the highest rate, at the end
_LONGEST_GRADIENT = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast.

    Attributes:
        epochs: rounds through the data.
        learning_rate: the highest; it rises at the start and falls with a cosine.
        weight_decay: of AdamW.
        ema: share that the averaged weights, which are the result, keep at each step.
        patience: validations without a better score after which it ends.
        validate_every: epochs between validations.
        minutes: end after so long, with the rate fallen by then; the result then depends on the machine's speed. None:
            no limit, and the same seed gives the same weights on the same machine.
        seed: of the weights, the order and the augmentation.
        device: ``cpu`` or ``cuda``; ``auto`` takes the GPU where there is one.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.05
    ema: float = 0.998
    patience: int = 20
    validate_every: int = 1
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"


class Task(Protocol):
    """What is trained on what."""

    network: torch.nn.Module

    def steps(self) -> int:
        """Batches in an epoch."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """The epoch's batches, the same each time they are asked for."""

    def loss(self, batch: Any) -> dict[str, torch.Tensor]:
        """Parts of a batch's loss; they are added."""

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """Figures on data that it was not trained on; ``score`` decides, larger is better."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: the best validation and its epoch, epochs run, seconds over all sessions, why it ended."""

    best: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    ended: str
    device: str


def choose_device(asked: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: if it is a GPU and there is none.
    """
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda", "PyTorch finds no GPU here; auto takes the CPU then")
    return torch.device(asked)


def _is_quick_in_half(device: torch.device) -> bool:
    """Whether it multiplies in bfloat16: GPUs, and processors with AVX-512 BF16, where a step takes half as long."""
    return device.type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())


def fit(task: Task, plan: Plan, out: Path, quiet: bool = False) -> Outcome:
    """Train until the plan is done, going on where an earlier run in the same folder ended.

    Writes ``last.pt`` after each epoch, ``best.pt`` (the averaged weights) after each better validation, ``logs/`` for
    TensorBoard and ``outcome.json``.

    Raises:
        InputError: if the folder holds another plan's training, or the loss is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(task, plan, out)
    log = SummaryWriter(out / "logs")
    bar = tqdm(total=plan.epochs, initial=run.epoch, unit="epoch", disable=quiet)
    ended = "all epochs done"
    while run.epoch < plan.epochs:
        losses = run.train_epoch()
        for name, value in losses.items():
            log.add_scalar(f"loss/{name}", value, run.epoch)
        due = run.epoch % plan.validate_every == 0 or run.epoch == plan.epochs or run.time_is_up()
        if due:
            figures = run.validate()
            for name, value in figures.items():
                log.add_scalar(f"validation/{name}", value, run.epoch)
            bar.set_postfix(loss=f"{sum(losses.values()):.3f}", score=f"{figures['score']:.4f}")
        run.save()
        bar.update()
        if run.time_is_up():
            ended = "time is up"
            break
        if due and run.unimproved >= plan.patience:
            ended = f"no better for {run.unimproved} validations"
            break
    bar.close()
    log.close()
    outcome = Outcome(run.best, run.best_epoch, run.epoch, round(run.seconds, 1), ended, run.device_name)
    (out / "outcome.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")
    return outcome


class _Run:
    """A training's state, between epochs."""

    def __init__(self, task: Task, plan: Plan, out: Path) -> None:
        self._task, self._plan, self._out = task, plan, out
        self._device = choose_device(plan.device)
        self.device_name = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        self._network = task.network.to(self._device, memory_format=torch.channels_last)
        self._mean = torch.optim.swa_utils.AveragedModel(
            self._network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(plan.ema), use_buffers=True
        )
        decayed = [p for p in self._network.parameters() if p.ndim > 1]
        others = [p for p in self._network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, plan.learning_rate, weight_decay=plan.weight_decay)
        self.epoch = self.best_epoch = self.unimproved = 0
        self.best: dict[str, float] = {"score": -math.inf}
        self.seconds = 0.0
        if (out / LAST).exists():
            self._resume()

    def _resume(self) -> None:
        path = self._out / LAST
        kept = torch.load(path, map_location=self._device, weights_only=True)
        if kept["plan"] != (asdict(self._plan) | {"device": kept["plan"]["device"]}):
            raise InputError(path, "is of a training with other settings; choose another --out, or remove it")
        self._network.load_state_dict(kept["network"])
        self._mean.load_state_dict(kept["mean"])
        self._optimizer.load_state_dict(kept["optimizer"])
        self.epoch, self.seconds = kept["epoch"], kept["seconds"]
        self.best, self.best_epoch, self.unimproved = kept["best"], kept["best_epoch"], kept["unimproved"]

    def save(self) -> None:
        """Write what a later run goes on from."""
        kept = {
            "plan": asdict(self._plan),
            "network": self._network.state_dict(),
            "mean": self._mean.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "unimproved": self.unimproved,
        }
        unfinished = self._out / f"{LAST}.part"
        torch.save(kept, unfinished)
        unfinished.replace(self._out / LAST)

    def time_is_up(self) -> bool:
        """Whether the plan's minutes are over."""
        return self._plan.minutes is not None and self.seconds >= self._plan.minutes * 60

    def train_epoch(self) -> dict[str, float]:
        """One round through the data; mean of each part of the loss."""
        began_s, spent_s = time.monotonic(), self.seconds
        torch.manual_seed(self._plan.seed * 1_000_003 + self.epoch)
        self._network.train()
        sums: dict[str, torch.Tensor] = {}
        half = torch.autocast(self._device.type, torch.bfloat16, enabled=_is_quick_in_half(self._device))
        for step, batch in enumerate(self._task.batches(self.epoch)):
            self._set_rate(step)
            with half:
                parts = self._task.loss(batch)
            total = torch.stack(list(parts.values())).sum()
            self._optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), _LONGEST_GRADIENT)
            self._optimizer.step()
            self._mean.update_parameters(self._network)
            for name, value in parts.items():
                sums[name] = sums.get(name, torch.zeros((), device=self._device)) + value.detach()
            self.seconds = spent_s + time.monotonic() - began_s
            if self.time_is_up():
                break
        means = {name: float(value) / (step + 1) for name, value in sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise InputError(
                f"epoch {self.epoch}", f"the loss is not finite: {means}; a lower --learning-rate helps"
            )
        self.epoch += 1
        return means

    def _set_rate(self, step: int) -> None:
        share = (self.epoch + step / max(self._task.steps(), 1)) / self._plan.epochs
        if self._plan.minutes is not None:
            share = max(share, self.seconds / (self._plan.minutes * 60))
        rise = min(1.0, (share + 1e-4) / _WARM_UP)
        fall = _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.learning_rate * rise * fall

    def validate(self) -> dict[str, float]:
        """Figures of the averaged weights, which are kept where they are the best so far."""
        began_s = time.monotonic()
        network = self._mean.module.eval()
        with torch.no_grad():
            figures = self._task.validate(network)
        self.unimproved += 1
        if figures["score"] > self.best["score"]:
            self.best, self.best_epoch, self.unimproved = figures, self.epoch, 0
            torch.save({"network": network.state_dict(), "figures": figures}, self._out / BEST)
        self.seconds += time.monotonic() - began_s
        return figures


def load_best(network: torch.nn.Module, out: Path) -> dict[str, float]:
    """Put the best weights of a training into a network; their figures.

    Raises:
        InputError: if there are none.
    """
    path = out / BEST
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"no weights of a training: {error}") from error
    network.load_state_dict(kept["network"])
    return dict(kept["figures"])
