"""The gate: freshness, limits, faults, state. Standard library and core only; the default is a stop."""
