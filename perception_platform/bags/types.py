"""Message types without a ROS installation: Jazzy's own, ours from ``msg/``, and what a bag brings along."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from perception_platform.core.errors import InputError

OUR_PACKAGE = "perception_platform_msgs"
_IDL_SEPARATOR = "=" * 80 + "\n"


def message_dir() -> Path:
    """Folder of our ``.msg`` files: the checkout's, or the ament share folder.

    Raises:
        InputError: if the message package is not installed.
    """
    checkout = Path(__file__).resolve().parents[2] / "msg"
    if checkout.is_dir():
        return checkout
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(OUR_PACKAGE)) / "msg"
    except PackageNotFoundError as error:
        raise InputError(
            OUR_PACKAGE, "the message package is not built; run colcon build or make setup"
        ) from error


@cache
def known_types() -> Typestore:
    """Jazzy's standard types and ours; not to be changed."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(message_dir().glob("*.msg")):
        name = f"{OUR_PACKAGE}/msg/{path.stem}"
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), name))
    return store


def types_from_definition(type_name: str, definition: str, language: str) -> Typestore:
    """The types of one embedded definition: a message's and those that it contains.

    Args:
        type_name: ROS type, e.g. ``sensor_msgs/msg/Image``.
        definition: its text with those of its parts, as MCAP and rosbag2 embed it.
        language: ``msg`` or ``idl``.
    """
    if language == "msg":
        types = get_types_from_msg(definition, type_name)
    else:
        # rosbag2 puts a line "IDL: package/msg/Name" before each part.
        parts = definition.split(_IDL_SEPARATOR)
        bodies = [p.split("\n", 1)[1] if p.startswith("IDL: ") else p for p in parts if p]
        types = {name: fields for body in bodies for name, fields in get_types_from_idl(body).items()}
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


def blank(type_name: str) -> Any:
    """A message of that type with every field zero, empty or blank, for the encoders in ``messages/``.

    Raises:
        InputError: if the type is unknown.
    """
    store = known_types()
    if type_name not in store.fielddefs:
        raise InputError(type_name, "unknown message type")
    fields = store.fielddefs[type_name][1]
    return store.types[type_name](**{name: _blank_field(desc) for name, desc in fields})


def _blank_field(desc: Any) -> Any:
    kind, detail = desc
    if kind == Nodetype.NAME:
        return blank(detail)
    if kind == Nodetype.BASE:
        return _blank_scalar(detail[0])
    item, count = detail
    size = count if kind == Nodetype.ARRAY else 0
    if item[0] == Nodetype.BASE and item[1][0] not in ("string", "wstring"):
        return np.zeros(size, dtype=_numpy_name(item[1][0]))
    return [_blank_field(item) for _ in range(size)]


def _blank_scalar(name: str) -> Any:
    if name in ("string", "wstring"):
        return ""
    if name == "bool":
        return False
    return 0.0 if name.startswith("float") else 0


def _numpy_name(name: str) -> str:
    return {"bool": "bool", "byte": "uint8", "char": "uint8", "octet": "uint8"}.get(name, name)
