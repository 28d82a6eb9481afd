"""A model on a real server of the Open Inference Protocol v2, KServe's own, on loopback: it serves, and it dies."""

from __future__ import annotations

import socket
import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from perception_platform.core.model_status import ModelState
from perception_platform.inference.backend import ModelError
from perception_platform.inference.chain import Chain, ChainRules
from perception_platform.inference.golden import load_golden, save_golden
from perception_platform.inference.onnx_backend import load_onnx
from perception_platform.inference.remote_backend import RemoteBackend
from perception_platform.inference.spec import GoldenSpec, RemoteSpec
from test.conftest import REPOSITORY
from test.unit.inference.test_chain import IMAGE, OnBackend
from test.unit.inference.tiny_models import constant_detector

HERE = Path(__file__).parent
ENVIRONMENT = REPOSITORY / ".venv" / "v2_server"
OUTPUT = np.array([[1.0, 2.0, 3.0]])
NS_PER_S = 1_000_000_000

pytestmark = pytest.mark.timeout(900)  # the environment is made once


@pytest.fixture(scope="module")
def python() -> Path:
    """The server's own Python, with KServe."""
    made = ENVIRONMENT / "complete"
    executable = ENVIRONMENT / "bin" / "python"
    if not made.exists():
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        requirements = str(HERE / "v2_server_requirements.txt")
        command = [str(executable), "-m", "pip", "install", "-q", "-r", requirements]
        installed = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
        if installed.returncode:
            pytest.skip(f"KServe can't be installed here: {installed.stderr.strip().splitlines()[-1]}")
        made.touch()
    return executable


class Server:
    """KServe with one model, as a process."""

    def __init__(self, python: Path, model: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [str(python), str(HERE / "v2_server.py"), str(model), "tiny", str(self.port)]
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._backends: list[RemoteBackend] = []

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=subprocess.STDOUT)
        until_s = time.monotonic() + 90
        while not self._listens():
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            assert time.monotonic() < until_s, self._log.read_text(encoding="utf-8")
            time.sleep(0.1)

    def end(self) -> None:
        for backend in self._backends:
            backend.close()
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def backend(self, model: str = "tiny", binary: bool = True) -> RemoteBackend:
        url = f"http://127.0.0.1:{self.port}"
        spec = RemoteSpec(kind="remote", url=url, model=model, timeout_ms=30_000, binary=binary)
        self._backends.append(RemoteBackend(spec, "tiny@1"))
        return self._backends[-1]

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It serves a model that answers ``OUTPUT``."""
    folder = tmp_path_factory.mktemp("server")
    made = Server(python, constant_detector(folder / "m.onnx", OUTPUT), folder)
    made.start()
    yield made
    made.end()


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_are_those_of_the_model_here(server: Server, tmp_path: Path, binary: bool) -> None:
    remote, here = (
        server.backend(binary=binary),
        load_onnx(constant_detector(tmp_path / "m.onnx", OUTPUT), "tiny@1"),
    )
    assert remote.model.digest == ""
    assert (remote.input_names, remote.output_names) == (here.input_names, here.output_names)
    assert remote.run({"image": IMAGE})["boxes"].tolist() == here.run({"image": IMAGE})["boxes"].tolist()
    assert len(remote.model.digest) == 64
    save_golden(tmp_path / "golden.npz", here, {"image": IMAGE})
    load_golden(tmp_path, GoldenSpec(file="golden.npz")).check(remote)


def test_what_the_server_refuses_is_a_model_error(server: Server) -> None:
    with pytest.raises(ModelError, match=rf"remote/127\.0\.0\.1:{server.port}: HTTP 404"):
        server.backend("elsewhere").run({"image": IMAGE})
    backend = server.backend()
    with pytest.raises(ModelError, match=r"HTTP 500.*image"):
        backend.run({"image": IMAGE[:, :, :5]})
    with pytest.raises(ModelError, match="output boxes is not finite"):
        backend.run({"image": IMAGE * np.float32(np.nan)})
    assert backend.run({"image": IMAGE})["boxes"].tolist() == OUTPUT.tolist(), "the connection lives on"


def test_a_server_that_is_killed_is_replaced_and_comes_back(server: Server, tmp_path: Path) -> None:
    local = load_onnx(constant_detector(tmp_path / "m.onnx", 10 * OUTPUT), "local@1")
    rules = ChainRules(limit_s=60.0, give_up_after=2, return_after_s=1.0)
    chain = Chain("head", [OnBackend(server.backend()), OnBackend(local)], rules, time.perf_counter_ns)
    assert chain.run(0, IMAGE) == 1.0
    server.kill()
    answers = [chain.run(i, IMAGE) for i in range(4)]
    assert answers == [10.0] * 4, "each is answered, by the one that is here"
    status = chain.status(0)
    assert status.state is ModelState.FALLBACK
    assert "tiny@1 on remote/127.0.0.1" in status.text
    server.start()
    now_ns = _until(lambda t_ns: chain.run(t_ns, IMAGE), 1.0)
    assert chain.run(now_ns, IMAGE) == 1.0
    assert chain.status(0).state is ModelState.ACTIVE


def _until(answer: Callable[[int], float | None], wanted: float) -> int:
    """Ask every two seconds of the data's time until it is the one; that time."""
    until_s, t_ns = time.monotonic() + 60, 0
    while answer(t_ns) != wanted:
        assert time.monotonic() < until_s
        t_ns += 2 * NS_PER_S
        time.sleep(0.1)
    return t_ns
