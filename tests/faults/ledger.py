"""What became of every sample that was sent: the accounts that a fault must not upset.

What arrives: samples as they are sent, and what their callers got. What leaves: how many were scored, failed by kind,
lost, duplicated or given a wrong score, and how long nothing was scored.

A sample is a number and its right score is that number, so an invented score, another sample's or a default shows.
Numbers begin at 1: a 0 is always invented.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got for one sample.

    Attributes:
        score: the number, where there is one.
        failure: the kind of failure, where there is one.
        is_valid: whether the number was scored; else it stands in for a failure, as a trainer needs it.
    """

    score: float | None
    failure: str | None = None
    is_valid: bool = True


@dataclass(slots=True)
class Seen:
    """The least and the greatest score, of all transports: a run's mean is of those that share the run."""

    low: float = math.inf
    high: float = -math.inf


@dataclass(slots=True)
class Account:
    """One transport's samples.

    Attributes:
        lost: samples without an answer, with what their caller got instead.
        wrong: valid scores that are not their sample's, and stand-ins outside of what was ever scored.
        longest_gap_s: between two scored answers.
        gap_since_mark_s: the same, since somebody set it to 0.
    """

    sent: int = 0
    scored: int = 0
    filled: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[int, str]] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    wrong: list[tuple[int, float | None]] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    longest_gap_s: float = 0.0
    gap_since_mark_s: float = 0.0
    last_scored_s: float | None = None
    left: int = 0

    def note(self, number: int, answer: Answer, seen: Seen) -> None:
        """One sample's answer, and what was scored before it."""
        if answer.score is None:
            self.failed[answer.failure or "neither score nor failure"] += 1
        elif not answer.is_valid:
            self.filled += 1
            if not seen.low <= answer.score <= seen.high:
                self.wrong.append((number, answer.score))
        elif answer.score != number or answer.failure is not None:
            self.wrong.append((number, answer.score))
        else:
            self.scored += 1
            seen.low, seen.high = min(seen.low, number), max(seen.high, number)

    def note_time(self, started_s: float, now_s: float, *, has_score: bool) -> None:
        """One request's time."""
        self.took_s.append(now_s - started_s)
        if has_score:
            if self.last_scored_s is not None:
                gap_s = now_s - self.last_scored_s
                self.longest_gap_s = max(self.longest_gap_s, gap_s)
                self.gap_since_mark_s = max(self.gap_since_mark_s, gap_s)
            self.last_scored_s = now_s

    def quantile_s(self, share: float) -> float:
        """Seconds that `share` of the requests did not exceed."""
        ordered = sorted(self.took_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def summary(self) -> dict[str, object]:
        """As plain values."""
        return {
            "sent": self.sent,
            "scored": self.scored,
            "filled": self.filled,
            "failed": dict(self.failed),
            "left": self.left,
            "lost": len(self.lost),
            "duplicated": len(self.duplicated),
            "wrong": len(self.wrong),
            "p50_s": round(self.quantile_s(0.5), 4),
            "p99_s": round(self.quantile_s(0.99), 4),
            "longest_gap_s": round(self.longest_gap_s, 2),
        }


class Ledger:
    """Accounts by transport.

    Example:
        >>> ledger = Ledger()
        >>> numbers = ledger.send("http", 2)
        >>> ledger.settle("http", numbers, [Answer(1.0), Answer(None, "error")], started_s=0.0)
        >>> ledger.total("sent"), ledger.total("scored"), ledger.total("lost")
        (2, 1, 0)
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._numbers = itertools.count(1)
        self._seen = Seen()

    def account(self, transport: str) -> Account:
        """The transport's account."""
        return self.accounts.setdefault(transport, Account())

    def send(self, transport: str, count: int) -> list[int]:
        """`count` new samples, counted as sent."""
        self.account(transport).sent += count
        return list(itertools.islice(self._numbers, count))

    def settle(self, transport: str, numbers: Sequence[int], answers: Sequence[Answer], *, started_s: float) -> None:
        """What a request's samples got, in order."""
        account = self.account(transport)
        # Valid scores first, for a stand-in may be the mean of the siblings that came with it.
        for number, answer in sorted(zip(numbers, answers, strict=False), key=lambda pair: not pair[1].is_valid):
            account.note(number, answer, self._seen)
        account.lost += [(number, "no output") for number in numbers[len(answers) :]]
        account.duplicated += [numbers[-1]] * (len(answers) - len(numbers))
        has_score = any(answer.score is not None and answer.is_valid for answer in answers)
        account.note_time(started_s, time.monotonic(), has_score=has_score)

    def lose(self, transport: str, numbers: Sequence[int], why: BaseException) -> None:
        """A request's samples got no answer."""
        self.account(transport).lost += [(number, f"{type(why).__name__}: {why}") for number in numbers]

    def leave(self, transport: str, numbers: Sequence[int]) -> None:
        """Their caller has left, and wants no answer."""
        self.account(transport).left += len(numbers)

    def total(self, what: str) -> int:
        """Over all transports: a count, or how many are listed."""
        found = [getattr(account, what) for account in self.accounts.values()]
        return sum(len(one) if isinstance(one, list) else one for one in found)

    def failed(self) -> Counter[str]:
        """Failures by kind, over all transports."""
        return sum((account.failed for account in self.accounts.values()), Counter())

    def check(self, *, may_fail: frozenset[str] | set[str] = frozenset(), may_fill: bool = False) -> None:
        """Exactly one output a sample, in order, none invented, and no failure but of the kinds that may be.

        Raises:
            AssertionError: with the accounts.
        """
        accounts = {name: account.summary() for name, account in self.accounts.items()}
        for account in self.accounts.values():
            assert not account.lost, (account.lost[:5], accounts)
            assert not account.duplicated, (account.duplicated[:5], accounts)
            assert not account.wrong, (account.wrong[:5], accounts)
            assert set(account.failed) <= set(may_fail), accounts
            assert may_fill or not account.filled, accounts
            told = account.scored + account.filled + account.failed.total() + account.left
            assert told == account.sent, accounts
