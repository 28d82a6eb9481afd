"""From sensor to stop: the safety-perception stack for robots that work near people."""

__version__ = "0.1.0"
