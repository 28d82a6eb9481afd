"""Read a robot file, by name from the installed configuration or by path."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from perception_platform.core.errors import InputError
from perception_platform.robot.description import Robot


def share_dir() -> Path:
    """Folder that holds ``config/``, ``launch/`` and ``rosbags/``: the checkout, or the ament share folder."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "config" / "robots").is_dir():
        return checkout
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("perception_platform"))


def robot_names() -> list[str]:
    """Names of the robot files that come with the package."""
    return sorted(p.stem for p in (share_dir() / "config" / "robots").glob("*.yaml"))


def robot_path(name_or_path: str) -> Path:
    """Where the robot file of that name or path lies.

    Raises:
        InputError: if there is none.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise InputError(path, "no such robot file")
    known = robot_names()
    if name_or_path not in known:
        raise InputError(
            name_or_path, f"no such robot; there are {', '.join(known)}, or give a path to a .yaml"
        )
    return share_dir() / "config" / "robots" / f"{name_or_path}.yaml"


def load_robot(name_or_path: str) -> Robot:
    """Read and check a robot file.

    Raises:
        InputError: names the file, the field and its value.
    """
    path = robot_path(name_or_path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, " ".join(str(error).split())) from error
    try:
        return Robot.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(path, f"{first['msg']}, got {first['input']!r}"[:300] + more, where) from error
