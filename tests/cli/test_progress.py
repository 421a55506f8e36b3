from __future__ import annotations

from rayreward.cli.progress import BarReporter, LineReporter, describe
from rayreward.scoring import Progress

HALF = Progress(samples=60, new_samples=40, failed=2, done_bytes=500, total_bytes=1000)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_line_counts_what_this_call_did_and_guesses_the_rest() -> None:
    assert describe(HALF, 20.0) == "60 samples (50 %), 2 failed, 2.0 samples/s, about 30 s left"


def test_a_log_gets_a_line_every_ten_seconds_also_when_nothing_moves() -> None:
    clock, lines = Clock(), list[str]()
    reporter = LineReporter(lines.append, clock)
    for second in range(1, 31):
        clock.now_s = 100.0 + second
        if second == 15:
            reporter.update(HALF)
        reporter.tick()
    assert lines[0] == "no batch is finished after 10 s"
    assert [line.split(",")[0] for line in lines[1:]] == ["60 samples (50 %)"] * 2


def test_a_bar_is_drawn_with_every_batch() -> None:
    drawn: list[tuple[float, str]] = []
    clock = Clock()
    reporter = BarReporter(lambda done, text: drawn.append((done, text)), clock)
    clock.now_s += 20.0
    reporter.update(HALF)
    assert drawn == [(0.5, describe(HALF, 20.0))]
