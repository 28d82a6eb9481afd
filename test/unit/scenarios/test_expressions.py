"""Arithmetic in scenario files, and nothing else."""

import pytest

from perception_platform.scenarios.expressions import evaluate, names_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + gap / 2", 3.5),
        ("-gap", -3.0),
        ("max(0, gap - 5) + sqrt(4)", 2.0),
        ("gap ** 2", 9.0),
        ("1e-3", 0.001),
    ],
)
def test_it_computes(text, value):
    assert evaluate(text, {"gap": 3.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "gap.real",
        "gap if gap else 1",
        "[1][0]",
        "nothing",
        "1 / 0",
        "'a'",
        "(lambda: 1)()",
        "True",
    ],
)
def test_it_computes_nothing_else(text):
    with pytest.raises(ValueError, match=r"."):
        evaluate(text, {"gap": 3.0})


def test_it_says_which_names_it_uses():
    assert names_in("max(a, 2 * b) - 1") == {"a", "b"}
    with pytest.raises(ValueError, match="not an expression"):
        names_in("a +")
