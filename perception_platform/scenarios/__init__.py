"""Scenarios: families of dangerous and harmless situations, driven in a closed loop by the stack and by what it is
compared with, and searched for failures. docs/scenarios.md says what is simulated and what is simplified.
"""
