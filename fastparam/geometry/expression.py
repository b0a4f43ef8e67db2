"""Arithmetic in a geometry.yaml, such as ``2*pi/1024``: numbers, pi, + - * / ** and brackets, nothing else."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable

__all__ = ["evaluate"]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # of floats only: a power of integers could take for ever
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}


def evaluate(text: str) -> float:
    """Return the value of an arithmetic expression.

    Raises
    ------
    ValueError
        If it is not arithmetic, or not a finite number.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "1if": refused below like all that is not arithmetic
            value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} cannot be evaluated") from error
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id="pi"):
            return math.pi
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_value(operand))
    raise ValueError(f"{ast.unparse(node)!r} is not arithmetic")
