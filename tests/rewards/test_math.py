from __future__ import annotations

import asyncio
import importlib.util
import pickle
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import CompositeReward, LengthReward, MathReward
from rayreward.sample import Sample
from rayreward.spec import load_reward
from rayreward.types import FailureKind, RewardOutput

ALIKE = (r"1+\sqrt{2}", r"\sqrt{3+2\sqrt{2}}")
"""Equal, which only math-verify can tell."""

HANGS = (r"\int_0^1 x \, dx", r"\int_0^{\infty} e^{-x^{x^2}} dx")
"""A label, and an answer that math-verify computes for ever."""


@pytest.fixture(scope="module")
def reward() -> Iterator[MathReward]:
    made = MathReward(workers=4)
    made.timeout_s = 20.0  # a busy machine
    made.load()
    yield made
    made.close()


def boxed(answer: str, label: Any) -> Sample:
    return Sample(prompt="", response=rf"So it is $\boxed{{{answer}}}$.", label=label)


def score_of(reward: MathReward, answer: str, label: Any) -> RewardOutput:
    [output] = reward.score([boxed(answer, label)])
    return output


@pytest.mark.parametrize(
    ("answer", "label", "score"),
    [
        (r"\dfrac12", "0.5", 1.0),
        ("18", 18, 1.0),
        ("0.1", 0.1, 1.0),
        ("18", "thus\n#### 18", 1.0),
        ("18", r"9 \cdot 2 = \boxed{18}", 1.0),
        ("19", "18", 0.0),
        (r"5\text{ or }12", "5", 0.0),
        ("2", ["1", "2"], 1.0),
        ("3", ["1", "2"], 0.0),
        ("true", True, 1.0),
    ],
)
def test_the_exact_path_decides(reward: MathReward, answer: str, label: Any, score: float) -> None:
    output = score_of(reward, answer, label)
    assert output.score == score
    assert output.metrics["correct"].score == score
    assert output.metrics["symbolic"].score == 0
    assert output.reason is not None
    assert output.reason.startswith("exact: ")


def test_math_verify_decides_what_is_left(reward: MathReward) -> None:
    right, wrong = reward.score([boxed(ALIKE[1], ALIKE[0]), boxed(r"\underline{6}", "5")])
    assert (right.score, wrong.score) == (1.0, 0.0)
    assert right.metrics["symbolic"].score == wrong.metrics["symbolic"].score == 1
    assert right.reason is not None
    assert right.reason.startswith("math-verify: equal")


def test_outputs_keep_the_order_of_their_samples(reward: MathReward) -> None:
    samples = [boxed("1", "1"), boxed(ALIKE[1], ALIKE[0]), boxed("1", None), boxed("2", "1"), boxed(ALIKE[1], ALIKE[0])]
    outputs = reward.score(samples)
    assert [output.score for output in outputs] == [1.0, 1.0, None, 0.0, 1.0]


def test_a_response_without_an_answer_scores_zero_and_says_so(reward: MathReward) -> None:
    output = reward(response="I think it is 18", label="18")
    assert (output.score, output.metrics["answered"].score) == (0.0, 0.0)
    assert output.reason == "no answer: no boxed, hashes, answer found"
    assert reward(response=r"\boxed{}", label="18").metrics["answered"].score == 0.0


@pytest.mark.parametrize("label", [None, "", "  ", ".", [], [None], float("nan"), {"a": 1}, b"5", "9" * 5_000])
def test_without_a_label_nothing_is_scored(reward: MathReward, label: Any) -> None:
    failure = score_of(reward, "18", label).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT
    assert "'label'" in failure.message


def test_answers_are_looked_for_where_the_caller_says() -> None:
    last = MathReward(["last_number"], symbolic=False)
    assert last(response="first 3, then 18", label="18").score == 1.0
    hashes = MathReward(["hashes", "boxed"], symbolic=False)
    assert hashes(response="\\boxed{1}\n#### 2", label="2").score == 1.0


def test_several_boxes_are_refused_where_that_is_wanted() -> None:
    response = r"\boxed{5} or rather \boxed{12}"
    assert MathReward(symbolic=False)(response=response, label="12").score == 1.0
    refusing = MathReward(refuse_several_boxes=True, symbolic=False)
    assert refusing(response=response, label="12").score == 0.0
    assert refusing(response=r"\boxed{0.5} that is \boxed{\frac12}", label="0.5").score == 1.0


def test_a_tolerance_is_used() -> None:
    assert MathReward(absolute_tolerance=0.01, symbolic=False)(response=r"\boxed{3.14}", label=r"\pi").score == 1.0
    assert MathReward(symbolic=False)(response=r"\boxed{3.14}", label=r"\pi").score == 0.0


def test_the_question_says_whether_percent_is_a_unit() -> None:
    made = MathReward(symbolic=False)
    assert made(prompt="What percent?", response=r"\boxed{20\%}", label="20").score == 1.0
    assert made(prompt="How many?", response=r"\boxed{20\%}", label="20").score == 0.0


def test_without_math_verify_the_unproved_scores_zero_and_says_so() -> None:
    output = score_of(MathReward(symbolic=False), ALIKE[1], ALIKE[0])
    assert output.score == 0.0
    assert "math-verify is not asked" in str(output.reason)


def test_a_long_answer_is_none(reward: MathReward) -> None:
    output = score_of(reward, "9" * 100_000, "9")
    assert (output.score, output.reason) == (0.0, "exact: an answer of 100000 characters, more than 1000")
    unreadable = score_of(reward, r"\underline{5}" * 40, "5")
    assert (unreadable.score, unreadable.metrics["symbolic"].score) == (0.0, 0.0)


def test_an_answer_that_hangs_is_a_timeout_and_no_zero() -> None:
    made = MathReward(workers=2)
    made.load()
    made.timeout_s = 1.0
    hung, right = made.score([boxed(HANGS[1], HANGS[0]), boxed("7", "7")])
    made.close()
    assert hung.score is None
    assert hung.failure is not None
    assert hung.failure.kind is FailureKind.TIMEOUT
    assert right.score == 1.0


async def test_one_that_hangs_holds_up_no_other(reward: MathReward) -> None:
    hung = asyncio.ensure_future(reward.ascore([boxed(HANGS[1], HANGS[0])]))
    [other] = await reward.ascore([boxed(r"\sqrt{5+2\sqrt{6}}", r"\sqrt{2}+\sqrt{3}")])
    assert other.score == 1.0
    assert not hung.done()
    hung.cancel()


@pytest.mark.parametrize(
    "answer",
    ["9^{9^{9^{9}}}", "(10^9)!", "9" * 100_000, "(" * 5_000, r"\frac{1}{" * 300, " " * 60_000 + "8", "\0" * 5_000,
     "\ud800" * 5_000, r"\sqrt" * 300, "+".join(["1"] * 5_000), r"\int_0^1 x^{x^x} dx", "x^" * 400, "{" * 1_000_000,
     "}" * 1_000_000, "\\" * 1_000_000, " " * 1_000_000, r"\boxed{" * 150_000],
    ids=lambda text: text[:10].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_a_hostile_answer_is_wrong_and_costs_nothing(answer: str) -> None:
    made = MathReward()  # its processes are never started: this would take a second
    output = score_of(made, answer, "7")
    assert output.score == 0.0
    assert output.metrics["symbolic"].score == 0.0
    assert made._pool is None
    str(output.reason).encode()


def test_a_question_is_no_answer_to_itself(reward: MathReward) -> None:
    assert score_of(reward, r"\int_0^1 2x \, dx", "1").reason == (
        r"exact: \int is not worked out (answered \int_0^1 2x \, dx, right is 1)"
    )


def test_its_processes_end_with_it() -> None:
    before = set(psutil.Process().children(recursive=True))
    made = MathReward(workers=1)
    made.load()
    started = set(psutil.Process().children(recursive=True)) - before
    assert started
    made.close()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []


def test_it_travels_without_its_processes(reward: MathReward) -> None:
    copied = pickle.loads(pickle.dumps(reward))
    assert copied._pool is None
    assert copied.version == reward.version
    assert copied(response=r"\boxed{5}", label="5").score == 1.0


def test_what_was_kept_does_not_change_its_version() -> None:
    made = MathReward(symbolic=False)
    before = made.version
    made(response=r"\boxed{5}", label="5")
    assert made.version == before
    assert MathReward(absolute_tolerance=1, symbolic=False).version != before


def test_it_works_inside_a_composite() -> None:
    both = CompositeReward([(MathReward(symbolic=False), 0.9), (LengthReward(target=1, tolerance=9), 0.1)])
    assert both(response=r"\boxed{5}", label="5").metrics["math"].score == 1.0


def test_it_is_a_builtin() -> None:
    made = load_reward("math", {"extract": ["boxed"], "symbolic": False})
    assert isinstance(made, MathReward)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"extract": ["boxd"]}, "did you mean 'boxed'"),
        ({"extract": []}, "a list of forms is needed"),
        ({"extract": "boxed"}, "a list of forms is needed"),
        ({"relative_tolerance": -1}, "at least 0"),
        ({"absolute_tolerance": float("nan")}, "at least 0"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MathReward(**arguments)


def test_a_missing_math_verify_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rayreward\[math\]"):
        MathReward()
    assert MathReward(symbolic=False)(response=r"\boxed{5}", label="5").score == 1.0
