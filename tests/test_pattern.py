"""A pattern of digits means what the same regular expression means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import pattern
from digits.pattern import Pattern

ITEMS = st.sampled_from(["7", r"\d", "[0-9]", "[135]", "[2-46]", "[0-13-4]"])
TIMES = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}"])
PATTERNS = st.lists(st.builds("{}{}".format, ITEMS, TIMES), min_size=1, max_size=5).map("".join)


def spelt_out(parsed: Pattern) -> str:
    """Return a regular expression with an item for each step."""
    times = {(False, False): "", (True, False): "?", (True, True): "*", (False, True): "+"}
    return "".join(f"[{''.join(map(str, step.digits))}]{times[step.optional, step.repeats]}" for step in parsed.steps)


@given(PATTERNS, st.lists(st.text("0123456789", max_size=8), min_size=20, max_size=20))
def test_a_pattern_fits_what_the_regular_expression_matches(text: str, numbers: list[str]) -> None:
    parsed = pattern.parse(text)
    for number in ["", *numbers]:
        assert bool(re.fullmatch(spelt_out(parsed), number)) == bool(re.fullmatch(text, number))
    assert parsed.fits_nothing == bool(re.fullmatch(text, ""))


def test_a_length_is_a_pattern() -> None:
    assert pattern.of_length(5) == pattern.parse("[0-9]{5}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "[0-9",
        "[]",
        "[-]",
        "[^1]",
        "(1|2)",
        ".",
        "1{}",
        "{2}",
        "1{3,2}",
        "1{0}",
        "1{99}",
        r"\w",
        "[0-9]++",
        "١",
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r".{15}"):
        pattern.parse(text)


def test_a_pattern_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        pattern.parse("[0-9]{999}" * 100)


def test_the_text_of_a_pattern_is_bounded_too_and_any_class_for_each_digit_fits_in() -> None:
    assert len(pattern.parse("[0123456789]{1}" * pattern.MOST_STEPS).steps) == pattern.MOST_STEPS
    longest = "[" + "0" * (pattern.LONGEST - 2) + "]"
    assert pattern.parse(longest) == pattern.parse("0")
    with pytest.raises(ValueError, match="1,000 characters at most"):
        pattern.parse(f"{longest}0")
