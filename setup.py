"""What pyproject.toml can't say: the files that ROS 2 looks for in share/.

colcon calls this file (ament_python); pip reads the rest from pyproject.toml.
"""

from pathlib import Path

from setuptools import setup

PACKAGE = "perception_platform"
SHARE = Path("share") / PACKAGE


def shared_files(folder: str, pattern: str = "*") -> list[tuple[str, list[str]]]:
    """(target folder, files) for each folder under `folder`, so that its tree is kept in share/."""
    by_parent: dict[Path, list[str]] = {}
    for path in sorted(Path(folder).rglob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            by_parent.setdefault(path.parent, []).append(str(path))
    return [(str(SHARE / parent), files) for parent, files in by_parent.items()]


setup(
    name=PACKAGE,
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml"]),
        *shared_files("launch", "*.launch.py"),
        *shared_files("config"),
        *shared_files("rosbags"),
    ],
)
