from __future__ import annotations

import pytest

from rayreward import Sample
from rayreward.checking.tricks import TRICKS, form_only, label_text, responses_of_others
from tests.checking.subjects import SUMS

BY_NAME = {trick.name: trick for trick in TRICKS}


def answers(name: str, samples: tuple[Sample, ...] = SUMS) -> list[str] | None:
    return BY_NAME[name].texts[0](samples)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_trick_has_one_text_a_sample_the_same_every_time(name: str) -> None:
    for texts in BY_NAME[name].texts:
        made = texts(SUMS)
        assert made is not None
        assert len(made) == len(SUMS)
        assert made == texts(SUMS)


def test_labels_are_hidden_among_others() -> None:
    noise, listed, hedged = answers("the label among 40 numbers"), answers("all labels of the data"), None
    assert noise is not None
    assert noise[9] == f"{', '.join(map(str, range(1, 21)))}, 20, {', '.join(map(str, range(21, 41)))}"
    assert listed == ["2, 4, 6, 8, 10, 12, 14, 16, 18, 20"] * 10
    hedged = [texts(SUMS) for texts in BY_NAME["two answers: A or B"].texts]
    assert [made[0] for made in hedged if made] == ["The answer is 2 or 4", "The answer is 4 or 2"]


def test_the_most_common_label_is_one_for_all() -> None:
    samples = tuple(Sample(response="", label=label) for label in ("A", "B", "B"))
    assert answers("always the most common label", samples) == ["B"] * 3


def test_tricks_with_labels_need_labels() -> None:
    samples = (Sample(response="a"), Sample(response="b", label="4"))
    for name in ("always the most common label", "the label among 40 numbers", "two answers: A or B"):
        assert answers(name, samples) is None
    assert answers("the prompt again", samples) is None


def test_a_response_of_another_prompt_is_never_one_s_own() -> None:
    samples = tuple(Sample(prompt=f"p{n // 2}", response=str(n)) for n in range(4))
    assert responses_of_others(samples) == ["2", "2", "0", "0"]
    assert responses_of_others(samples[:2]) is None, "there is only one prompt"


def test_the_form_keeps_what_all_responses_share() -> None:
    samples = [Sample(response=f"<b>Answer</b>: \\frac{{{n}}} {word}!") for n, word in enumerate("abcde")]
    assert form_only(samples)[0] == "<b>Answer</b>: \\frac{0} x!"
    assert form_only([Sample(response="# Paris, 75")]) == ["# xxxxx, 00"]


@pytest.mark.parametrize(
    ("label", "text"), [("4 ", "4"), (4, "4"), (0.5, "0.5"), (None, None), ("", None), (["4"], None)]
)
def test_only_texts_and_numbers_can_be_written_down(label: object, text: str | None) -> None:
    assert label_text(label) == text
