"""Makes a virtual environment on a robot: it sees ROS 2's own Python packages and adds what Ubuntu lacks or has too
old (pydantic 2, typer, mcap, …), in the tested versions but for numpy, which stays the one ROS was compiled against.

Usage: python3 tools/robot_venv.py FOLDER [EXTRA …]
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from setup_env import CONSTRAINTS, ROOT, WITHOUT_DEPENDENCIES, robots_numpy


def requirements(extras: list[str]) -> list[str]:
    """What pyproject.toml asks for, with those extras; raises SystemExit on an extra it doesn't know."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    known = project["optional-dependencies"]
    unknown = [extra for extra in extras if extra not in known]
    if unknown:
        raise SystemExit(f"robot_venv: no extra {unknown[0]!r}; there are {', '.join(known)}")
    return [*project["dependencies"], *(line for extra in extras for line in known[extra])]


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    folder, extras = Path(sys.argv[1]), sys.argv[2:]
    wanted = requirements(extras)
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder], check=True)
    (folder / "COLCON_IGNORE").touch()
    pins = folder / "constraints.txt"
    pins.write_text(re.sub(r"^numpy==.*$", robots_numpy(), CONSTRAINTS.read_text(), flags=re.MULTILINE))
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "-c", pins]
    subprocess.run([*pip, *wanted], check=True)
    beside = [package for extra, package in WITHOUT_DEPENDENCIES.items() if extra in extras]
    if beside:
        subprocess.run([*pip, "--no-deps", *beside], check=True)


if __name__ == "__main__":
    main()
