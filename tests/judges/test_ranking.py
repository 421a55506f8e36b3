from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest

from rayreward.judges.ranking import Comparison, bradley_terry, mean_margins, pairs_to_compare, win_chances


def chance(margin: float) -> float:
    return 1 / (1 + math.exp(-margin))


def tournament(levels: list[float], pairs: list[tuple[int, int]]) -> list[Comparison]:
    """What a judge says that knows the truth."""
    return [
        Comparison(one, other, chance(levels[one] - levels[other]), levels[one] - levels[other]) for one, other in pairs
    ]


class TestPairs:
    @pytest.mark.parametrize("count", [1, 2, 8, 9])
    def test_few_meet_each_other(self, count: int) -> None:
        assert pairs_to_compare(count, 8) == list(itertools.combinations(range(count), 2))

    @pytest.mark.parametrize("count", [10, 11, 16, 33, 64])
    @pytest.mark.parametrize("opponents", [2, 4, 8])
    def test_many_meet_as_many_each_as_was_said(self, count: int, opponents: int) -> None:
        pairs = pairs_to_compare(count, opponents)
        assert len(set(pairs)) == len(pairs) == count * opponents // 2
        met = Counter(itertools.chain.from_iterable(pairs))
        assert set(met.values()) == {opponents}
        assert all(one < other for one, other in pairs)

    def test_a_ring_connects_all_of_them(self) -> None:
        comparisons = tournament([0.0] * 33, pairs_to_compare(33, 2))
        assert win_chances([1] * 33, comparisons) == pytest.approx([0.5] * 33)


class TestWinChances:
    def test_equals_have_a_half_each(self) -> None:
        assert win_chances([1] * 5, tournament([0.0] * 5, pairs_to_compare(5, 8))) == [0.5] * 5

    def test_one_that_beats_all_has_one_and_one_that_all_beat_none(self) -> None:
        always = [Comparison(one, other, 1.0) for one, other in pairs_to_compare(4, 8)]
        assert win_chances([1] * 4, always) == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])

    def test_the_order_in_which_candidates_come_does_not_matter(self) -> None:
        random.seed(3)
        levels = [random.gauss(0, 2) for _ in range(12)]
        pairs = pairs_to_compare(12, 4)
        plain = win_chances([1] * 12, tournament(levels, pairs))
        order = random.sample(range(12), 12)
        place = {candidate: at for at, candidate in enumerate(order)}
        moved = [
            Comparison(place[seen.second], place[seen.first], 1 - seen.win_chance) for seen in tournament(levels, pairs)
        ]
        again = win_chances([1] * 12, moved)
        assert [again[place[at]] for at in range(12)] == pytest.approx(plain, abs=1e-5)

    def test_a_part_of_the_comparisons_finds_the_ranking_and_nearly_the_chances(self) -> None:
        random.seed(5)
        levels = [0.2 * place for place in random.sample(range(-12, 12), 24)]
        some = win_chances([1] * 24, tournament(levels, pairs_to_compare(24, 8)))
        whole = win_chances([1] * 24, tournament(levels, pairs_to_compare(24, 23)))
        assert sorted(range(24), key=lambda at: some[at]) == sorted(range(24), key=lambda at: levels[at])
        assert some == pytest.approx(whole, abs=0.03)

    def test_in_a_round_robin_the_model_expects_what_was_seen(self) -> None:
        levels = [0.3, -0.2, 0.9, 0.0]
        comparisons = tournament(levels, pairs_to_compare(4, 8))
        strengths = bradley_terry(4, comparisons)
        expected = [
            sum(chance(strengths[one] - strengths[other]) for other in range(4) if other != one) / 3 for one in range(4)
        ]
        assert win_chances([1] * 4, comparisons) == pytest.approx(expected, abs=0.03)

    def test_a_lost_comparison_costs_its_two_little(self) -> None:
        levels = [1.0, 0.5, 0.0, -0.5, -1.0]
        whole = tournament(levels, pairs_to_compare(5, 8))
        assert win_chances([1] * 5, whole[1:]) == pytest.approx(win_chances([1] * 5, whole), abs=0.03)

    def test_one_that_met_nobody_has_none(self) -> None:
        assert win_chances([1] * 3, [Comparison(0, 2, 1.0)])[1] is None

    def test_those_cut_off_from_the_most_have_none(self) -> None:
        comparisons = [Comparison(0, 1, 1.0), Comparison(1, 2, 1.0), Comparison(3, 4, 1.0)]
        first, middle, last, *others = win_chances([1] * 5, comparisons)
        assert others == [None, None]
        assert None not in (first, middle, last)
        assert first > middle > last  # type: ignore[operator]

    def test_twins_draw_with_each_other(self) -> None:
        assert win_chances([3], []) == [0.5]
        assert win_chances([2, 1], [Comparison(0, 1, 1.0)]) == [0.75, 0.0]

    def test_alone_there_is_nothing_to_compare(self) -> None:
        assert win_chances([1], []) == [None]

    def test_infinite_strengths_stay_finite(self) -> None:
        strengths = bradley_terry(3, [Comparison(0, 1, 1.0), Comparison(1, 2, 1.0)])
        assert all(map(math.isfinite, strengths))
        assert strengths[0] > strengths[1] > strengths[2]


class TestMeanMargins:
    def test_in_a_round_robin_the_truth_comes_back(self) -> None:
        assert mean_margins([1] * 3, tournament([3.0, 0.0, -3.0], pairs_to_compare(3, 8))) == [3.0, 0.0, -3.0]

    def test_of_a_part_the_truth_comes_back_too(self) -> None:
        random.seed(7)
        levels = [random.gauss(0, 2) for _ in range(20)]
        mean = sum(levels) / 20
        found = mean_margins([1] * 20, tournament(levels, pairs_to_compare(20, 8)))
        assert found == pytest.approx([level - mean for level in levels], abs=1e-4)

    def test_twins_are_counted(self) -> None:
        assert mean_margins([2, 1], [Comparison(0, 1, 1.0, margin=3.0)]) == [1.0, -2.0]
        assert mean_margins([2], []) == [0.0]

    def test_who_met_nobody_has_none(self) -> None:
        assert mean_margins([1] * 3, [Comparison(0, 1, 1.0, margin=2.0)]) == [1.0, -1.0, None]
        assert mean_margins([1], []) == [None]


@pytest.mark.parametrize("count", [3, 16, 64, 200])
def test_margins_along_a_chain_add_up_however_long_it_is(count: int) -> None:
    chain = [Comparison(at, at + 1, 1.0, margin=5.0) for at in range(count - 1)]
    middle = (count - 1) / 2
    assert mean_margins([1] * count, chain) == pytest.approx([5.0 * (middle - at) for at in range(count)])


def test_margins_on_a_ring_of_two_opponents_each_are_those_of_the_whole() -> None:
    levels = [math.sin(7.0 * at) for at in range(64)]
    middle = sum(levels) / 64
    ring = [Comparison(*pair, 0.5, margin=levels[pair[0]] - levels[pair[1]]) for pair in pairs_to_compare(64, 2)]
    assert mean_margins([1] * 64, ring) == pytest.approx([level - middle for level in levels])
