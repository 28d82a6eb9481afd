"""The files that bags are made of, each as channels and raw messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from mcap.reader import SeekingReader
from mcap.records import Channel as McapChannel
from mcap.records import Message as McapMessage
from mcap.records import Schema as McapSchema
from mcap.stream_reader import StreamReader
from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.rosbag2 import Reader as Rosbag2Reader

from perception_platform.core.errors import InputError

_MCAP_MAGIC = b"\x89MCAP0\r\n"
RawMessage = tuple["Channel", int, bytes]
_LANGUAGES = {"ros2msg": "msg", "ros2idl": "idl", "ros1msg": "msg"}


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic with one type in one file.

    Attributes:
        topic: its name.
        type: ROS type, e.g. ``sensor_msgs/msg/Image``.
        encoding: ``cdr``, ``ros1`` or what the file says.
        definition: the embedded definition, empty without one.
        language: ``msg`` or ``idl``.
        count: number of messages.
    """

    topic: str
    type: str
    encoding: str
    definition: str
    language: str
    count: int


class Source(Protocol):
    """An open file of a bag."""

    channels: list[Channel]
    span_ns: tuple[int, int] | None

    def messages(self, topics: Collection[str] | None) -> Iterator[RawMessage]:
        """Channel, time of recording (ns) and bytes of each message, in that time's order."""


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open one file by its kind.

    Raises:
        InputError: if it is of no known kind, empty, truncated or damaged.
    """
    if path.suffix == ".mcap":
        with path.open("rb") as stream:
            yield McapSource(path, stream)
        return
    if path.suffix not in (".db3", ".bag"):
        raise InputError(path, "not a bag: .mcap, .db3, .bag or a rosbag2 folder is")
    reader = Rosbag2Reader if path.suffix == ".db3" else Rosbag1Reader
    try:
        opened = reader(path)
        opened.open()
    except Exception as error:  # sqlite, struct and the library's own errors
        raise InputError(path, f"cannot be read: {_one_line(error)}") from error
    try:
        yield RosbagSource(path, opened)
    finally:
        opened.close()


class McapSource:
    """An MCAP file, read through its index."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        try:
            self._reader = SeekingReader(stream, validate_crcs=True)
            summary = self._reader.get_summary()
        except Exception as error:  # struct and decompression errors besides the library's own
            raise self._damaged(error) from error
        if summary is not None and summary.statistics is not None:
            statistics = summary.statistics
            counts = statistics.channel_message_counts
            self._channels = {
                i: _channel(summary.schemas.get(c.schema_id), c, counts.get(i, 0))
                for i, c in summary.channels.items()
            }
            span = (statistics.message_start_time, statistics.message_end_time)
            self.span_ns = span if statistics.message_count else None
        else:
            self._channels, self.span_ns = self._scan()
        self.channels = list(self._channels.values())

    def messages(self, topics: Collection[str] | None) -> Iterator[RawMessage]:
        """Raw messages in the order of recording."""
        try:
            for _, channel, message in self._reader.iter_messages(topics):
                yield self._channels[channel.id], message.log_time, message.data
        except Exception as error:
            raise self._damaged(error) from error

    def _scan(self) -> tuple[dict[int, Channel], tuple[int, int] | None]:
        """Channels and time span of a file without statistics."""
        seen: dict[int, tuple[McapSchema | None, McapChannel]] = {}
        times_ns: list[int] = []
        counts: dict[int, int] = {}
        try:
            for schema, channel, message in self._reader.iter_messages():
                seen[channel.id] = (schema, channel)
                counts[channel.id] = counts.get(channel.id, 0) + 1
                times_ns.append(message.log_time)
        except Exception as error:
            raise self._damaged(error) from error
        channels = {i: _channel(schema, c, counts[i]) for i, (schema, c) in seen.items()}
        return channels, (min(times_ns), max(times_ns)) if times_ns else None

    def _damaged(self, error: Exception) -> InputError:
        """What is wrong with the file, and how much of it is good."""
        size = self._path.stat().st_size
        if size == 0:
            return InputError(self._path, "empty file")
        if self._mark_at(0) != _MCAP_MAGIC:
            return InputError(self._path, "not an MCAP file", "first 8 bytes")
        cut = self._mark_at(max(0, size - len(_MCAP_MAGIC))) != _MCAP_MAGIC
        problem = "truncated: the end mark is missing" if cut else f"damaged ({_one_line(error)})"
        good = self._readable()
        hint = "; `mcap recover` saves them" if good else ""
        return InputError(self._path, f"{problem}; {good} messages are readable{hint}", f"{size} bytes")

    def _mark_at(self, position: int) -> bytes:
        self._stream.seek(position)
        return self._stream.read(len(_MCAP_MAGIC))

    def _readable(self) -> int:
        """Messages before the damage."""
        self._stream.seek(0)
        good = 0
        try:
            for record in StreamReader(self._stream, validate_crcs=True).records:
                good += isinstance(record, McapMessage)
        except Exception:  # the damage itself
            return good
        return good


class RosbagSource:
    """A .db3 or a ROS 1 .bag, read by the rosbags library."""

    def __init__(self, path: Path, reader: Any) -> None:
        self._path = path
        self._reader = reader
        encoding = "ros1" if path.suffix == ".bag" else ""
        self._channels = {c.id: _rosbag_channel(c, encoding) for c in reader.connections}
        self.channels = list(self._channels.values())
        empty = reader.message_count == 0
        self.span_ns = None if empty else (reader.start_time, reader.end_time - 1)

    def messages(self, topics: Collection[str] | None) -> Iterator[RawMessage]:
        """Raw messages in the order of recording."""
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        try:
            for connection, log_ns, data in self._reader.messages(connections=wanted):
                yield self._channels[connection.id], log_ns, data
        except Exception as error:
            raise InputError(self._path, f"truncated or damaged: {_one_line(error)}") from error


def _channel(schema: McapSchema | None, channel: McapChannel, count: int) -> Channel:
    return Channel(
        channel.topic,
        schema.name if schema else "",
        channel.message_encoding,
        schema.data.decode("utf-8", "replace") if schema else "",
        _LANGUAGES.get(schema.encoding, schema.encoding) if schema else "",
        count,
    )


def _rosbag_channel(connection: Any, encoding: str) -> Channel:
    return Channel(
        connection.topic,
        connection.msgtype,
        encoding or connection.ext.serialization_format,
        connection.msgdef.data,
        connection.msgdef.format.name.lower(),
        connection.msgcount,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
