"""What to tell a trainer that must get a number for a sample that has none.

What arrives: which samples of a run are under way, and their scores as they come. What leaves: the number that
teaches nothing: the mean of the valid samples of the same prompt, for then the failed one's advantage is about zero;
else the mean of the run's latest scores. Where the run has no valid score at all it is 0 for every sample alike,
which again is no advantage for any; the answer says that it is not valid in either case.

Pure: scores and times are handed in.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

_RECENT_SCORES = 512
"""Scores a run's mean is taken over: a few rollout batches, so that it follows the policy as it learns."""

_MAX_SIBLINGS = 64
"""Scores a prompt's mean is taken over: the latest, for a small data set asks the same prompt in every step."""

_MAX_GROUPS = 20_000
"""Prompts remembered, by their hash; about 2 kB each at most. The oldest go first."""

_MAX_RUNS = 1_000
"""Runs remembered; about 16 kB each. The one that was silent longest goes first: names come from the network."""

_GROUP_LIFE_S = 600.0
"""A prompt that comes back later than this comes from another policy: its old scores are no siblings."""


_Key = tuple[str, int, int]
"""Run, prompt's hash, prompt's length."""


@dataclass(slots=True)
class _Group:
    size: int | None = None
    open_count: int = 0
    ended_count: int = 0
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_SIBLINGS))
    touched_s: float = 0.0


@dataclass(slots=True)
class _Run:
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT_SCORES))


class NeutralMeans:
    """Means over siblings and runs.

    Example:
        >>> means = NeutralMeans()
        >>> for sample in ("scored", "failed"):
        ...     means.begin("run", "2 + 2?", now_s=0.0)
        >>> means.finish("run", "2 + 2?", 0.5, now_s=1.0)
        >>> means.finish("run", "2 + 2?", None, now_s=1.0)
        >>> means.neutral("run", "2 + 2?")
        0.5
    """

    def __init__(self) -> None:
        self._groups: OrderedDict[_Key, _Group] = OrderedDict()
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    def begin(self, run: str, prompt: str, *, size: int | None = None, now_s: float) -> None:
        """A sample of this prompt is under way, one of `size` where that is known."""
        key = _key(run, prompt)
        group = self._groups.get(key)
        if group is None or (not group.open_count and now_s - group.touched_s > _GROUP_LIFE_S):
            group = self._groups[key] = _Group()
            if len(self._groups) > _MAX_GROUPS:
                self._groups.popitem(last=False)
        group.size = size or group.size
        group.open_count += 1
        group.touched_s = now_s
        self._groups.move_to_end(key)

    def finish(self, run: str, prompt: str, score: float | None, *, now_s: float) -> None:
        """A sample of this prompt is scored, or has failed (None)."""
        group = self._groups.get(_key(run, prompt))
        if group is not None:
            group.open_count -= 1
            group.ended_count += 1
            group.touched_s = now_s
            if score is not None:
                group.scores.append(score)
        if score is not None:
            self._run(run).recent.append(score)

    def run_means(self, most: int) -> dict[str, float]:
        """The means of the runs that had a score last, at `most` so many."""
        latest = itertools.islice(reversed(self._runs.items()), most)
        return {run: sum(known.recent) / len(known.recent) for run, known in latest}

    def restore(self, means: Mapping[str, float]) -> None:
        """What another process knew of the runs: each counts as one score, which the next ones outweigh."""
        for run, mean in reversed(list(means.items())):
            self._run(run).recent.append(mean)

    def is_settled(self, run: str, prompt: str) -> bool:
        """Whether all siblings have ended.

        Where nobody said how many they are: one has a score, and none is under way.
        """
        group = self._groups.get(_key(run, prompt))
        if group is None or group.open_count > 0:
            return False
        return bool(group.scores) if group.size is None else group.ended_count >= group.size

    def neutral(self, run: str, prompt: str) -> float:
        """The number for a failed sample, from what is known now."""
        group = self._groups.get(_key(run, prompt))
        if group is not None and group.scores:
            return sum(group.scores) / len(group.scores)
        known = self._runs.get(run)
        return sum(known.recent) / len(known.recent) if known is not None else 0.0

    def _run(self, name: str) -> _Run:
        """The run, which counts as the latest one now."""
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = _Run()
            if len(self._runs) > _MAX_RUNS:
                self._runs.popitem(last=False)
        else:
            self._runs.move_to_end(name)
        return run


def _key(run: str, prompt: str) -> _Key:
    """A prompt may hold a megabyte; twenty thousand of them are not kept.

    Python's own keyed hash, which a text keeps once it is computed: among so many prompts two share it about once in
    10^11 services, and one failed sample would get another prompt's mean.
    """
    return run, hash(prompt), len(prompt)
