"""Arithmetic in a geometry.yaml, and nothing but arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastparam.geometry.expression import evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2*pi/1024", 2 * math.pi / 1024),
        ("1e-3", 1e-3),
        (" -(1 + 2) * 3 ", -9.0),
        ("2**-2", 0.25),
        ("1500 + 92/2", 1546.0),
    ],
)
def test_arithmetic_has_its_value(text, value):
    assert evaluate(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two",
        "pi()",
        "__import__('os')",
        "[1]",
        "1 if 1 else 2",
        "True",
        "'a'*3",
        "1/0",
        "9.0**9.0**9.0",
        "1e999",
        "1+",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"evaluated|arithmetic|finite"):
        evaluate(text)


def test_deep_nesting_is_refused_not_crashed_on():
    with pytest.raises(ValueError, match="evaluated"):
        evaluate("(" * 5000 + "1" + ")" * 5000)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_itself(value):
    assert evaluate(repr(value)) == value
