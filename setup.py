"""What colcon reads of this package; the rest, dependencies above all, is in pyproject.toml.

`colcon build --symlink-install` runs this file in a folder without pyproject.toml, so all that makes the package
work on a robot is here: its modules, its executables, and the files that ROS 2 looks for in share/.
"""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "perception_platform"
SHARE = Path("share") / PACKAGE
NODES = (
    *("camera_driver", "lidar_driver", "perception", "tracker", "risk", "safety_gate"),
    *("container", "telemetry", "bag_player"),
)


def shared_files(folder: str, pattern: str = "*") -> list[tuple[str, list[str]]]:
    """(target folder, files) for each folder under `folder`, so that its tree is kept in share/."""
    by_parent: dict[Path, list[str]] = {}
    for path in sorted(Path(folder).rglob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            by_parent.setdefault(path.parent, []).append(str(path))
    return [(str(SHARE / parent), files) for parent, files in by_parent.items()]


setup(
    name=PACKAGE,
    version="0.1.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={f"{PACKAGE}.evaluation.evidence": ["*.js"]},
    entry_points={
        "console_scripts": [
            "perception-platform = perception_platform.cli.main:main",
            *(f"{node} = perception_platform.nodes.{node}:main" for node in NODES),
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (str(SHARE), ["package.xml"]),
        *shared_files("launch", "*.launch.py"),
        *shared_files("config"),
        *shared_files("rosbags"),
    ],
)
