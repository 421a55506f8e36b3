from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import MultipleChoiceReward
from rayreward.rewards.multiple_choice import read_choice, read_options
from rayreward.types import FailureKind

LETTERS = read_options(None, "ABCDEFGHIJ")
CITIES = read_options(["Rome", "Paris", "A dog", "New York"], "ABCD")
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        (r"so \boxed{B}", "B"),
        (r"\boxed{\text{B}}", "B"),
        (r"\boxed{\mathrm{(B)}}.", "B"),
        (r"\boxed{b}", "B"),
        (r"\boxed{B. Paris}", "B"),
        (r"The answer is A. \boxed{B}", "B"),
        ("Answer: (B)", "B"),
        ("Answer: B", "B"),
        ("**Answer:** B", "B"),
        ("**Answer: B**", "B"),
        ("### Answer:\n\nB", "B"),
        ("the answer is B", "B"),
        ("The answer is: B.", "B"),
        ("The correct answer is option B, because it is.", "B"),
        ("The correct option is **B**.", "B"),
        ("the answer is b.", "B"),
        ("The answer is (a).", "A"),
        ("The answer is A because it is.", "A"),
        ("The answer is A", "A"),
        ("The answer is A.\nI am sure.", "A"),
        ("The answer is B, not A.", "B"),
        ("The answer is B. Paris is in France.", "B"),
        ("The answer is B Paris", "B"),
        ("The answer is $B$", "B"),
        ("The answer is \\(B\\)", "B"),
        ("The answer should be B. So the answer is (B)!", "B"),
        ("Final answer: I", "I"),
        ("It rains.\nB", "B"),
        ("It rains.\n(B)", "B"),
        ("It rains.\n**B**", "B"),
        ("It rains.\nB.", "B"),
        ("It rains.\nB) Paris", "B"),
        ("B", "B"),
        ("<answer>B", None),
        ("<answer> (B) </answer>", "B"),
        ("<answer>\nB\n</answer>", "B"),
        ("<answer>The answer is B</answer>", "B"),
        ("<answer>A or B</answer>", None),
        ("<answer>A</answer><answer>B</answer>", None),
        (r"\boxed{\text{Option B}}", "B"),
        (r"\boxed{\textbf{(B)}\ 24}", "B"),
        (r"\boxed{\mathsf{B}}", "B"),
        (r"\boxed{\rm B}", "B"),
        ("\\(B\\)", "B"),
        ("Option B", "B"),
        ("**Option B**", "B"),
        ("#### B", "B"),
        ("Therefore, B.", "B"),
        ("B because of gravity", "B"),
        ("B, because of gravity", "B"),
        ("a because of gravity", None),
        ("B - Paris", "B"),
        ("B\n\nA is too cold and C is too hot.", "B"),
        ("B. Paris is the capital.\nIt is also large.", "B"),
        ("**(B)** Paris is the capital.\n\nA is not, since it is Rome.", "B"),
        ("A is wrong. B is wrong.\n\nD", "D"),
        ("Thus, (B) is the correct answer.", "B"),
        ("Option B is correct.", "B"),
        ("A is correct, and B is correct.", None),
        ("Statement A is correct. I do not know.", None),
        ("If A is correct then it rains.", None),
        ("A is not correct.", None),
        ("(B) is incorrect.", None),
        ("(B) is wrong.", None),
        ("I would choose option B.", "B"),
        ("I'd go with B.", "B"),
        ("I would not choose B.", None),
        ("I choose A or B.", None),
        ("I go with a friend.", None),
        ("The answer to the question is B.", "B"),
        ("Answer - B", "B"),
        ("The answer is B\u2014Paris", "B"),
        ("\u7b54\u6848\u662fB\u3002", "B"),
        ("Answer\uff1aB", "B"),
        ("Answer: **B** \n\n A. wrong\n C. wrong", "B"),
        ("The answer is C. A, B and D are wrong.", "C"),
        ("Answer: A (alternatively B)", None),
        ("Answer: A and maybe B", None),
        ("Answer: A > B > C", None),
        ("Answer: A, else B", None),
        ("A - Rome\nB - Paris\nC - Oslo", None),
        ("A dog", None),
        ("It is\nA dog", None),
        ("The answer is A dog.", None),
        ("The answer is a dog.", None),
        ("The answer is I think B", None),
        ("The answer is i.e. nothing", None),
        ("The answer is A's turn", None),
        ("The answer is A-frame", None),
        ("The answer is Bananas", None),
        ("The answer is not B", None),
        ("The answer isn't B", None),
        ("The answer is Z", None),
        ("The answer is obvious", None),
        ("The answer is B or C", None),
        ("The answer is (B) or (C)", None),
        ("The answer is B and C.", None),
        ("Answer: A, B, C, D", None),
        ("Answer: A/B", None),
        ("Answer: A B C D", None),
        ("The answer is B (or A).", None),
        ("The answer is B - A is wrong.", "B"),
        ("The answer is (B) A.", None),
        ("The answer is B but not C", "B"),
        ("Answer: A. Answer: B", None),
        (r"\boxed{A} or \boxed{B}", None),
        (r"\boxed{A \text{ or } B}", None),
        (r"\boxed{A, B}", None),
        ("A. Rome\nB. Paris\nC. Oslo\nD. Bonn", None),
        ("A) Rome\nB) Paris", None),
        ("I like (B) best of all", None),
        ("", None),
        ("\\boxed{", None),
        ("\\boxed{}", None),
    ],
)
def test_a_letter_is_read(response: str, letter: str | None) -> None:
    reading = read_choice(response, LETTERS)
    assert (reading.letter, bool(reading.reason)) == (letter, True)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is Paris.", "B"),
        (r"\boxed{\text{New York}}", "D"),
        ("So:\nparis", "B"),
        ("The answer is a dog.", "C"),
        ("A dog", "C"),
        ("B) Paris", "B"),
        ("The answer is London", None),
        ("The answer is Paris (B).", "B"),
        ("The answer is Paris (A).", None),
        ("Paris\n\nIt is the capital.", "B"),
        ("The answer is E", None),
        ("The answer is Paris or Rome", None),
    ],
)
def test_an_options_text_is_read_too(response: str, letter: str | None) -> None:
    assert read_choice(response, CITIES).letter == letter


@pytest.mark.parametrize(
    ("label", "choices"),
    [
        ("B", None), ("(b)", None), ("B.", None), (1, None), ("Paris", ["Rome", "Paris"]),
        ("B", {"A": "Rome", "B": "Paris"}),
        (1, {"text": ["Rome", "Paris"], "label": ["A", "B"]}), ("B", {"text": ["Rome", "Paris"]}),
        ("B", {"text": ["x", "y"], "label": []}),
    ],
)  # fmt: skip
def test_labels_and_choices_of_each_shape(label: Any, choices: Any) -> None:
    output = MultipleChoiceReward()(response="<think>A?</think>Answer: B", label=label, choices=choices)
    assert (output.score, output.reason) == (1.0, "chose B in a statement; wanted B")
    assert MultipleChoiceReward()(response="Answer: A", label=label, choices=choices).score == 0.0


@pytest.mark.parametrize(
    ("label", "choices"),
    [
        (None, None), ("", None), ("Z", None), (10, None), (-1, None), (True, None), ("Oslo", ["Rome", "Paris"]),
        ("C", ["Rome", "Paris"]), ("A", 3), ("A", ["x"] * 11), ("A", {"AB": "x"}), ("A", {}),
        ("A", {"text": ["x"], "label": ["A", "B"]}), ("x", ["x", "x"]),
    ],
)  # fmt: skip
def test_without_a_label_nothing_is_scored(label: Any, choices: Any) -> None:
    failure = MultipleChoiceReward()(response="Answer: A", label=label, choices=choices).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize("letters", ["", "A", "AA", "ab", "A1", 4])
def test_what_cannot_work_is_refused(letters: Any) -> None:
    with pytest.raises(ConfigError, match="capital letters"):
        MultipleChoiceReward(letters)


@pytest.mark.parametrize(
    "part",
    [
        " ", "<", "{", "\\boxed{", "\\boxed{A", "answer is ", "answer", "option ", "A", "A or ", "(", "*", "\n",
        "\ud800", "\x00", "Answer: A\n", "A. x\n", "the answer is A,", "answer to ", "<answer>", "<answer>A",
        "I choose ", "A is ", "Option ", "\\text{", "so ",
    ],
)  # fmt: skip  # fmt: skip
def test_a_million_characters_are_no_hang(part: str) -> None:
    assert MultipleChoiceReward()(response=part * (MILLION // len(part)), label="B").score == 0.0
