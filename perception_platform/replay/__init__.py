"""Replay of recordings: lockstep, faster than real time, the same bytes twice; and its records."""
