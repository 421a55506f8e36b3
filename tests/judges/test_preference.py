from __future__ import annotations

import math

import pytest

from rayreward.judges.endpoint import Reply
from rayreward.judges.preference import Manner, Preference, both_orders, read_preference
from rayreward.judges.verdicts import UnparseableError


def logprobs(**chances: float) -> Reply:
    return Reply("A", {token.replace("_", " "): math.log(chance) for token, chance in chances.items()})


@pytest.mark.parametrize(
    ("reply", "chance"),
    [
        (logprobs(A=0.75, B=0.25), 0.75),
        (logprobs(A=0.25, _A=0.5, B=0.25), 0.75),
        (logprobs(A=0.6, B=0.2, The=0.2), 0.75),
        (logprobs(A=0.72, The=0.18), 0.72 / 0.82),  # B has no more than what is left
        (logprobs(A=0.72, The=0.08), 0.9),  # … nor than the least likely one that is listed
        (Reply("B", {"B": 0.0}), 0.0),
    ],
)
def test_probabilities_are_read_whatever_tokens_write_the_letters(reply: Reply, chance: float) -> None:
    assert read_preference(reply, "logprobs").chance == pytest.approx(chance, abs=1e-8)


@pytest.mark.parametrize(
    ("text", "manner", "chance"),
    [
        ("A", "logprobs", 1.0),
        (" B.", "logprobs", 0.0),
        ("**(A)**", "logprobs", 1.0),
        ("So.\n**Verdict:** B", "text", 0.0),
        ("Verdict: A\nNo, wait.\nverdict: tie", "text", 0.5),
        ("<think>Verdict: A</think>\nVerdict: B", "text", 0.0),
    ],
)
def test_verdicts_in_words_are_read(text: str, manner: Manner, chance: float) -> None:
    assert read_preference(Reply(text), manner) == Preference(chance)


@pytest.mark.parametrize(
    ("text", "manner"),
    [
        ("", "logprobs"), ("Apples", "logprobs"), ("A or B", "logprobs"), ("", "text"), ("A", "text"),
        ("Verdict: both", "text"), ("Verdict: A, or Verdict: B", "text"), ("Verdict: Apple", "text"),
    ],
)  # fmt: skip
def test_no_verdict_is_guessed(text: str, manner: Manner) -> None:
    with pytest.raises(UnparseableError):
        read_preference(Reply(text), manner)


def test_a_liking_for_a_place_falls_out_of_both_orders() -> None:
    liking, better = 3.0, 1.25
    found = both_orders(Preference.of_logit(better + liking), Preference.of_logit(-better + liking))
    assert found.logit == pytest.approx(better)
    assert both_orders(Preference(1.0), Preference(1.0)) == Preference(0.5)


@pytest.mark.parametrize("logit", [-1e4, -800.0, 0.0, 800.0, 1e4])
def test_no_logit_is_too_large(logit: float) -> None:
    assert 0.0 <= Preference.of_logit(logit).chance <= 1.0
