from __future__ import annotations

import pytest

from rayreward.router.neutral import NeutralMeans


def finished(means: NeutralMeans, prompt: str, *scores: float | None, run: str = "r", now_s: float = 0.0) -> None:
    for _ in scores:
        means.begin(run, prompt, now_s=now_s)
    for score in scores:
        means.finish(run, prompt, score, now_s=now_s)


def test_is_the_mean_of_the_prompts_valid_siblings() -> None:
    means = NeutralMeans()
    finished(means, "q", 0.0, 1.0, None, 1.0)
    finished(means, "other", -5.0)
    assert means.neutral("r", "q") == pytest.approx(2 / 3)


def test_without_a_valid_sibling_it_is_the_runs_recent_mean() -> None:
    means = NeutralMeans()
    finished(means, "other", 0.25, 0.75)
    finished(means, "q", None, None)
    assert means.neutral("r", "q") == 0.5
    assert means.neutral("another run", "q") == 0.0


def test_what_a_lost_process_knew_of_a_run_stands_in_until_its_scores_come() -> None:
    before, means = NeutralMeans(), NeutralMeans()
    finished(before, "q", 0.25, 0.75)
    finished(before, "q", 9.0, run="older than the limit")
    finished(before, "q", 1.0)
    means.restore(before.run_means(1))
    assert means.neutral("r", "q") == pytest.approx(2 / 3)
    assert means.neutral("older than the limit", "q") == 0.0
    finished(means, "q", 5.0)
    assert means.neutral("r", "q") == 5.0, "siblings count before the run"


def test_runs_do_not_mix() -> None:
    means = NeutralMeans()
    finished(means, "q", 1.0, run="a")
    finished(means, "q", 0.0, run="b")
    assert (means.neutral("a", "q"), means.neutral("b", "q")) == (1.0, 0.0)


def test_is_settled_when_a_sibling_has_a_score_and_none_is_under_way() -> None:
    means = NeutralMeans()
    assert not means.is_settled("r", "q")
    finished(means, "q", None)
    assert not means.is_settled("r", "q")
    means.begin("r", "q", now_s=0.0)
    finished(means, "q", 0.5)
    assert not means.is_settled("r", "q")
    means.finish("r", "q", None, now_s=0.0)
    assert means.is_settled("r", "q")


def test_a_prompt_that_comes_back_much_later_has_no_old_siblings() -> None:
    means = NeutralMeans()
    finished(means, "q", 1.0, now_s=0.0)
    means.begin("r", "q", now_s=599.0)
    means.finish("r", "q", None, now_s=599.0)
    assert means.neutral("r", "q") == 1.0
    finished(means, "elsewhere", 0.0, now_s=599.0)
    means.begin("r", "q", now_s=1200.0)
    assert not means.is_settled("r", "q")
    assert means.neutral("r", "q") == 0.5


def test_a_prompt_of_every_step_is_judged_by_its_latest_siblings() -> None:
    means = NeutralMeans()
    for step in range(100):
        finished(means, "q", *[float(step >= 90)] * 8, now_s=step)
    assert means.neutral("r", "q") == 1.0


def test_forgets_the_oldest_prompts_first() -> None:
    means = NeutralMeans()
    for number in range(20_001):
        finished(means, f"q{number}", 1.0 if number == 0 else 0.0)
    assert means.neutral("r", "q20000") == 0.0
    assert not means.is_settled("r", "q0")
    means.finish("r", "q0", 0.5, now_s=0.0)


def test_follows_the_policy_as_it_learns() -> None:
    means = NeutralMeans()
    finished(means, "early", *[0.0] * 512)
    finished(means, "late", *[1.0] * 512)
    assert means.neutral("r", "new") == 1.0


def test_runs_are_remembered_within_a_bound_whatever_names_arrive() -> None:
    means = NeutralMeans()
    for number in range(3_000):
        means.begin(f"run-{number}", "p", now_s=0.0)
        means.finish(f"run-{number}", "p", 1.0, now_s=0.0)
    assert len(means._runs) <= 1_000
    assert means.neutral("run-2999", "another prompt") == 1.0
    assert means.neutral("run-0", "another prompt") == 0.0


def test_a_group_of_known_size_is_settled_when_all_have_ended() -> None:
    means = NeutralMeans()
    means.begin("run", "g", size=3, now_s=0.0)
    means.finish("run", "g", None, now_s=1.0)
    means.begin("run", "g", size=3, now_s=1.0)
    means.finish("run", "g", 0.25, now_s=1.0)
    assert not means.is_settled("run", "g"), "the third may still be generated"

    means.begin("run", "g", size=3, now_s=2.0)
    means.finish("run", "g", 0.75, now_s=2.0)
    assert means.is_settled("run", "g")
    assert means.neutral("run", "g") == 0.5


def test_a_group_in_which_all_have_failed_waits_for_nobody() -> None:
    means = NeutralMeans()
    for _ in range(2):
        means.begin("run", "g", size=2, now_s=0.0)
        means.finish("run", "g", None, now_s=0.0)
    assert means.is_settled("run", "g")
