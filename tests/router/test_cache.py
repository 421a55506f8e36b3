from __future__ import annotations

from rayreward.router.cache import CacheStats, ResultCache
from rayreward.router.sample_key import sample_key
from rayreward.sample import Sample
from rayreward.types import MetricRewardOutput, RewardOutput, Timings
from tests.router.stages import failed


def cache(max_entries: int = 100, max_bytes: int = 10**6) -> ResultCache:
    return ResultCache(max_entries=max_entries, max_bytes=max_bytes)


def test_what_was_scored_is_known_and_took_no_time() -> None:
    known = cache()
    known.put(("v", b"a"), RewardOutput(0.5, reason="good", version="v", timings=Timings(queued_s=3.0, scored_s=2.0)))
    output = known.get(("v", b"a"))
    assert output == RewardOutput(0.5, reason="good", version="v", timings=Timings())
    assert known.get(("v2", b"a")) is None, "another version is another question"


def test_a_failure_is_never_kept_nor_a_score_with_a_failed_component() -> None:
    known = cache()
    known.put(("v", b"a"), failed())
    partial = RewardOutput(1.0, {"judge": MetricRewardOutput(failure=failed().failure)})
    known.put(("v", b"b"), partial)
    assert len(known) == 0


def test_the_one_that_nobody_asked_for_longest_goes_first() -> None:
    known = cache(max_entries=2)
    known.put(("v", b"a"), RewardOutput(1.0))
    known.put(("v", b"b"), RewardOutput(2.0))
    assert known.get(("v", b"a")) is not None
    known.put(("v", b"c"), RewardOutput(3.0))
    assert known.get(("v", b"b")) is None
    assert known.get(("v", b"a")) is not None


def test_it_stays_within_its_bytes() -> None:
    known = cache(max_bytes=20_000)
    for number in range(50):
        known.put(("v", bytes([number])), RewardOutput(1.0, reason="x" * 1_000))
    assert 0 < len(known) < 10
    assert known.size_bytes <= 20_000
    known.put(("v", b"huge"), RewardOutput(1.0, reason="x" * 100_000))
    assert known.get(("v", b"huge")) is None
    assert known.get(("v", bytes([49]))) is not None, "and what cannot be kept drives nothing out"


def test_putting_the_same_twice_counts_its_bytes_once() -> None:
    known = cache()
    known.put(("v", b"a"), RewardOutput(1.0))
    size_bytes = known.size_bytes
    known.put(("v", b"a"), RewardOutput(1.0))
    assert (known.size_bytes, len(known)) == (size_bytes, 1)


def test_an_output_that_cannot_be_measured_is_not_kept() -> None:
    known = cache()
    known.put(("v", b"a"), RewardOutput(1.0, metadata={"code": lambda: 0}))
    assert len(known) == 0


def test_the_hit_rate_counts_what_was_spared() -> None:
    assert CacheStats().hit_rate == 0.0
    assert CacheStats(hit_count=2, twin_count=1, miss_count=1).hit_rate == 0.75


class TestSampleKey:
    def test_equal_content_is_one_question_whatever_it_is_called(self) -> None:
        one = Sample(prompt="p", response="r", label=[1, "a"], metadata={"k": 1}, id="1", group_id="g", group_size=2)
        other = Sample(prompt="p", response="".join(["", "r"]), label=[1, "a"], metadata={"k": 1}, id="2")
        assert sample_key(one) == sample_key(other)

    def test_whatever_a_reward_can_see_makes_another_question(self) -> None:
        base: dict[str, object] = {"prompt": "p", "response": "r", "label": 1, "metadata": {"k": 1}}
        changes: list[dict[str, object]] = [
            {"prompt": "pr", "response": ""},
            {"response": "s"},
            {"label": "1"},
            {"label": 1.0},
            {"label": True},
            {"label": None},
            {"metadata": {"k": 2}},
            {"steps": ["r"]},
            {"token_ids": [1]},
        ]
        keys = {sample_key(Sample(**{**base, **change})) for change in ({}, *changes)}  # type: ignore[arg-type]
        assert len(keys) == len(changes) + 1

    def test_a_chat_differs_from_its_text(self) -> None:
        chat = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]
        keys = {sample_key(Sample(chat)), sample_key(Sample(prompt="p", response="r"))}
        keys.add(sample_key(Sample([{"role": "system", "content": ""}, *chat])))
        assert len(keys) == 3
        assert sample_key(Sample(chat)) == sample_key(Sample([dict(message) for message in chat]))

    def test_a_list_is_no_tuple(self) -> None:
        assert sample_key(Sample(response="r", label=[1])) != sample_key(Sample(response="r", label=(1,)))

    def test_a_value_without_an_exact_form_has_no_key(self) -> None:
        assert sample_key(Sample(response="r", label=object())) is None
        assert sample_key(Sample(response="r", metadata={"deep": [object()]})) is None
        nested: list[object] = []
        for _ in range(3_000):
            nested = [nested]
        assert sample_key(Sample(response="r", label=nested)) is None
