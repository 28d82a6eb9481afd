"""Read recordings: MCAP, rosbag2's .db3, folders of either, and ROS 1's .bag."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_platform.bags.sources import Channel, Source, open_source
from perception_platform.bags.types import known_types, types_from_definition
from perception_platform.core.errors import InputError

Decoder = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class BagMessage:
    """One message of a bag: its topic, ROS type, time of recording (ns) and content."""

    topic: str
    type: str
    log_ns: int
    message: Any


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic of a bag: ROS type, number of messages, and why they cannot be read (empty if they can)."""

    topic: str
    type: str
    count: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BagInfo:
    """What a bag holds; ``start_ns`` and ``end_ns`` are None when it is empty."""

    path: str
    topics: tuple[TopicInfo, ...]
    start_ns: int | None
    end_ns: int | None

    @property
    def count(self) -> int:
        """Number of messages."""
        return sum(t.count for t in self.topics)


def read_messages(
    path: str | Path, topics: Collection[str] | None = None, skipped: Counter[str] | None = None
) -> Iterator[BagMessage]:
    """The messages of a bag in the order of recording.

    Args:
        path: an .mcap, .db3 or .bag file, or a rosbag2 folder.
        topics: the topics to read; all without it.
        skipped: counts, by ``topic: reason``, of messages that could not be decoded and were left out.

    Raises:
        InputError: if there is no such bag, or it is truncated or damaged; names the file and what was readable.
    """
    skipped = Counter() if skipped is None else skipped
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(file)) for file in bag_files(Path(path))]
        streams = [_decoded(source, topics, skipped) for source in sources]
        yield from heapq.merge(*streams, key=lambda m: m.log_ns)


def bag_info(path: str | Path) -> BagInfo:
    """What a bag holds.

    Raises:
        InputError: as for read_messages.
    """
    counts: Counter[tuple[str, str]] = Counter()
    problems: dict[tuple[str, str], str] = {}
    spans: list[tuple[int, int]] = []
    for file in bag_files(Path(path)):
        with open_source(file) as source:
            for channel in source.channels:
                key = (channel.topic, channel.type)
                counts[key] += channel.count
                problems[key] = _decoder(channel)[1]
            if source.span_ns is not None:
                spans.append(source.span_ns)
    infos = tuple(TopicInfo(t, kind, n, problems[t, kind]) for (t, kind), n in sorted(counts.items()))
    start_ns = min((s[0] for s in spans), default=None)
    return BagInfo(str(path), infos, start_ns, max((s[1] for s in spans), default=None))


def span_ns(bag: Path) -> tuple[int, int]:
    """Log times of the first and last message of a bag, ns.

    Raises:
        InputError: if it cannot be read or is empty.
    """
    info = bag_info(bag)
    if info.start_ns is None or info.end_ns is None:
        raise InputError(bag, "no messages in it")
    return info.start_ns, info.end_ns


def bag_files(path: Path) -> list[Path]:
    """The files of a bag in their order: itself, or those of a rosbag2 folder.

    Raises:
        InputError: if there are none or they are of no known kind.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(path, "no such bag")
    files = [p for p in path.iterdir() if p.suffix in (".mcap", ".db3")]
    if not files:
        packed = next((p.name for p in path.iterdir() if p.name.endswith((".mcap.zstd", ".db3.zstd"))), None)
        hint = (
            f"{packed} is compressed as a whole: unpack it with zstd -d"
            if packed
            else "no .mcap or .db3 in it"
        )
        raise InputError(path, hint)
    return sorted(files, key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", p.name)])


def _decoded(source: Source, topics: Collection[str] | None, skipped: Counter[str]) -> Iterator[BagMessage]:
    decoders: dict[Channel, tuple[Decoder | None, str]] = {}
    for channel, log_ns, data in source.messages(topics):
        if channel not in decoders:
            decoders[channel] = _decoder(channel)
        decode, problem = decoders[channel]
        if decode is None:
            skipped[f"{channel.topic}: {problem}"] += 1
            continue
        try:
            message = decode(data)
        except Exception:  # whatever the wrong bytes provoke in the generated decoder
            why = (
                "malformed message"
                if channel.definition
                else f"not Jazzy's {channel.type}, and no definition in the bag"
            )
            skipped[f"{channel.topic}: {why}"] += 1
            continue
        yield BagMessage(channel.topic, channel.type, log_ns, message)


def _decoder(channel: Channel) -> tuple[Decoder | None, str]:
    """How to decode a channel's messages, or None and why it can't be done."""
    if channel.encoding not in ("cdr", "ros1"):
        return None, f"encoding {channel.encoding!r} is not understood"
    try:
        if channel.definition:
            store = types_from_definition(channel.type, channel.definition, channel.language)
        else:
            store = known_types()
        store.get_msgdef(channel.type)
    except KeyError:
        return None, f"unknown type {channel.type}"
    except Exception:  # the definition's parser raises many kinds
        return None, f"definition of {channel.type} is not understood"
    if channel.encoding == "ros1":
        return lambda data: store.deserialize_ros1(data, channel.type), ""
    return lambda data: store.deserialize_cdr(data, channel.type), ""
