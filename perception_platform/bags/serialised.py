"""Messages of a bag as they are stored, for those who pass them on undecoded."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from perception_platform.bags.reader import bag_files
from perception_platform.bags.sources import Source, open_source


@dataclass(frozen=True, slots=True)
class Serialised:
    """One message: topic, time of recording (ns), how it is encoded (``cdr``, ``ros1``) and its bytes."""

    topic: str
    log_ns: int
    encoding: str
    data: bytes


def read_serialised(path: str | Path, topics: Collection[str] | None = None) -> Iterator[Serialised]:
    """The messages of a bag in the order of recording, undecoded.

    Args:
        path: an .mcap, .db3 or .bag file, or a rosbag2 folder.
        topics: the topics to read; all without it.

    Raises:
        InputError: if there is no such bag, or it is truncated or damaged; names the file and what was readable.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(file)) for file in bag_files(Path(path))]
        yield from heapq.merge(*(_messages(source, topics) for source in sources), key=lambda m: m.log_ns)


def _messages(source: Source, topics: Collection[str] | None) -> Iterator[Serialised]:
    for channel, log_ns, data in source.messages(topics):
        yield Serialised(channel.topic, log_ns, channel.encoding, data)
