"""Arithmetic in scenario files: ``"8 + gap_m / 2"`` over the parameters of a family, and nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
}


def names_in(text: str) -> set[str]:
    """Names of the parameters that an expression uses.

    Raises:
        ValueError: if it is no arithmetic expression.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"not an expression: {text!r}") from error
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(_FUNCTIONS)


def evaluate(text: str, values: Mapping[str, float]) -> float:
    """Its value.

    Raises:
        ValueError: names what is not arithmetic, what is unknown, or a value that is not finite.
    """
    try:
        value = float(_value(ast.parse(text, mode="eval").body, values))
    except (SyntaxError, ZeroDivisionError, OverflowError, TypeError) as error:
        raise ValueError(f"cannot evaluate {text!r}: {error}") from error
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is {value}")
    return value


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(arg, values) for arg in args))
    known = ", ".join(sorted(values)) or "none"
    raise ValueError(f"{ast.unparse(node)!r} is no arithmetic over the parameters ({known})")
