"""The one error for bad input: it names the source, the place in it and what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input from outside: a file, a message, a parameter.

    Args:
        source: what was read, e.g. a path or a topic name.
        problem: what is wrong, with the offending value.
        where: the field, line or byte inside the source, if known.
    """

    def __init__(self, source: object, problem: str, where: str | None = None) -> None:
        self.source = str(source)
        self.problem = problem
        self.where = where
        super().__init__(": ".join(part for part in (self.source, where, problem) if part))


class FrameError(InputError):
    """A message in a frame that nothing leads to: where its data belongs is unknown."""
