"""A chain of models: each kind of failure, who takes over, and who comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.model_status import Assurance, ModelState, ModelStatus
from perception_platform.core.objects import ModelRef
from perception_platform.inference.backend import Backend, ModelError, Tensor
from perception_platform.inference.chain import BrokenLink, Chain, ChainRules
from perception_platform.inference.golden import load_golden, save_golden
from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.inference.remote_backend import RemoteBackend
from perception_platform.inference.spec import GoldenSpec, RemoteSpec
from test.unit.inference.tiny_models import SIDE_PX, constant_detector

IMAGE = np.ones((1, 3, SIDE_PX, SIDE_PX), dtype=np.float32)
NS_PER_S = 1_000_000_000
GENEROUS = ChainRules(limit_s=30.0, give_up_after=2)


class OnBackend:
    """A link that passes its input to a backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def model(self) -> ModelRef:
        return self._backend.model

    @property
    def backend(self) -> str:
        return self._backend.name

    assurance = Assurance("temperature", 0.03)

    def check(self) -> None: ...

    def step(self, value: Tensor) -> float:
        return float(self._backend.run({self._backend.input_names[0]: value})["boxes"].ravel()[0])


class Scripted:
    """A link that does what a test tells it to; for what no real model does at will: to hang, and to end."""

    backend = "script"
    assurance = Assurance()

    def __init__(
        self, name: str, act: Callable[[], float] = lambda: 1.0, golden: Exception | None = None
    ) -> None:
        self.model = ModelRef(f"{name}@1", "")
        self.act = act
        self.golden = golden
        self.calls = 0

    def check(self) -> None:
        if self.golden is not None:
            raise self.golden

    def step(self, value: Tensor) -> float:
        self.calls += 1
        return self.act()


def onnx(tmp_path: Path, name: str, value: float) -> OnBackend:
    """A real model that answers ``value``; NaN is as good as any."""
    output = np.full((1, 2), value)
    return OnBackend(load_onnx(constant_detector(tmp_path / f"{name}.onnx", output), f"{name}@1"))


def raising(error: Exception) -> Callable[[], float]:
    def act() -> float:
        raise error

    return act


def status(chain: Chain[Tensor, float]) -> ModelStatus:
    return chain.status(0)


def chain_of(*links: object, rules: ChainRules = GENEROUS, timed: bool = True) -> Chain[Tensor, float]:
    return Chain("head", links, rules, time.perf_counter_ns if timed else None)  # type: ignore[arg-type]


@pytest.mark.parametrize("timed", [True, False])
def test_the_first_model_serves_while_it_is_well(tmp_path: Path, timed: bool) -> None:
    chain = chain_of(onnx(tmp_path, "first", 1.0), onnx(tmp_path, "second", 2.0), timed=timed)
    chain.warm_up(IMAGE)
    assert [chain.run(i, IMAGE) for i in range(3)] == [1.0, 1.0, 1.0]
    said = status(chain)
    assert (said.state, said.model, said.runs, said.failures) == (
        ModelState.ACTIVE, onnx(tmp_path, "first", 1.0).model, 3, 0,
    )  # fmt: skip
    assert said.text == "runs"
    assert said.assurance == Assurance("temperature", 0.03)
    dark = chain.status(0, "the image is dark").assurance
    assert (dark.calibration, dark.out_of_domain, dark.reason) == ("temperature", True, "the image is dark")
    assert np.isnan(said.run_time_p50_s) != timed


@pytest.mark.parametrize("timed", [True, False])
def test_a_model_that_yields_nan_is_replaced_within_the_same_run(tmp_path: Path, timed: bool) -> None:
    """A real ONNX file that loads, runs, and answers NaN."""
    chain = chain_of(onnx(tmp_path, "bad", np.nan), onnx(tmp_path, "good", 2.0), timed=timed)
    assert [chain.run(i, IMAGE) for i in range(4)] == [2.0] * 4
    said = status(chain)
    assert (said.state, said.model.id if said.model else "", said.failures) == (
        ModelState.FALLBACK,
        "good@1",
        2,
    )
    assert (
        "bad@1 on onnxruntime/CPUExecutionProvider: out, ModelError: output boxes is not finite" in said.text
    )


def test_a_backend_that_raises_is_replaced_and_not_asked_any_more() -> None:
    first, second = Scripted("first", raising(RuntimeError("out of memory"))), Scripted("second")
    chain = chain_of(first, second)
    assert [chain.run(i, IMAGE) for i in range(5)] == [1.0] * 5
    assert (first.calls, second.calls) == (2, 5), "given up after two failures in a row"
    assert "first@1 on script: out, RuntimeError: out of memory" in status(chain).text


def test_a_failure_now_and_then_does_not_put_a_model_out() -> None:
    first, second = Scripted("first"), Scripted("second", lambda: 2.0)
    chain = chain_of(first, second)
    answers = []
    for i in range(6):
        first.act = raising(RuntimeError("hiccup")) if i % 2 else (lambda: 1.0)
        answers.append(chain.run(i, IMAGE))
    assert answers == [1.0, 2.0] * 3
    assert first.calls == 6


def test_a_model_that_hangs_costs_the_limit_once_and_is_left_behind() -> None:
    go_on = threading.Event()
    hanging = Scripted("hanging", lambda: float(go_on.wait(60)))
    chain = chain_of(
        hanging, Scripted("second", lambda: 2.0), rules=ChainRules(limit_s=0.05, give_up_after=3)
    )
    began_s = time.monotonic()
    assert chain.run(0, IMAGE) is None, "the time for this input is used up"
    assert [chain.run(i, IMAGE) for i in (1, 2, 3)] == [2.0] * 3
    assert time.monotonic() - began_s < 30.0
    assert hanging.calls == 1, "it is still at the first input"
    said = status(chain)
    assert said.state is ModelState.FALLBACK
    assert "hanging@1 on script: out, TimeoutError: still at an earlier input" in said.text
    go_on.set()


def test_the_status_asked_for_while_a_model_works_is_that_of_the_last_run() -> None:
    """The node reports in one thread while the chain runs in another."""
    said: list[ModelState] = []
    first = Scripted("first")
    chain = chain_of(first)
    chain.run(0, IMAGE)

    def look() -> float:
        said.append(status(chain).state)
        return 1.0

    first.act = look
    chain.run(1, IMAGE)
    assert said == [ModelState.ACTIVE]


def test_with_a_dead_server_the_next_one_serves(tmp_path: Path) -> None:
    """Nobody listens on the port: a real refusal by the system."""
    spec = RemoteSpec(kind="remote", url="http://127.0.0.1:9", model="people", timeout_ms=500)
    chain = chain_of(OnBackend(RemoteBackend(spec, "people@1")), onnx(tmp_path, "local", 2.0))
    chain.warm_up(IMAGE)
    assert chain.run(1, IMAGE) == 2.0
    said = status(chain)
    assert said.state is ModelState.FALLBACK
    assert "people@1 on remote/127.0.0.1:9: out, ModelError" in said.text
    assert "refused" in said.text


def test_at_the_end_of_the_chain_there_is_no_answer_and_it_says_so() -> None:
    chain = chain_of(
        Scripted("only", raising(ModelError("no"))), BrokenLink("lost/model.yaml", "no such file")
    )
    assert [chain.run(i, IMAGE) for i in range(3)] == [None] * 3
    said = status(chain)
    assert (said.state, said.model) == (ModelState.FAILED, None)
    assert said.text == (
        "the geometric path alone; lost/model.yaml: no such file; only@1 on script: out, ModelError: no"
    )


def test_a_fallback_in_place_of_a_model_that_is_not_there_is_no_active_model(tmp_path: Path) -> None:
    chain = chain_of(BrokenLink("lost", "no such file"), onnx(tmp_path, "second", 2.0))
    assert status(chain).state is ModelState.FALLBACK
    assert chain.run(0, IMAGE) == 2.0
    assert status(chain).state is ModelState.FALLBACK


@pytest.mark.parametrize("timed", [True, False])
def test_a_model_comes_back_by_the_rule(timed: bool) -> None:
    first, second = Scripted("first", raising(ModelError("down"))), Scripted("second", lambda: 2.0)
    chain = chain_of(first, second, rules=ChainRules(30.0, give_up_after=1, return_after_s=10.0), timed=timed)
    assert chain.run(0, IMAGE) == 2.0
    assert chain.run(9 * NS_PER_S, IMAGE) == 2.0
    assert first.calls == 1, "not before its time"
    chain.run(10 * NS_PER_S, IMAGE)
    until_s = time.monotonic() + 30
    while first.calls < 2 and time.monotonic() < until_s:
        time.sleep(0.01)
    assert first.calls == 2, "tried beside the one that serves"
    assert chain.run(11 * NS_PER_S, IMAGE) == 2.0, "and it was still down"
    first.act = lambda: 1.0
    answers = []
    while 1.0 not in answers and time.monotonic() < until_s:
        answers.append(chain.run(22 * NS_PER_S, IMAGE))
        time.sleep(0.01)
    assert answers[-1] == 1.0
    assert set(answers[:-1]) <= {2.0}, "nothing was missed in between"
    assert status(chain).state is ModelState.ACTIVE


def test_without_a_rule_it_stays_out() -> None:
    first = Scripted("first", raising(ModelError("down")))
    chain = chain_of(first, Scripted("second", lambda: 2.0), rules=ChainRules(30.0, give_up_after=1))
    chain.run(0, IMAGE)
    first.act = lambda: 1.0
    assert chain.run(10**6 * NS_PER_S, IMAGE) == 2.0
    assert first.calls == 1


def test_a_model_with_other_golden_outputs_never_serves(tmp_path: Path) -> None:
    good, other = (
        load_onnx(constant_detector(tmp_path / f"{name}.onnx", np.array([[value, 3.0]])), f"{name}@1")
        for name, value in (("good", 1.0), ("other", 1.01))
    )
    save_golden(tmp_path / "golden.npz", good, {"image": IMAGE})
    golden = load_golden(tmp_path, GoldenSpec(file="golden.npz"))
    golden.check(good)
    with pytest.raises(ModelError, match=r"golden output boxes is off by up to 0\.01") as raised:
        golden.check(other)
    chain = chain_of(Scripted("other", golden=raised.value), OnBackend(good))
    chain.warm_up(IMAGE)
    assert status(chain).state is ModelState.FALLBACK
    assert chain.run(0, IMAGE) == 1.0
    assert "other@1 on script: out, ModelError: golden output boxes is off" in status(chain).text
