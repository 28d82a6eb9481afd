"""The messages of ackermann_msgs, which has no wheel: their definitions, and how a test builds them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
DEFINITIONS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.msg"))}
BUILD_S = 240


def make_importable(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have this process and those that it starts import ``ackermann_msgs``, built in ``folder`` if it is not installed.

    The project's own message package is the recipe, with another name and other messages.
    """
    if find_spec("ackermann_msgs"):
        return
    install = folder / "install"
    _build(folder, install)
    (site,) = install.glob("lib/python3*/site-packages")
    patch.syspath_prepend(site)
    patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    patch.setenv("LD_LIBRARY_PATH", str(install / "lib"), prepend=os.pathsep)
    _load_here(sorted((install / "lib").glob("*.so")))


def _build(folder: Path, install: Path) -> None:
    recipe, source, venv = FOLDER.parents[1] / "msg", folder / "msg", Path(sys.prefix)
    source.mkdir()
    for name in ("CMakeLists.txt", "package.xml"):
        text = (recipe / name).read_text(encoding="utf-8")
        (source / name).write_text(
            text.replace("perception_platform_msgs", "ackermann_msgs"), encoding="utf-8"
        )
    for name, text in DEFINITIONS.items():
        (source / f"{name}.msg").write_text(text, encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(venv),
        "CMAKE_PREFIX_PATH": str(venv),
    }
    done = subprocess.run(
        [
            *("colcon", "--log-base", folder / "log", "build", "--paths", "msg", "--merge-install"),
            *("--build-base", folder / "build", "--install-base", install),
            *("--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF", "-G", "Ninja"),
        ],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _load_here(libraries: list[Path]) -> None:
    """Load libraries that need each other: the loader heeds LD_LIBRARY_PATH only when a process begins."""
    from std_msgs.msg import Header

    Header.__class__.__import_type_support__()  # its libraries are needed, too
    for _ in libraries:
        failed = [path for path in libraries if not _loads(path)]
        if not failed:
            return
        libraries = failed
    raise OSError(f"cannot be loaded: {libraries}")


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
