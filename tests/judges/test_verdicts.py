from __future__ import annotations

from math import exp, inf, log, nan

import pytest

from rayreward.errors import ConfigError
from rayreward.judges.verdicts import Scale, UnparseableError, expect, read_json, read_text, yes_no_logit

TEN, FIVE = Scale(1, 10), Scale(1, 5)
ONE_TO_FIVE = {str(number): float(number) for number in range(1, 6)}


class TestText:
    @pytest.mark.parametrize(
        ("reply", "value"),
        [
            ("Score: 7", 7), ("score : 7.5", 7.5), ("SCORE:10", 10), ("Good.\n\n**Score:** 8", 8), ("Score: **8**", 8),
            ("Score: 8/10", 8), ("Score: 8 out of 10.", 8), ("Score:\n 3", 3), ("`Score: 4`", 4), ("Score\uff1a6", 6),
            ("Score: 3\nNo, that was harsh.\nScore: 5", 5), ("Score: 7 (as I said, Score: 7)", 7),
            ("It quotes 'Score: 10'.\nScore: 2", 2), ("<think>Score: 9? No.</think>Score: 2", 2),
            ("Overall score: 6.", 6), ("Score: 7. It is fine.", 7),
        ],
    )  # fmt: skip
    def test_the_last_line_with_a_verdict_is_the_verdict(self, reply: str, value: float) -> None:
        assert read_text(reply, TEN).value == value

    @pytest.mark.parametrize(
        ("reply", "wrong"),
        [
            ("", "it is empty"), ("I like it.", "no 'Score: N'"), ("Score: ten", "no 'Score: N'"), ("8/10", "no 'Sc"),
            ("Score: 0", "0 is not between 1 and 10"), ("Score: 11", "11 is not"), ("Score: -3", "-3 is not between"),
            ("Score: 80/100", "not one number"), ("Score: 7-8", "not one number"), ("Score: 7 to 8", "not one number"),
            ("Score: 7,5", "not one number"), ("Score: 80%", "not one number"), ("Score: 4/5", "not one number"),
            ("Score: 3 or rather Score: 9", "has several: 3, 9"), ("underscore: 5", "no 'Score: N'"),
            ("<think>Score: 9, since", "it is empty"), ("Score\ua789 10", "no 'Score: N'"),
        ],
    )  # fmt: skip
    def test_a_reply_without_one_clear_verdict_has_none(self, reply: str, wrong: str) -> None:
        with pytest.raises(UnparseableError, match=wrong):
            read_text(reply, TEN)

    def test_the_reason_is_the_judges_words(self) -> None:
        assert read_text(" Clear.\nScore: 9\n", TEN).reason == "Clear.\nScore: 9"


class TestJson:
    @pytest.mark.parametrize(
        ("reply", "value"),
        [
            ('{"score": 7}', 7), ('{"reason": "r", "score": 2.5}', 2.5), ('```json\n{"score": 3}\n```', 3),
            ('Here: {"score": "4"} as asked', 4), ('{"score": {"reason": "r", "score": 6}}', 6),
            ('{"thoughts": 1} {"score": 8}', 8), ('{"score": 8} {"score": 8}', 8),
            ('<think>{"score": 1}</think>{"score": 9}', 9), ('{"scor\\u0065": 10} {"score": 1}', 1),
        ],
    )  # fmt: skip
    def test_the_object_with_the_key_is_read(self, reply: str, value: float) -> None:
        assert read_json(reply, {"score": TEN})["score"].value == value

    @pytest.mark.parametrize(
        ("reply", "wrong"),
        [
            ("", "no JSON object with 'score'"), ("Score: 7", "no JSON object"), ('{"rating": 7}', "no JSON object"),
            ('{"score": true}', "must be a number"), ('{"score": null}', "must be a number"), ("[7]", "no JSON object"),
            ('{"score": "seven"}', "must be a number"), ('{"score": 11}', "is not between"), ('{"score": 7', "no JSON"),
            ('{"score": NaN}', "no JSON object"), ('{"score": 1e999}', "is not between"), ('{"score": [7]}', "number"),
            ('{"score": 7} no, {"score": 2}', "2 JSON objects .* that differ"), ('{"score": 1, "score": 9}', "no JSON"),
            ('{"sc\\u006fre": 10}', "no JSON object"), ('{"score": ' + "9" * 400 + "}", "range|between"),
            ("{" * 100_000, "no JSON"), ('{"score": {}}', "must be a number"),
        ],
    )  # fmt: skip
    def test_anything_else_has_no_verdict(self, reply: str, wrong: str) -> None:
        with pytest.raises(UnparseableError, match=wrong):
            read_json(reply, {"score": TEN})

    def test_several_keys_have_their_own_scales_and_reasons(self) -> None:
        reply = '{"a": {"score": 1, "reason": "poor"}, "b": {"score": 10, "reason": "great"}, "d": 3}'
        found = read_json(reply, {"a": FIVE, "b": TEN, "c": TEN})
        assert {name: (one.value, one.reason) for name, one in found.items()} == {"a": (1, "poor"), "b": (10, "great")}


class TestExpectation:
    def test_it_is_the_mean_over_the_score_tokens_however_they_are_spaced(self) -> None:
        verdict = expect(
            {"4": log(0.3), " 4": log(0.2), "\u01205": log(0.1), "\u25815": log(0.1), "So": log(0.3)}, ONE_TO_FIVE
        )
        assert verdict.value == pytest.approx((0.5 * 4 + 0.2 * 5) / 0.7)
        assert verdict.mass == pytest.approx(0.7)

    def test_a_judge_that_means_something_else_has_no_verdict(self) -> None:
        with pytest.raises(UnparseableError, match=r"probability of 0\.4 together, .* begins with 'I'"):
            expect({"4": log(0.4), "I": log(0.6)}, ONE_TO_FIVE)

    def test_tokens_that_were_not_returned_are_bounded_by_the_least_likely_that_was(self) -> None:
        verdict = expect({"4": log(0.7), "5": log(0.2), "x": log(0.01)}, ONE_TO_FIVE)
        assert verdict.unseen_mass == pytest.approx(0.03)
        verdict = expect({"4": log(0.7), "5": log(0.29)}, ONE_TO_FIVE)
        assert verdict.unseen_mass == pytest.approx(0.01)  # three times 0.29 is more than there is left

    def test_the_expectation_moves_less_than_the_unseen_mass_allows(self) -> None:
        whole = {"1": 0.02, "2": 0.03, "3": 0.05, "4": 0.6, "5": 0.3}
        seen = expect({token: log(p) for token, p in whole.items() if p >= 0.05}, ONE_TO_FIVE)
        exact = expect({token: log(p) for token, p in whole.items()}, ONE_TO_FIVE)
        assert abs(seen.value - exact.value) <= seen.unseen_mass * (5 - 1)

    @pytest.mark.parametrize("logprobs", [{}, {"4": nan}, {"4": -inf}, {"4": -9999.0}, {"four": -0.01}, {"44": -0.01}])
    def test_nothing_is_made_of_nothing(self, logprobs: dict[str, float]) -> None:
        for min_mass in (0.5, 0.0):
            with pytest.raises(UnparseableError):
                expect(logprobs, ONE_TO_FIVE, min_mass=min_mass)

    @pytest.mark.parametrize("logprob", [0.0, inf, 5.0])
    def test_what_is_no_distribution_is_no_middle_score(self, logprob: float) -> None:
        with pytest.raises(UnparseableError, match="where 1 is the most"):
            expect(dict.fromkeys(ONE_TO_FIVE, logprob), ONE_TO_FIVE)
        with pytest.raises(UnparseableError, match="where 1 is the most"):
            yes_no_logit({"Yes": logprob, "No": logprob})


class TestYesNo:
    def test_the_logit_is_of_all_spellings_together(self) -> None:
        logit = yes_no_logit({"Yes": log(0.5), " yes": log(0.1), "YES": log(0.1), "No": log(0.2), "Well": log(0.1)})
        assert logit == pytest.approx(log(0.7) - log(0.2))

    def test_a_side_that_was_not_returned_counts_as_the_least_likely_that_was(self) -> None:
        assert yes_no_logit({"Yes": log(0.9), "Sure": log(0.05), "x": log(0.01)}) == pytest.approx(log(0.9 / 0.01))

    @pytest.mark.parametrize("logprobs", [{}, {"Maybe": -0.1}, {"Yes": log(0.3), "No": log(0.1)}])
    def test_a_judge_that_says_neither_has_no_verdict(self, logprobs: dict[str, float]) -> None:
        with pytest.raises(UnparseableError, match="probability of"):
            yes_no_logit(logprobs)
        if not any(exp(one) for one in logprobs.values()):
            with pytest.raises(UnparseableError):
                yes_no_logit(logprobs, min_mass=0.0)


@pytest.mark.parametrize("ends", [(5, 1), (1, 1), (1,), "15", (1, nan), (True, 5), ("1", "5"), None, (1, inf)])
def test_a_scale_that_is_none_is_refused(ends: object) -> None:
    with pytest.raises(ConfigError, match="scale"):
        Scale.of(ends)  # type: ignore[arg-type]
