from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rayreward.errors import InvalidOutputError, ServiceUnavailableError
from rayreward.sample import Sample
from rayreward.scoring import Columns, DataFile, OutputFile, Progress, score_file
from rayreward.types import RewardOutput


@pytest.fixture
def data(tmp_path: Path) -> DataFile:
    path = tmp_path / "data.jsonl"
    rows = [json.dumps({"response": str(number)}) for number in range(10)]
    rows[3] = "broken"
    path.write_text("\n".join(rows) + "\n")
    return DataFile(path, Columns())


@pytest.fixture
def out(data: DataFile, tmp_path: Path) -> Iterator[OutputFile]:
    with OutputFile(tmp_path / "out.jsonl", data) as file:
        yield file


def scores(out: OutputFile) -> list[float | None]:
    return [json.loads(line)["score"] for line in out.path.read_text().splitlines()]


def output_of(sample: Sample) -> RewardOutput:
    return RewardOutput(float(sample.response))


async def score_at_once(samples: Sequence[Sample]) -> list[RewardOutput]:
    return [output_of(sample) for sample in samples]


ALL = [0, 1, 2, None, 4, 5, 6, 7, 8, 9]


async def test_every_line_gets_its_output_in_order_and_a_broken_one_fails_alone(
    data: DataFile, out: OutputFile
) -> None:
    told: list[Progress] = []
    await score_file(data, out, score_at_once, batch_samples=4, batches_at_once=2, on_progress=told.append)
    assert scores(out) == ALL
    assert [progress.samples for progress in told] == [4, 8, 10]
    assert (told[-1].failed, told[-1].done_bytes) == (1, told[-1].total_bytes)


async def test_answers_that_come_in_another_order_are_written_in_the_datas(data: DataFile, out: OutputFile) -> None:
    last_is_sent = asyncio.Event()

    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        if samples[-1].response == "9":
            last_is_sent.set()
        await last_is_sent.wait()
        return [output_of(sample) for sample in samples]

    await score_file(data, out, send, batch_samples=3, batches_at_once=4)
    assert scores(out) == ALL


async def test_no_more_batches_are_under_way_than_asked_for(data: DataFile, out: OutputFile) -> None:
    under_way, most = 0, 0

    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        return [output_of(sample) for sample in samples]

    await score_file(data, out, send, batch_samples=1, batches_at_once=3)
    assert most == 3


async def test_an_error_stops_everything_and_keeps_the_lines_before_it(data: DataFile, out: OutputFile) -> None:
    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        if samples[0].response == "6":
            raise ServiceUnavailableError("gone")
        return [output_of(sample) for sample in samples]

    with pytest.raises(ServiceUnavailableError):
        await score_file(data, out, send, batch_samples=2, batches_at_once=3)
    assert scores(out) == ALL[:6]
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_scoring_keeps_whole_lines_and_a_second_one_ends_it(data: DataFile, out: OutputFile) -> None:
    is_stuck = asyncio.Event()

    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        if samples[0].response == "8":
            is_stuck.set()
            await asyncio.Event().wait()
        return [output_of(sample) for sample in samples]

    scoring = asyncio.create_task(score_file(data, out, send, batch_samples=2, batches_at_once=1))
    await is_stuck.wait()
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert scores(out) == ALL[:8]
    out.__exit__(None, None, None)
    with OutputFile(out.path, data) as again:
        await score_file(data, again, score_at_once, batch_samples=2, batches_at_once=1)
    assert scores(out) == ALL


async def test_a_wrong_number_of_outputs_is_never_written(data: DataFile, out: OutputFile) -> None:
    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        return [RewardOutput(1.0)]

    with pytest.raises(InvalidOutputError, match="2 samples were sent, 1 outputs"):
        await score_file(data, out, send, batch_samples=2, batches_at_once=1)
    assert scores(out) == []
