"""What the asked services cost, by run, and budgets that are never overdrawn.

What arrives: what a request may cost, then what it has cost. What leaves: sums by run, or a refusal that names the
budget. What is under way counts with what it may cost, so that a hundred requests at once cannot pass together what
one of them could not. One ledger counts for one process: a reward of several replicas has as many budgets.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from rayreward.errors import BackpressureError, ConfigError

_PER_MILLION = 1_000_000

MAX_RUNS = 1024
"""Runs that are remembered; of more, the ones that asked longest ago are forgotten, with what they spent."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and requests; they add up.

    Attributes:
        prompt_tokens: all of them, those that the service had cached included.
        cached_tokens: those of the prompt that it had computed before.
        completion_tokens: of the replies.
        requests: how many.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0

    @property
    def tokens(self) -> int:
        """Of prompts and replies together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens.

    Attributes:
        prompt: of the question.
        completion: of the reply.
        cached: of what the service had computed before; as `prompt` where it is None.

    Raises:
        ConfigError: a price below 0, or without end.

    Example:
        >>> Prices(prompt=2.0, completion=8.0, cached=0.5).cost_usd(Usage(1_000_000, 500_000, 100_000))
        2.05
    """

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        given = (self.prompt, self.completion, self.prompt if self.cached is None else self.cached)
        if not all(math.isfinite(price) and price >= 0 for price in given):
            raise ConfigError(f"prices are US dollars a million tokens, 0 or more; found {self}")

    def cost_usd(self, usage: Usage) -> float:
        """What `usage` costs."""
        cached_price = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        dollars = fresh * self.prompt + usage.cached_tokens * cached_price + usage.completion_tokens * self.completion
        return dollars / _PER_MILLION


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may spend; None for no bound.

    Raises:
        ConfigError: a bound that is not above 0.
    """

    usd: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("budget_usd", self.usd), ("budget_tokens", self.tokens)):
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be above 0, found {value!r}; leave it out for no bound")


@dataclass(slots=True)
class _Account:
    spent: Usage = field(default_factory=Usage)
    held_usd: float = 0.0
    held_tokens: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """What one request under way may cost at most."""

    run: str
    usd: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run has spent.

    Attributes:
        usage: tokens and requests, of answered requests.
        usd: their price.
        refused: requests that the budget did not allow.
    """

    usage: Usage
    usd: float
    refused: int


class Ledger:
    """Accounts by run; several threads may ask. A copy that travels to another process begins empty.

    Example:
        >>> ledger = Ledger(Prices(prompt=1.0), Budget(usd=0.01))
        >>> hold = ledger.hold("run-1", Usage(prompt_tokens=8000))
        >>> ledger.settle(hold, Usage(prompt_tokens=6000, requests=1))
        0.006
        >>> from rayreward.errors import BackpressureError
        >>> try:
        ...     ledger.hold("run-1", Usage(prompt_tokens=5000))
        ... except BackpressureError as error:
        ...     print(str(error).partition(",")[0])
        run 'run-1' has spent 0.006 of budget_usd=0.01
    """

    def __init__(self, prices: Prices | None = None, budget: Budget | None = None) -> None:
        self.prices, self.budget = prices or Prices(), budget or Budget()
        self._begin()
        if self.budget.usd is not None and not (self.prices.prompt or self.prices.completion):
            raise ConfigError("budget_usd needs prices, found none: give them, or bound budget_tokens")

    def __getstate__(self) -> dict[str, Any]:
        return {"prices": self.prices, "budget": self.budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def _begin(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._changing = threading.Lock()

    def hold(self, run: str, most: Usage) -> Hold:
        """Set aside what a request may cost at most.

        Raises:
            BackpressureError: the run's budget does not allow it; the message names the budget and what is spent.
        """
        with self._changing:
            return self._hold(run, most)

    def _hold(self, run: str, most: Usage) -> Hold:
        account = self._account(run)
        asked = Hold(run, self.prices.cost_usd(most), most.tokens)
        spent_usd = self.prices.cost_usd(account.spent)
        bounds = (
            ("budget_usd", self.budget.usd, spent_usd, account.held_usd, asked.usd),
            ("budget_tokens", self.budget.tokens, account.spent.tokens, account.held_tokens, asked.tokens),
        )
        for name, bound, spent, held, more in bounds:
            if bound is not None and spent + held + more > bound:
                account.refused += 1
                under_way = f" and set aside {held:.6g} for requests under way" if held else ""
                raise BackpressureError(
                    f"run {run!r} has spent {spent:.6g} of {name}={bound:.6g}{under_way}, and the next request may "
                    f"take {more:.6g}: raise {name}, or ask less",
                    retry_after_s=60.0,
                )
        account.held_usd += asked.usd
        account.held_tokens += asked.tokens
        return asked

    def settle(self, hold: Hold, used: Usage | None) -> float:
        """Replace what was set aside by what was used (None: nothing was); its price in US dollars."""
        with self._changing:
            account = self._account(hold.run)
            account.held_usd = max(0.0, account.held_usd - hold.usd)
            account.held_tokens = max(0, account.held_tokens - hold.tokens)
            account.spent += used or Usage()
        return 0.0 if used is None else self.prices.cost_usd(used)

    def spent(self, run: str) -> Spent:
        """What `run` has spent so far; nothing where it is unknown."""
        account = self._accounts.get(run) or _Account()
        return Spent(account.spent, self.prices.cost_usd(account.spent), account.refused)

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that are remembered, the one that asked longest ago first."""
        return tuple(self._accounts)

    def _account(self, run: str) -> _Account:
        account = self._accounts.setdefault(run, _Account())
        self._accounts.move_to_end(run)
        while len(self._accounts) > MAX_RUNS:
            self._accounts.popitem(last=False)
        return account
