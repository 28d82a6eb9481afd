"""How far a sensor can be trusted, judged by what it delivers and when."""

from __future__ import annotations

import math
from collections import deque

from perception_platform.core.sensor_data import Image, PointCloud, SensorHealth, SensorProblem, SensorStatus
from perception_platform.core.time import from_s, to_s
from perception_platform.robot.sensors import Camera, Lidar, Scan
from perception_platform.sensing.image_checks import ImageChecks
from perception_platform.sensing.sectors import SectorWatch
from perception_platform.sensing.windows import WindowWatch

# Rates and losses are judged over this long: counted events older than that no longer count as a problem.
WINDOW_S = 3.0
LOWEST_RATE_SHARE = 0.8
# Data is stale after so many periods, but not before the time a loaded machine may take.
STALE_PERIODS, STALE_AT_LEAST_S = 3.0, 0.3
# A single lost packet or frame is counted, but it is no reason to slow down.
DROPPED_FRAMES_SHARE = 0.1
DROPPED_PACKETS_PER_FRAME = 1.0

# With these the data is missing or lies; the rest means less of it, or worse.
FATAL = frozenset(
    {
        SensorProblem.NO_DATA,
        SensorProblem.STALE,
        SensorProblem.FUTURE_STAMP,
        SensorProblem.BACKWARDS_STAMP,
        SensorProblem.FROZEN_IMAGE,
    }
)


class HealthMonitor:
    """Watches one sensor. Pure: every call brings the time now, ns, of the clock that stamps the sensor.

    Args:
        sensor: its entry in the robot file.
        future_tolerance_s: how far a stamp may lie ahead of that clock.
    """

    def __init__(self, sensor: Camera | Lidar | Scan, future_tolerance_s: float) -> None:
        self._name = sensor.name
        self._period_s = 1.0 / sensor.rate_hz
        self._rate_hz = sensor.rate_hz
        self._future_ns = from_s(future_tolerance_s)
        self._images = ImageChecks()
        self._sectors = None if isinstance(sensor, Camera) else SectorWatch(sensor.range_m)
        self._window = WindowWatch(sensor.range_m, sensor.rate_hz) if isinstance(sensor, Lidar) else None
        self._arrivals_ns: deque[int] = deque()
        self._events: deque[tuple[int, SensorProblem, int]] = deque()
        self._first_ns: int | None = None
        self._newest_ns: int | None = None
        self._received = self._frames_dropped = self._packets_dropped = self._malformed = 0
        self._note = ""
        self._lost_because = ""

    def observe_image(self, image: Image, now_ns: int) -> None:
        """An image arrived."""
        if self._arrived(image.t_ns, now_ns):
            self._images.observe(image)

    def observe_cloud(self, cloud: PointCloud, now_ns: int) -> None:
        """A sweep or scan arrived."""
        if self._arrived(cloud.t_ns, now_ns) and self._sectors is not None:
            self._sectors.observe(cloud)
            if self._window is not None:
                self._window.observe(cloud)

    def packets_lost(self, count: int, now_ns: int) -> None:
        """Packets were found missing."""
        self._packets_dropped += count
        self._events.append((now_ns, SensorProblem.DROPPED_PACKETS, count))

    def malformed(self, count: int, note: str, now_ns: int) -> None:
        """Data was refused, for the reason in ``note``."""
        self._malformed += count
        self._note = note
        self._events.append((now_ns, SensorProblem.MALFORMED, count))

    def lost(self, reason: str) -> None:
        """The device or stream is gone, which is known before its data is missed."""
        self._lost_because = reason

    def report(self, now_ns: int) -> SensorHealth:
        """The state at this moment."""
        self._forget(now_ns)
        problems = tuple(sorted(self._problems(now_ns)))
        blind = self._sectors.blind() if self._sectors is not None else ()
        return SensorHealth(
            t_ns=now_ns,
            sensor=self._name,
            status=self._status(problems, blind),
            problems=problems,
            rate_hz=self._measured_rate_hz(now_ns),
            age_s=self._age_s(now_ns),
            frames_received=self._received,
            frames_dropped=self._frames_dropped,
            packets_dropped=self._packets_dropped,
            malformed=self._malformed,
            blind_sectors_rad=blind,
            text=self._text(problems),
        )

    def _arrived(self, t_ns: int, now_ns: int) -> bool:
        """Count an arrival; False if its stamp cannot be right, so that its content counts for nothing."""
        self._received += 1
        if t_ns > now_ns + self._future_ns:
            self._events.append((now_ns, SensorProblem.FUTURE_STAMP, 1))
            return False
        if self._newest_ns is not None and t_ns <= self._newest_ns:
            self._events.append((now_ns, SensorProblem.BACKWARDS_STAMP, 1))
            # Once the clock was set back, what follows is in order again.
            self._newest_ns = t_ns
            return False
        self._count_dropped(t_ns, now_ns)
        self._newest_ns = t_ns
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        self._arrivals_ns.append(now_ns)
        self._lost_because = ""
        return True

    def _count_dropped(self, t_ns: int, now_ns: int) -> None:
        if self._newest_ns is None:
            return
        missing = round(to_s(t_ns - self._newest_ns) / self._period_s) - 1
        if missing > 0:
            self._frames_dropped += missing
            self._events.append((now_ns, SensorProblem.DROPPED_FRAMES, missing))

    def _forget(self, now_ns: int) -> None:
        """Drop what is older than the window, and what lies ahead because the clock was set back."""
        oldest_ns = now_ns - from_s(WINDOW_S)
        while self._arrivals_ns and not oldest_ns <= self._arrivals_ns[0] <= now_ns:
            self._arrivals_ns.popleft()
        while self._events and not oldest_ns <= self._events[0][0] <= now_ns:
            self._events.popleft()
        if self._first_ns is not None:
            self._first_ns = min(self._first_ns, now_ns)

    def _measured_rate_hz(self, now_ns: int) -> float:
        span_s = 0.0 if self._first_ns is None else to_s(now_ns - self._first_ns)
        if span_s >= WINDOW_S:
            return len(self._arrivals_ns) / WINDOW_S
        # The first arrival opens the span.
        return max(0, len(self._arrivals_ns) - 1) / span_s if span_s > 0 else 0.0

    def _age_s(self, now_ns: int) -> float:
        return math.inf if self._newest_ns is None else to_s(max(0, now_ns - self._newest_ns))

    def _problems(self, now_ns: int) -> set[SensorProblem]:
        if self._lost_because or self._newest_ns is None:
            return {SensorProblem.NO_DATA} | self._recent_problems()
        found = self._recent_problems() | self._images.problems
        if self._age_s(now_ns) > max(STALE_AT_LEAST_S, STALE_PERIODS * self._period_s):
            found.add(SensorProblem.STALE)
        if self._newest_ns > now_ns + self._future_ns:  # the clock was set back, and nothing came since
            found.add(SensorProblem.FUTURE_STAMP)
        if self._is_slow(now_ns):
            found.add(SensorProblem.LOW_RATE)
        if self._sectors is not None and self._sectors.blind():
            found.add(SensorProblem.SECTOR_BLIND)
        if self._window is not None and self._window.dirty():
            found.add(SensorProblem.DIRTY_WINDOW)
        return found

    def _is_slow(self, now_ns: int) -> bool:
        seen_long_enough = self._first_ns is not None and to_s(now_ns - self._first_ns) >= WINDOW_S
        return seen_long_enough and self._measured_rate_hz(now_ns) < LOWEST_RATE_SHARE * self._rate_hz

    def _recent_problems(self) -> set[SensorProblem]:
        counts: dict[SensorProblem, int] = {}
        for _, problem, count in self._events:
            counts[problem] = counts.get(problem, 0) + count
        allowed = {
            SensorProblem.DROPPED_FRAMES: DROPPED_FRAMES_SHARE * WINDOW_S * self._rate_hz,
            SensorProblem.DROPPED_PACKETS: DROPPED_PACKETS_PER_FRAME * max(1, len(self._arrivals_ns)),
        }
        return {problem for problem, count in counts.items() if count > allowed.get(problem, 0)}

    @staticmethod
    def _status(problems: tuple[SensorProblem, ...], blind: tuple[tuple[float, float], ...]) -> SensorStatus:
        blind_rad = sum(end - start for start, end in blind)
        if FATAL.intersection(problems) or blind_rad > 2 * math.pi - 1e-6:
            return SensorStatus.FAILED
        return SensorStatus.DEGRADED if problems else SensorStatus.OK

    def _text(self, problems: tuple[SensorProblem, ...]) -> str:
        parts = [problem.name.lower().replace("_", " ") for problem in problems]
        if self._lost_because:
            parts.append(self._lost_because)
        if SensorProblem.DIRTY_WINDOW in problems and self._window is not None:
            parts.append(", ".join(f"{start:.0f} to {end:.0f} deg" for start, end in self._window.dirty()))
        if SensorProblem.MALFORMED in problems and self._note:
            parts.append(self._note)
        return "; ".join(parts) or "ok"
