"""Faults on purpose: a robot's real processes, what is done to them, and whether what they decide stays safe."""
