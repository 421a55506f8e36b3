from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rayreward.log.record import LogRecord, RewardLog, encode_record
from rayreward.sample import Sample
from rayreward.types import FailureKind, MetricRewardOutput, RewardOutput, Timings


def record(sample: Sample | None = None, output: RewardOutput | None = None) -> LogRecord:
    return LogRecord.of("length", sample or Sample(response="a"), output or RewardOutput(1.0), run="r1", answered=1.0)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_tells_what_a_sample_was_given_and_why(tmp_path: Path) -> None:
    log = RewardLog(tmp_path / "new" / "folder", writer="router")
    output = RewardOutput(
        0.5, {"format": MetricRewardOutput(0.25)}, reason="short", version="abc", timings=Timings(0.1, 0.2, 0.1, 8)
    )
    log.add(record(Sample(prompt="q", response="a", label="4", id="7"), output))
    log.add(record(output=RewardOutput.failed(FailureKind.TIMEOUT, "slow")))
    log.close()
    scored, failed = lines(log.path)
    assert log.path.name == "rewards-router.jsonl"
    assert scored | {
        "reward": "length", "run": "r1", "id": "7", "prompt": "q", "response": "a", "label": "4", "score": 0.5,
        "components": {"format": 0.25}, "reason": "short", "version": "abc", "batch_samples": 8, "failure_kind": None,
    } == scored  # fmt: skip
    assert (failed["score"], failed["failure_kind"], failed["failure_message"]) == (None, "timeout", "slow")


def test_lines_keep_their_order_and_follow_those_of_an_earlier_writer(tmp_path: Path) -> None:
    for part in range(2):
        log = RewardLog(tmp_path, writer="w")
        for position in range(3000):
            log.add(record(Sample(response=str(part * 3000 + position))))
        log.close()
    assert [line["response"] for line in lines(log.path)] == [str(position) for position in range(6000)]


def test_long_texts_keep_their_end(tmp_path: Path) -> None:
    found = json.loads(encode_record(record(Sample(prompt="p" * 1_000_000, response="r" * 1_000_000 + "####4"))))
    assert len(found["prompt"]) == len(found["response"]) == 2000
    assert found["response"].endswith("####4")


@pytest.mark.parametrize(
    "label",
    [
        "\ud800", 2**70, pytest.param(10**5000, id="huge"), {(1, 2): 3}, np.int64(4), np.arange(3), object(),
        float("nan"), json.loads("[" * 900 + "]" * 900),
    ],
)  # fmt: skip
def test_a_label_that_json_cannot_hold_loses_no_line(tmp_path: Path, label: Any) -> None:
    log = RewardLog(tmp_path, writer="w")
    for value in (label, "next"):
        log.add(record(Sample(response="a", label=value)))
    log.close()
    assert [line["label"] for line in lines(log.path)][1] == "next"
    assert log.dropped_count == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's always full disk")
def test_a_full_disk_drops_lines_and_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / "rewards-w.jsonl").symlink_to("/dev/full")
    log = RewardLog(tmp_path, writer="w")
    for _ in range(3):
        log.add(record())
    log.close()
    assert log.dropped_count == 3


def test_a_line_that_the_disk_cut_spoils_no_other(tmp_path: Path) -> None:
    class Disk:
        """Takes ten bytes, then is full once."""

        def __init__(self, file: Any) -> None:
            self.file = file
            self.answers: list[Any] = [10, OSError("no space left on device")]

        def write(self, data: bytes) -> int:
            answer = self.answers.pop(0) if self.answers else len(data)
            if isinstance(answer, OSError):
                raise answer
            return int(self.file.write(data[:answer]))

        def close(self) -> None:
            self.file.close()

    log = RewardLog(tmp_path, writer="w")
    log._file = Disk(log._file)  # type: ignore[assignment]
    log._append([encode_record(record())])
    log._append([encode_record(record(Sample(response="b")))])
    log.close()
    torn, whole = log.path.read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(whole)["response"] == "b"
    assert log.dropped_count == 1


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RewardLog(tmp_path / "file", writer="w")
