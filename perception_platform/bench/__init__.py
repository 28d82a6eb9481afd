"""Benches of whole stacks: real processes on this machine, measured or disturbed."""
