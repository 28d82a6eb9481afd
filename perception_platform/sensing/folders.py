"""A folder of files, one an image or a sweep, played in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from perception_platform.core.errors import InputError
from perception_platform.core.time import NS_PER_S, from_s
from perception_platform.sensing.clock import Clock, Pacer
from perception_platform.sensing.source import EndOfData, Reading, SourceLost

T = TypeVar("T")
TIMES_FILE = "timestamps.txt"


def read_times_ns(path: Path) -> list[int]:
    """Times of a KITTI ``timestamps.txt``: a line ``2011-09-26 13:02:25.594360375`` an item; ns since the epoch.

    Raises:
        InputError: names the line that is no time, or that is not later than the one before.
    """
    times_ns: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            t_ns = _time_ns(line.strip())
        except ValueError as error:
            raise InputError(path, f"not a time: {line.strip()[:60]!r}", f"line {number}") from error
        if times_ns and t_ns <= times_ns[-1]:
            raise InputError(path, f"not later than the time before: {line.strip()!r}", f"line {number}")
        times_ns.append(t_ns)
    return times_ns


def _time_ns(text: str) -> int:
    # datetime keeps microseconds; the files have nanoseconds.
    seconds, _, fraction = text.partition(".")
    if not (fraction or "0").isdecimal():
        raise ValueError(text)
    moment = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS_PER_S + int(fraction[:9].ljust(9, "0"))


class FolderSource(Generic[T]):
    """Plays a folder: at the pace of ``timestamps.txt`` in it or beside it, or else at a steady rate.

    Args:
        folder: where the files are.
        suffixes: endings of the files to take, lower case, with the dot.
        rate_hz: pace where there is no ``timestamps.txt``.
        loop: whether to begin again after the last file.
        clock: paces and stamps.
        load: makes an image or sweep of a file and its stamp; raises InputError for a malformed file.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Sequence[str],
        rate_hz: float,
        loop: bool,
        clock: Clock,
        load: Callable[[Path, int], T],
    ) -> None:
        self._folder = folder
        self._suffixes = tuple(suffixes)
        self._period_ns = from_s(1.0 / rate_hz)
        self._loop = loop
        self._clock = clock
        self._load = load
        self._files: list[Path] = []
        self._offsets_ns: list[int] = []

    def open(self) -> None:
        """List the files.

        Raises:
            SourceLost: if there is no such folder.
            InputError: if it has no such files, or its ``timestamps.txt`` is malformed.
        """
        if not self._folder.is_dir():
            raise SourceLost(f"{self._folder}: no such folder")
        self._files = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in self._suffixes)
        if not self._files:
            raise InputError(self._folder, f"holds no file that ends in {', '.join(self._suffixes)}")
        self._offsets_ns = self._read_offsets_ns()
        self._index, self._passed_ns = 0, 0
        self._pacer = Pacer(self._clock)

    def read(self) -> Reading[T]:
        """The next file, when it is due; its stamp is the time at which it was due.

        Raises:
            EndOfData: after the last one, without ``loop``.
            SourceLost: if the file is gone.
            InputError: if it is malformed.
        """
        if self._index == len(self._files):
            self._begin_again()
        file = self._files[self._index]
        t_ns = self._pacer.wait_until(self._passed_ns + self._offsets_ns[self._index])
        self._index += 1
        if not file.is_file():
            raise SourceLost(f"{file}: gone")
        return Reading(self._load(file, t_ns))

    def close(self) -> None:
        """Forget the files."""
        self._files = []

    def _begin_again(self) -> None:
        if not self._loop:
            raise EndOfData(f"{self._folder}: all of it was played")
        self._index = 0
        self._passed_ns += self._offsets_ns[-1] + self._period_ns

    def _read_offsets_ns(self) -> list[int]:
        for place in (self._folder, self._folder.parent):
            path = place / TIMES_FILE
            if path.is_file():
                times_ns = read_times_ns(path)
                if len(times_ns) != len(self._files):
                    raise InputError(path, f"has {len(times_ns)} times for {len(self._files)} files")
                return [t_ns - times_ns[0] for t_ns in times_ns]
        return [i * self._period_ns for i in range(len(self._files))]
