"""Makes .venv: pinned wheels, the project itself (editable), and its ROS messages. Run by `make setup`.

Each step leaves a stamp that holds a digest of what it was made from, so a second run only compares digests.
A step that failed or was cut short leaves none, and the next run does it again.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"
NUMPY_1 = VENV / "numpy1"
CONSTRAINTS = ROOT / "constraints.txt"
# All that demo, tests and checks use. PyTorch is left to those who train: make setup WITH=training.
EXTRAS = "ros,build,lidar-drivers,view,telemetry,otel,scan-matching,cluster,test,dev"
TRAINING = "training"
# What comes beside an extra; pyproject.toml says why.
WITHOUT_DEPENDENCIES = {"lidar-drivers": "ouster-sdk", "dev": "trackeval"}
LOG_TAIL_LINES = 25
BEGUN = "begun"
COMPILED = "import compiled\n"


@dataclass(frozen=True)
class Step:
    name: str
    inputs: Callable[[], list[bytes]]
    run: Callable[[], None]

    @property
    def stamp(self) -> Path:
        return VENV / "stamps" / self.name.replace(" ", "-")

    def digest(self) -> str:
        return hashlib.sha256(b"\0".join(self.inputs())).hexdigest()

    def done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self.digest()

    def mark(self, state: str) -> None:
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(state)


def place_and_python() -> list[bytes]:
    """Where .venv is and which interpreter it is made from, even when that runs this script."""
    return [str(VENV).encode(), sys.version.encode(), str(Path(sys.base_prefix).resolve()).encode()]


def packaging() -> list[bytes]:
    """What pip reads: not the settings of linters, which change more often."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    declared = json.dumps([settings["build-system"], settings["project"]]).encode()
    files = [ROOT / "setup.py", ROOT / "setup.cfg", CONSTRAINTS]
    return [declared, EXTRAS.encode(), *(path.read_bytes() for path in files)]


def messages() -> list[bytes]:
    """The message package and the pins of what builds it."""
    folder = ROOT / "msg"
    files = [*sorted(folder.glob("*.msg")), folder / "CMakeLists.txt", folder / "package.xml"]
    pins = re.findall(r"^(?:ros-|empy).*$", CONSTRAINTS.read_text(), re.MULTILINE)
    return [
        *(part for path in files for part in (path.name.encode(), path.read_bytes())),
        *map(str.encode, pins),
    ]


def call(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in the log; raise CalledProcessError when it fails."""
    with LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=env,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def pip_install(*arguments: str | Path) -> None:
    # Python compiles a module when it is first imported; compiling all of them now takes longer.
    call(
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--no-compile",
        *arguments,
    )


def make_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    # Of the base interpreter: `python -m venv` run by .venv's own python would have deleted itself.
    call(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}", "-m", "venv", VENV)


def install_wheels() -> None:
    pip_install("-c", CONSTRAINTS, "setuptools", "wheel")
    pip_install("-c", CONSTRAINTS, "--no-build-isolation", "--editable", f".[{EXTRAS}]")
    pip_install("-c", CONSTRAINTS, "--no-deps", *WITHOUT_DEPENDENCIES.values())


def install_training() -> None:
    pip_install("-c", CONSTRAINTS, "--no-build-isolation", "--editable", f".[{TRAINING}]")


def build_messages() -> None:
    """Build msg/ and install it into .venv itself, so that a bare .venv/bin/python imports the messages."""
    build = VENV / "build"
    # A renamed message must not live on in what an earlier build left.
    for left in [build, *VENV.glob("lib/python3*/site-packages/perception_platform_msgs")]:
        shutil.rmtree(left, ignore_errors=True)
    env = os.environ | {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(VENV),
        "CMAKE_PREFIX_PATH": str(VENV),
    }
    env.pop("PYTHONPATH", None)
    call(
        *(VENV / "bin" / "colcon", "--log-base", build / "log", "build", "--paths", "msg"),
        *("--build-base", build, "--merge-install", "--install-base", VENV),
        *("--event-handlers", "console_direct+"),
        *("--cmake-args", f"-DPython3_EXECUTABLE={PYTHON}", "-DBUILD_TESTING=OFF", "-G", "Ninja"),
        env=env,
    )


def robots_numpy() -> str:
    """The requirement for the numpy that a robot's ROS messages were compiled against."""
    found = re.search(r"^# robot: (numpy==\S+)$", CONSTRAINTS.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"set-up: {CONSTRAINTS.name} has no line '# robot: numpy==…'")
    return found[1]


def install_robots_numpy() -> None:
    """Put a robot's numpy beside the newer one; with its folder on PYTHONPATH it is the one imported."""
    shutil.rmtree(NUMPY_1, ignore_errors=True)
    if sys.version_info < (3, 13):  # it has no wheel for later ones
        pip_install("--no-deps", "--target", NUMPY_1, robots_numpy())


def numba_pins() -> list[bytes]:
    pins = re.findall(r"^(?:# robot: )?(?:numba|llvmlite|numpy)==.*$", CONSTRAINTS.read_text(), re.MULTILINE)
    return [pin.encode() for pin in pins]


def compile_loops() -> None:
    """Fill numba's caches, or every node of the first run would compile the same loops at the same time."""
    users = [
        path for path in sorted((ROOT / "perception_platform").rglob("*.py")) if COMPILED in path.read_text()
    ]
    imports = "\n".join(f"import {'.'.join(path.relative_to(ROOT).with_suffix('').parts)}" for path in users)
    call(PYTHON, "-c", imports)
    if NUMPY_1.exists():
        env = os.environ | {"PYTHONPATH": str(NUMPY_1), "NUMBA_CACHE_DIR": str(VENV / "numba-numpy1")}
        call(PYTHON, "-c", imports, env=env)


TRAINING_STEP = Step("PyTorch, to train", packaging, install_training)
STEPS = (
    Step("virtual environment", place_and_python, make_venv),
    Step("wheels and the project", packaging, install_wheels),
    Step("ROS messages", messages, build_messages),
    Step("numpy of a robot", lambda: [robots_numpy().encode()], install_robots_numpy),
    Step("compiled loops", numba_pins, compile_loops),
    *([TRAINING_STEP] if os.environ.get("WITH") == TRAINING or TRAINING_STEP.stamp.exists() else []),
)


def cut_short() -> bool:
    """Whether an earlier run was killed at work: what pip left half-written, pip would take for whole."""
    return any(step.stamp.exists() and step.stamp.read_text() == BEGUN for step in STEPS)


def carry_out(step: Step) -> None:
    print(f"set-up: {STEPS.index(step) + 1}/{len(STEPS)} {step.name} … ", end="", flush=True)
    start = time.monotonic()
    digest = step.digest()
    step.mark(BEGUN)
    try:
        step.run()
    except subprocess.CalledProcessError:
        step.stamp.unlink(missing_ok=True)
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise SystemExit(f"failed\n{tail}\nset-up: {step.name} failed; the whole log: {LOG}") from None
    step.mark(digest)
    print(f"{time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second waits, then finds all done
    if cut_short():
        shutil.rmtree(VENV)
    for step in STEPS:  # a new .venv has no stamps: all that follows is then done too
        if not step.done():
            carry_out(step)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nset-up: interrupted; the next run goes on from here") from None
