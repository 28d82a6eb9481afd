"""Write MCAP bags that ``ros2 bag play`` and Foxglove open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from mcap.writer import CompressionType, Writer

from perception_platform.bags.types import blank, known_types
from perception_platform.core.errors import InputError

# Values of rmw's enums. rosbag2 reads numbers in every version, names only since Jazzy.
_KEEP_LAST, _RELIABLE, _TRANSIENT_LOCAL, _VOLATILE, _AUTOMATIC = 1, 1, 1, 2, 1
_FOREVER = {"sec": 9223372036, "nsec": 854775807}
# Late subscribers need what was sent once.
_LATCHED_TOPICS = ("/tf_static",)


class BagWriter:
    """An MCAP file in the making: profile ``ros2``, embedded definitions, zstd chunks, the same bytes every time.

    Used as a context manager. The file appears under its name when it is complete; an error leaves none.

    Raises:
        InputError: if the folder does not exist or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(self.path.name + ".part")
        try:
            self._stream = self._part.open("wb")
        except OSError as error:
            raise InputError(self.path, f"cannot be written: {error.strerror}") from error
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="perception_platform")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, tuple[int, str]] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stream.close()
            self._part.unlink()
            return
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._stream.close()
        self._part.replace(self.path)

    def make(self, type_name: str) -> Any:
        """A blank message to fill, of a ROS type such as ``sensor_msgs/msg/Image``.

        Raises:
            InputError: if the type is unknown.
        """
        return blank(type_name)

    def write(self, topic: str, type_name: str, log_ns: int, message: Any) -> None:
        """Append a message made by ``make``.

        Raises:
            InputError: if the type is unknown or the topic has another one, or if a value does not fit its field.
        """
        channel_id = self._channel(topic, type_name)
        try:
            data = bytes(known_types().serialize_cdr(message, type_name))
        except Exception as error:  # the serialiser raises whatever the wrong value provokes
            raise InputError(topic, f"not a valid {type_name}: {error}") from error
        sequence = self._counts.get(topic, 0)
        self._counts[topic] = sequence + 1
        self._writer.add_message(channel_id, log_ns, data, publish_time=log_ns, sequence=sequence)

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Add a record about the recording, e.g. how it was made."""
        self._writer.add_metadata(name, dict(values))

    def _channel(self, topic: str, type_name: str) -> int:
        if topic in self._channels:
            channel_id, known = self._channels[topic]
            if known != type_name:
                raise InputError(topic, f"has type {known}, got a {type_name}")
            return channel_id
        channel_id = self._writer.register_channel(
            topic,
            "cdr",
            self._schema(type_name),
            {
                "offered_qos_profiles": _qos(latched=topic in _LATCHED_TOPICS),
                "topic_type_hash": known_types().hash_rihs01(type_name),
            },
        )
        self._channels[topic] = (channel_id, type_name)
        return channel_id

    def _schema(self, type_name: str) -> int:
        if type_name not in self._schemas:
            if type_name not in known_types().fielddefs:
                raise InputError(type_name, "unknown message type")
            definition = known_types().generate_msgdef(type_name, ros_version=2)[0]
            self._schemas[type_name] = self._writer.register_schema(type_name, "ros2msg", definition.encode())
        return self._schemas[type_name]


def _qos(latched: bool) -> str:
    """A topic's quality of service as rosbag2 writes it, for ``ros2 bag play`` to offer."""
    profile = {
        "history": _KEEP_LAST,
        "depth": 10,
        "reliability": _RELIABLE,
        "durability": _TRANSIENT_LOCAL if latched else _VOLATILE,
        "deadline": _FOREVER,
        "lifespan": _FOREVER,
        "liveliness": _AUTOMATIC,
        "liveliness_lease_duration": _FOREVER,
        "avoid_ros_namespace_conventions": False,
    }
    return yaml.dump([profile], Dumper=_NoAliases, sort_keys=False)


class _NoAliases(yaml.SafeDumper):
    """Writes a value that occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
