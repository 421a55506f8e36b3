from __future__ import annotations

import math
import pickle
import threading

import pytest

from rayreward.calling.ledger import MAX_RUNS, Budget, Ledger, Prices, Usage
from rayreward.errors import BackpressureError, ConfigError

ANSWERED = Usage(prompt_tokens=900, cached_tokens=600, completion_tokens=50, requests=1)
MOST = Usage(prompt_tokens=1000, completion_tokens=100)


def test_cached_tokens_have_a_price_of_their_own() -> None:
    assert Prices(2.0, 8.0, cached=0.2).cost_usd(ANSWERED) == pytest.approx((300 * 2 + 600 * 0.2 + 50 * 8) / 1e6)
    assert Prices(2.0, 8.0).cost_usd(ANSWERED) == pytest.approx((900 * 2 + 50 * 8) / 1e6)


def test_what_runs_spend_is_kept_apart() -> None:
    ledger = Ledger(Prices(1.0, 2.0))
    for run, times in (("a", 2), ("b", 1)):
        for _ in range(times):
            ledger.settle(ledger.hold(run, MOST), ANSWERED)
    assert ledger.spent("a").usage == Usage(1800, 1200, 100, 2)
    assert ledger.spent("b").usd == pytest.approx(0.001)
    assert ledger.spent("c").usage == Usage()


def test_a_hundred_at_once_do_not_pass_together_what_one_could_not() -> None:
    ledger = Ledger(budget=Budget(tokens=5 * MOST.tokens))
    for _ in range(5):
        ledger.hold("run", MOST)
    for _ in range(95):
        with pytest.raises(BackpressureError, match="budget_tokens=5500 and set aside 5500 for requests under way"):
            ledger.hold("run", MOST)
    assert ledger.spent("run").refused == 95


def test_what_was_set_aside_and_not_used_may_be_spent_by_others() -> None:
    ledger = Ledger(budget=Budget(tokens=MOST.tokens))
    ledger.settle(ledger.hold("run", MOST), None)
    ledger.settle(ledger.hold("run", MOST), ANSWERED)
    with pytest.raises(BackpressureError, match="has spent 950 of budget_tokens=1100, and the next request may take"):
        ledger.hold("run", MOST)
    ledger.hold("another run", MOST)


def test_dollars_bound_a_run_too() -> None:
    ledger = Ledger(Prices(1.0, 1.0), Budget(usd=0.0015))
    ledger.settle(ledger.hold("run", MOST), ANSWERED)
    with pytest.raises(BackpressureError, match=r"has spent 0\.00095 of budget_usd=0\.0015"):
        ledger.hold("run", MOST)


def test_runs_without_end_are_forgotten_from_the_oldest_on() -> None:
    ledger = Ledger()
    for number in range(MAX_RUNS + 5):
        ledger.settle(ledger.hold(f"run-{number}", MOST), ANSWERED)
    assert len(ledger.runs) == MAX_RUNS
    assert ledger.runs[0] == "run-5"


def test_budgets_and_prices_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="budget_usd needs prices"):
        Ledger(budget=Budget(usd=1.0))
    with pytest.raises(ConfigError, match="budget_tokens must be above 0"):
        Budget(tokens=0)
    with pytest.raises(ConfigError, match="0 or more"):
        Prices(prompt=-1.0)


def test_threads_together_do_not_pass_either() -> None:
    ledger = Ledger(budget=Budget(tokens=100 * MOST.tokens))
    allowed, together = list[int](), threading.Barrier(8)

    def ask() -> None:
        together.wait()
        for _ in range(200):
            try:
                ledger.settle(ledger.hold("run", MOST), MOST)
            except BackpressureError:
                continue
            allowed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 100
    assert ledger.spent("run").usage.tokens == 100 * MOST.tokens


def test_a_copy_in_another_process_has_nothing_under_way_and_nothing_spent() -> None:
    ledger = Ledger(Prices(1.0), Budget(tokens=MOST.tokens))
    ledger.hold("run", MOST)
    copied = pickle.loads(pickle.dumps(ledger))
    assert (copied.prices, copied.budget, copied.runs) == (ledger.prices, ledger.budget, ())
    copied.hold("run", MOST)


@pytest.mark.parametrize("price", [-1.0, math.inf, math.nan])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    for prices in ({"prompt": price}, {"completion": price}, {"prompt": 1.0, "cached": price}):
        with pytest.raises(ConfigError, match="prices"):
            Prices(**prices)
