"""How long a sample may hold up those behind it in its process, and how many may do so at once.

What arrives: how long samples took, and who is set aside and comes back. What leaves: a bound in seconds, and a
permission. A slow sample that is set aside keeps its process until its own deadline, and another one goes on; beyond
`most_aside` of them a slow sample holds up its process, as if there were no patience at all, until one comes back.

Pure: no clock, no processes.
"""

from __future__ import annotations

LEAST_S = 0.25
"""Fifty times what another process costs, which is forked in 5 ms; a person or a training hardly notices it."""

_FIRST_S = 1.0
"""For the first sample of a process, while none has answered yet: it may open what load() must not (connections, a
GPU), and a process that is set aside for that is lost with what it has opened."""

_TIMES_USUAL = 4.0
"""A reward whose every sample takes a second is no slower than it must be: only what is far from usual is slow."""

_HALF_FORGOTTEN_SAMPLES = 32
"""After so many further samples an old one counts half: a hang here and there leaves what is usual as it was."""

MOST_ASIDE = 8
"""Processes of one replica that are at slow samples: each may use a core, and as much memory as `memory_bytes`."""

FEW_LATE = 64
"""Samples of one replica that calls on its thread or event loop were answered without. While more are open the replica
is busy, and what waits had better do so in the router, for whichever replica is free first."""

MOST_LATE = 4096
"""The same of a reward that only waits, for a judge say: its replica is busy with none of them."""


class Patience:
    """One reward's, in one replica.

    Args:
        least_s: seconds, whatever is usual.
        most_aside: samples at once.

    Example:
        >>> patience = Patience()
        >>> patience.note(100, took_s=0.1)
        >>> patience.limit_s
        0.25
        >>> patience.note(1000, took_s=1000.0)  # a second each
        >>> round(patience.limit_s)
        4
    """

    def __init__(self, *, least_s: float = LEAST_S, most_aside: int = MOST_ASIDE) -> None:
        self._least_s, self._most_aside = least_s, most_aside
        self._usual_s = 0.0
        self._usual_first_s: float | None = None
        self.aside_count = 0

    @property
    def limit_s(self) -> float:
        """How long a sample may take before it is slow."""
        return max(self._least_s, _TIMES_USUAL * self._usual_s)

    @property
    def first_limit_s(self) -> float:
        """The same for the first sample of a process."""
        if self._usual_first_s is None:
            return max(_FIRST_S, self.limit_s)
        return max(self.limit_s, _TIMES_USUAL * self._usual_first_s)

    def note_first(self, took_s: float) -> None:
        """The first sample of a process was answered in so long."""
        self._usual_first_s = took_s if self._usual_first_s is None else (self._usual_first_s + took_s) / 2

    def note(self, sample_count: int, *, took_s: float) -> None:
        """So many samples were answered, one after the other, in so long; none that was killed is among them."""
        if sample_count:
            weight = 1.0 - 0.5 ** (sample_count / _HALF_FORGOTTEN_SAMPLES)
            self._usual_s += weight * (took_s / sample_count - self._usual_s)

    @property
    def allows_another(self) -> bool:
        """Whether one more may be set aside."""
        return self.aside_count < self._most_aside

    def set_aside(self) -> None:
        """One is; a `come_back` must follow."""
        self.aside_count += 1

    def come_back(self) -> None:
        """One is answered, killed or given up."""
        self.aside_count -= 1
