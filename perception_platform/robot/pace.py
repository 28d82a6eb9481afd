"""How fast a recording may be played to the live nodes."""

from __future__ import annotations

# The gate judges how fresh its inputs are by a clock that no recording sets. Played slower than this, a lidar at
# 10 Hz comes close to going stale; faster, the nodes' own delays count for too much of the recording's time.
SLOWEST_RATE, FASTEST_RATE = 0.5, 2.0
