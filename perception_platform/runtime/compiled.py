"""How loops are compiled: the one place with numba's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(signature: Any, finite: bool = True) -> Callable[[F], F]:
    """Compile a loop for one signature when its module is imported, so that no sweep ever waits for a compiler.

    Sums keep their order (no fast-math reassociation), so that replay gives the same bytes on every machine.

    Args:
        signature: numba's signature, as text or, for arrays of records, as an object; arrays may be written to.
        finite: whether the loop never sees a NaN, which makes minima fast.
    """

    def decorate(function: F) -> F:
        options: dict[str, Any] = {"fastmath": {"nnan", "nsz"} if finite else False, "error_model": "numpy"}
        try:
            fast: F = numba.njit(signature, cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's is writable: compile each time
            fast = numba.njit(signature, **options)(function)
        return fast

    return decorate
