"""The same sample under way twice is scored once.

What arrives: keys of samples that callers want scored. What leaves: who of them must have it scored (it leads), and,
when the score has come, an output for everyone who joined. It promises that whoever joins gets an output or is told
that its leader has left, never neither.

Pure: no clock, no tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rayreward.router.cache import Key
from rayreward.types import RewardOutput


@dataclass(slots=True, eq=False)
class Asker:
    """One caller that waits for samples of others.

    Attributes:
        outputs: by its own positions, filled as they come.
        left: positions whose leaders went away: to be asked again.
        missing: positions still open.
        on_done: called when none is.
    """

    outputs: list[RewardOutput | None]
    left: list[int] = field(default_factory=list)
    missing: int = 0
    on_done: Callable[[], None] | None = None

    def settle(self, position: int, output: RewardOutput | None) -> None:
        """One position is answered, or (None) must be asked again."""
        if output is None:
            self.left.append(position)
        else:
            self.outputs[position] = output
        self.missing -= 1
        if not self.missing and self.on_done is not None:
            self.on_done()


@dataclass(slots=True, eq=False)
class Flight:
    """One key under way."""

    key: Key
    rank: int
    leader_count: int = 1
    joined: list[tuple[Asker, int]] = field(default_factory=list)


class Twins:
    """Keys under way and who waits for them.

    Example:
        >>> twins, asker = Twins(), Asker([None])
        >>> flight = twins.join(("v1", b"key"), asker, 0, rank=0)  # the first leads
        >>> twins.join(("v1", b"key"), asker, 0, rank=0)  # the second waits
        >>> twins.land(flight, RewardOutput(0.5))
        >>> asker.outputs[0].score
        0.5
    """

    def __init__(self) -> None:
        self._flights: dict[Key, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: Key, asker: Asker, position: int, *, rank: int) -> Flight | None:
        """Wait for the twin under way (None), or lead: the flight is then to be landed or abandoned.

        A sample that is more urgent than its twin does not wait in that one's queue: it leads too, and the first
        answer serves all.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(key, rank)
            return flight
        if rank < flight.rank:
            flight.rank = rank
            flight.leader_count += 1
            return flight
        flight.joined.append((asker, position))
        asker.missing += 1
        return None

    def land(self, flight: Flight, output: RewardOutput) -> None:
        """The output has come: everyone who joined gets it."""
        self._settle(flight, output)

    def abandon(self, flight: Flight) -> None:
        """A leader went away without an output; where it was the last, those who joined must ask again."""
        flight.leader_count -= 1
        if flight.leader_count <= 0:
            self._settle(flight, None)

    def _settle(self, flight: Flight, output: RewardOutput | None) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        joined, flight.joined = flight.joined, []
        for asker, position in joined:
            asker.settle(position, output)
