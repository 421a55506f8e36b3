from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import cloudpickle
import pytest

from rayreward import RewardFunction, RewardOutput, Sample
from rayreward.boundary import Answer
from rayreward.errors import ConfigError
from rayreward.rewards import CompositeReward, KeywordReward, LengthReward
from rayreward.testing import ScriptedReward


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def said(outputs: Sequence[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def test_takes_pairs_triples_functions_and_a_dict() -> None:
    def brevity(response: str) -> float:
        return 1.0 if len(response) < 10 else 0.0

    composite = CompositeReward([(LengthReward(1), 0.25), (brevity, 0.25), (ScriptedReward(), 0.5, "third")])
    assert list(composite(response="one").metrics) == ["length", "brevity", "third"]
    assert CompositeReward({"a": ScriptedReward(default=0.5)})(response="one").metrics["a"].score == 0.5
    assert list(CompositeReward([(LengthReward(1), 1), (LengthReward(2), 1)]).rewards) == ["length", "length_2"]


def test_every_sample_gets_all_its_parts_in_order() -> None:
    first, second = ScriptedReward({"b": 0.5}), ScriptedReward({"b": ValueError("no")}, default=0.0)
    outputs = CompositeReward([(first, 0.5, "first"), (second, 0.5, "second")]).score(samples("a", "b", "c"))
    assert said(outputs) == [0.5, "error", 0.5]
    assert outputs[1].failure is not None
    assert outputs[1].failure.component == "second"


def test_parts_run_side_by_side() -> None:
    here = 0
    both = asyncio.Event()

    async def meet(response: str) -> float:
        nonlocal here
        here += 1
        if here == 2:
            both.set()
        await both.wait()
        return 1.0

    assert CompositeReward([(meet, 0.5, "a"), (meet, 0.5, "b")])(response="x").score == 1.0


def test_a_gate_pays_for_what_passed_only() -> None:
    check, judge = ScriptedReward({"bad": 0.0}), ScriptedReward(default=0.75)
    gate = CompositeReward([(check, 1.0, "format"), (judge, 1.0, "judge")], combine="gate")
    assert said(gate.score(samples("a", "bad", "b"))) == [0.75, 0.0, 0.75]
    assert judge.scored == ["a", "b"]


def test_a_check_that_fails_fails_the_sample_and_spares_the_judge() -> None:
    check, judge = ScriptedReward({"bad": ValueError("no")}), ScriptedReward(default=0.75)
    gate = CompositeReward([(check, 1.0, "format"), (judge, 1.0, "judge")], combine="gate")
    assert said(gate.score(samples("a", "bad"))) == [0.75, "error"]
    assert judge.scored == ["a"]
    lenient = CompositeReward([(check, 1.0, "format"), (judge, 1.0, "judge")], combine="gate", optional=["format"])
    assert said(lenient.score(samples("a", "bad"))) == [0.75, 0.75]


def test_first_valid_asks_the_next_only_where_there_is_no_score() -> None:
    first, second = ScriptedReward({"b": ValueError("no"), "c": None}), ScriptedReward(default=0.25)
    reward = CompositeReward([(first, 1.0, "first"), (second, 1.0, "second")], combine="first_valid")
    assert said(reward.score(samples("a", "b", "c"))) == [1.0, 0.25, 0.25]
    assert second.scored == ["b", "c"]


class Careless(RewardFunction):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return list(self.answer)


@pytest.mark.parametrize("answer", [[], [RewardOutput(1.0)] * 5, ValueError("x"), RuntimeError("y")])
@pytest.mark.parametrize("combine", ["weighted_sum", "first_valid"])
def test_a_part_that_breaks_its_promise_is_a_part_that_failed(answer: Any, combine: Any) -> None:
    parts = [(Careless(answer), 1.0, "careless"), (ScriptedReward(default=0.5), 1.0, "good")]
    reward = CompositeReward(parts, combine=combine, optional=["careless"])
    outputs = reward.score(samples("a", "b"))
    assert said(outputs) == [1.0 if combine == "weighted_sum" else 0.5] * 2
    assert outputs[0].metrics["careless"].failure is not None


class TestHowItRuns:
    def test_as_its_neediest_part(self) -> None:
        inline, thread = ScriptedReward(), RewardFunction(func=lambda response: 1.0, isolation="thread")
        process = RewardFunction(func=lambda response: 1.0, timeout_s=90)
        assert CompositeReward({"a": inline}).isolation == "inline"
        assert CompositeReward({"a": inline, "b": thread}).isolation == "thread"
        composite = CompositeReward({"a": inline, "b": thread, "c": process})
        assert (composite.isolation, composite.timeout_s) == ("process", 90)

    def test_one_by_one_where_all_parts_do(self) -> None:
        async def later(response: str) -> float:
            return 1.0

        one, batch = RewardFunction(func=lambda response: 1.0), RewardFunction(func=lambda responses: [1.0])
        assert CompositeReward({"a": one, "b": LengthReward(1)}).scores_one_by_one
        assert not CompositeReward({"a": one, "b": batch}).scores_one_by_one
        assert not CompositeReward({"a": one, "b": RewardFunction(name="x", mode="remote")}).scores_one_by_one
        assert CompositeReward({"a": one, "b": RewardFunction(func=later)}).is_async
        assert CompositeReward({"a": LengthReward(1)}).deterministic
        assert not CompositeReward({"a": LengthReward(1), "b": one}).deterministic

    def test_loads_every_part_and_nests_and_travels(self) -> None:
        loaded = []

        class Loads(ScriptedReward):
            def load(self) -> None:
                loaded.append(self.name)

        CompositeReward({"a": Loads(), "b": CompositeReward({"c": Loads()})}).load()
        assert len(loaded) == 2
        outer = CompositeReward({"inner": CompositeReward({"length": LengthReward(1)}), "k": KeywordReward(["one"])})
        assert list(cloudpickle.loads(cloudpickle.dumps(outer))(response="one").metrics)[:2] == ["inner", "k"]

    def test_of_no_samples_is_nothing(self) -> None:
        assert CompositeReward({"a": ScriptedReward()}).score([]) == []


@pytest.mark.parametrize(
    ("parts", "options", "reason"),
    [
        ([], {}, "at least one part"),
        ([("length", 1.0)], {}, r"part 0 .* must be \(reward, weight\)"),
        ([()], {}, "part 0"),
        ([(ScriptedReward(), 1.0, "a", "b")], {}, "part 0"),
        ([(ScriptedReward(), "0.5")], {}, "weight of part 'scripted' must be a number, found '0.5'"),
        ([(ScriptedReward(), True)], {}, "must be a number"),
        ([(ScriptedReward(), float("nan"))], {}, "finite"),
        ([(LengthReward, 1.0)], {}, "is a reward already"),
        ([(ScriptedReward(), 1.0)], {"combine": "sum"}, "unknown combination"),
        ([(ScriptedReward(), 1.0)], {"optional": ["x"]}, "optional names 'x', which is no part; parts: scripted"),
    ],
)
def test_what_cannot_be_composed_is_refused(parts: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        CompositeReward(parts, **options)


class Rank(RewardFunction):
    """The response's place in its group, by length."""

    name = "rank"

    def compute_group(self, samples: Sequence[Sample]) -> list[float]:
        order = sorted(len(sample.response) for sample in samples)
        return [float(order.index(len(sample.response))) for sample in samples]


def test_a_part_that_compares_groups_sees_those_that_a_gate_stopped() -> None:
    passes = ScriptedReward({"": 0.0}, default=1.0)
    reward = CompositeReward([(passes, 1.0, "passes"), (Rank(), 1.0)], "gate", closed_score=-1.0)
    group = [Sample(prompt=p, response=text, group_id=p, group_size=size) for p, text, size in _GROUPS]
    assert said(reward.score(group)) == [-1.0, 1.0, 2.0, -1.0]


class Late(RewardFunction):
    """Answers at once but for "late" samples, after which it waits to be let; leaves "left" ones out."""

    isolation = "thread"
    answers_each = True

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        late = [at for at, sample in enumerate(samples) if sample.response == "late"]
        for at, sample in enumerate(samples):
            if sample.response not in ("late", "left"):
                answer(at, RewardOutput(1.0))
        await self.go.wait()
        for at in late:
            answer(at, RewardOutput(0.5))


class TestAnsweringEach:
    @pytest.mark.parametrize(
        ("combine", "expected"),
        [
            ("weighted_sum", [1.5, 2.0, 1.0, "invalid_output"]),
            ("gate", [0.5, 1.0, 0.0, "invalid_output"]),
            ("first_valid", [1.0, 1.0, 0.0, 1.0]),
        ],
    )
    async def test_a_late_sample_holds_up_no_other(self, combine: Any, expected: list[Any]) -> None:
        late, form = Late(), ScriptedReward({"bad": 0.0}, default=1.0)
        reward = CompositeReward({"form": form, "late": late}, combine)
        known: dict[int, RewardOutput] = {}
        two = asyncio.Event()

        def answer(at: int, output: RewardOutput) -> None:
            known[at] = output
            if {1, 2} <= known.keys():
                two.set()

        whole = asyncio.create_task(reward.answer_each(samples("late", "a", "bad", "left"), answer))
        async with asyncio.timeout(10):
            await two.wait()
            assert 0 not in known or combine == "first_valid"  # which does not need the late part
            late.go.set()
            await whole
        assert said([known[at] for at in range(4)]) == expected

    def test_it_is_done_where_a_part_can(self) -> None:
        assert CompositeReward([(Late(), 0.5), (Rank(), 0.5)]).answers_each
        assert CompositeReward([(LengthReward(1), 0.5), (CompositeReward({"nested": Late()}), 0.5)]).answers_each
        assert CompositeReward([(LengthReward(1), 0.5), (RewardFunction(func=asked), 0.5)]).answers_each
        assert not CompositeReward([(LengthReward(1), 0.5), (KeywordReward(["a"]), 0.5)]).answers_each
        assert not CompositeReward([(RewardFunction(func=brief), 0.5), (Rank(), 0.5)]).answers_each

    @pytest.mark.parametrize("combine", ["gate", "first_valid"])
    async def test_a_sample_that_a_part_holds_up_does_not_keep_the_others_from_the_next(self, combine: Any) -> None:
        late, then = Late(), Seen()
        reward = CompositeReward({"late": late, "then": then}, combine)
        goes_on = ["a", "b"] if combine == "gate" else ["left"]
        whole = asyncio.create_task(reward.ascore(samples("late", "a", "b", "left")))
        async with asyncio.timeout(10):
            if combine == "gate":
                await then.was_asked.wait()
                assert then.asked == [goes_on]
            late.go.set()
            outputs = await whole
        assert said(outputs) == ([1.0, 1.0, 1.0, "invalid_output"] if combine == "gate" else [0.5, 1.0, 1.0, 1.0])
        assert then.asked == ([["a", "b"], ["late"]] if combine == "gate" else [["left"]])

    async def test_a_part_that_compares_waits_for_all_that_come_before_it(self) -> None:
        late, rank = Late(), Rank()
        reward = CompositeReward({"late": late, "rank": rank}, "gate")
        whole = asyncio.create_task(reward.ascore(samples("late", "a", "bb")))
        await asyncio.wait({whole}, timeout=0.05)
        late.go.set()
        async with asyncio.timeout(10):
            assert said(await whole) == [2.0, 0.0, 1.0]


class Seen(RewardFunction):
    """1 for each, and which came together."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.was_asked = asyncio.Event()

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        self.asked.append([sample.response for sample in samples])
        self.was_asked.set()
        return [RewardOutput(1.0) for _ in samples]


class TestRunningApart:
    def test_where_a_part_wants_a_process_and_another_would_share_its_hangs(self) -> None:
        own, waits = RewardFunction(func=brief), RewardFunction(func=asked, isolation="inline")
        thread = RewardFunction(func=brief, isolation="thread")
        for other in (waits, thread, Rank(), Late(), CompositeReward({"nested": waits})):
            assert CompositeReward([(own, 0.5), (other, 0.5)]).parts_run_apart
        for other in (LengthReward(1), RewardFunction(func=brief), CompositeReward({"nested": own})):
            assert not CompositeReward([(own, 0.5), (other, 0.5)]).parts_run_apart

    def test_not_where_no_part_wants_a_process_or_its_own_isolation_says_otherwise(self) -> None:
        waits = RewardFunction(func=asked, isolation="inline")
        assert not CompositeReward([(LengthReward(1), 0.5), (waits, 0.5)]).parts_run_apart
        told = CompositeReward([(RewardFunction(func=brief), 0.5), (waits, 0.5)])
        told.isolation = "inline"
        assert not told.parts_run_apart


def brief(response: str) -> float:
    return 1.0


async def asked(response: str) -> float:
    return 1.0


_GROUPS = (("p", "", 3), ("p", "a", 3), ("p", "bb", 3), ("q", "", 1))
