from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rayreward import load_reward
from rayreward.cli.score import read_arguments
from rayreward.errors import ConfigError
from tests.cli.conftest import Run
from tests.cli.service import LengthService, length_service, rows

REWARDS = """
import os, psutil, signal, time
from rayreward import reward_function

@reward_function
def size(response, at=None):
    print("a reward may print what it likes", flush=True)
    return float(len(response))

@reward_function(timeout_s=1.0)
def moody(response):
    if len(response) == 1:
        raise ValueError("odd")
    if len(response) == 2:
        time.sleep(60)
    if len(response) == 3:
        os._exit(3)
    return 1.0

@reward_function
def assassin(response):
    if len(response) == 7 and "SIGNAL" in os.environ:
        asker = next(one for one in psutil.Process().parents() if "from rayreward.cli" in " ".join(one.cmdline()))
        asker.send_signal(int(os.environ["SIGNAL"]))
        time.sleep(60)
    return float(len(response))
"""


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "rewards.py").write_text(REWARDS)
    (folder / "data.jsonl").write_text(rows(10))
    return folder


@pytest.fixture
def service() -> Iterator[LengthService]:
    with length_service() as running:
        yield running


def outputs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def score(run: Run, *words: object) -> Any:
    return run("score", "data.jsonl", "--out", "out.jsonl", *words)


def test_a_file_is_scored_by_a_built_in_and_summed_up(run: Run, files: Path) -> None:
    ended = score(run, "--reward", "length", "--arg", "target_length=1")
    assert ended.code == 0
    assert "samples   10\nscored    10\nfailed    none\n" in ended.out
    assert "data.jsonl: prompt=prompt, response=response" in ended.err
    assert [output["id"] for output in outputs(files)] == [f"s{n}" for n in range(10)]


def test_json_is_all_that_stdout_holds_whatever_the_reward_prints(files: Path) -> None:
    ended = call("--reward", "rewards.py::size", "--json")
    summary = json.loads(ended.stdout)
    assert (summary["mean"], summary["min"], summary["max"]) == (4.5, 0.0, 9.0)
    assert "a reward may print what it likes" in ended.stderr


def test_an_output_has_the_version_that_the_reward_has_here(run: Run, files: Path) -> None:
    score(run, "--reward", "rewards.py::size")
    assert outputs(files)[0]["version"] == load_reward("rewards.py::size").version


def test_failures_are_data_unless_they_are_asked_to_fail_the_command(run: Run, files: Path) -> None:
    ended = score(run, "--reward", "rewards.py::moody", "--processes", 2)
    assert ended.code == 0
    kinds = [output["failure"] and output["failure"]["kind"] for output in outputs(files)]
    assert kinds == [None, "error", "timeout", "crashed", *[None] * 6]
    assert score(run, "--reward", "rewards.py::moody", "--fail-on-failure").code == 1


def test_the_deadline_can_be_set(run: Run, files: Path) -> None:
    score(run, "--reward", "rewards.py::moody", "--timeout", 0.1)
    assert "within 0.1 s" in outputs(files)[2]["failure"]["message"]


@pytest.mark.parametrize(("number", "code"), [(9, -9), (2, 130)])
def test_a_killed_or_interrupted_scoring_goes_on_where_it_stopped(files: Path, number: int, code: int) -> None:
    words = ("--reward", "rewards.py::assassin", "--batch", 1)
    ended = call(*words, SIGNAL=number)
    assert ended.returncode == code
    written = (files / "out.jsonl").read_bytes()
    assert written.count(b"\n") < 10
    if code == 130:
        assert "the same command goes on from there" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert call(*words).returncode == 0
    assert (files / "out.jsonl").read_bytes().startswith(written)
    assert [output["score"] for output in outputs(files)] == [float(n) for n in range(10)]


def call(*words: object, **environ: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-c", "from rayreward.cli import main; main()", "score", "data.jsonl"]
    env = {**os.environ, **{key: str(value) for key, value in environ.items()}}
    arguments = ["--out", "out.jsonl", *map(str, words)]
    return subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, check=False)


def test_what_is_there_already_is_said_and_counted(run: Run, files: Path) -> None:
    score(run, "--reward", "rewards.py::size")
    ended = score(run, "--reward", "rewards.py::size", "--json")
    assert json.loads(ended.out)["resumed"] == 10
    assert "out.jsonl has 10 lines already" in ended.err


def test_another_version_of_the_reward_cannot_add_to_a_file(run: Run, files: Path) -> None:
    score(run, "--reward", "rewards.py::size")
    ended = score(run, "--reward", "rewards.py::size", "--arg", "at=3")
    assert ended.code == 2
    assert "were scored by version" in ended.err


def test_a_service_scores_by_its_reward_of_that_name(run: Run, files: Path, service: LengthService) -> None:
    ended = score(run, "--reward", "length", "--endpoint", service.url, "--batch", 3)
    assert ended.code == 0
    assert [output["score"] for output in outputs(files)] == [float(n) for n in range(10)]
    assert set(service.runs) == {"score:out"}
    assert set(service.priorities) == {"batch"}, "a training goes first"


def test_a_service_that_was_updated_cannot_add_to_a_file(run: Run, files: Path, service: LengthService) -> None:
    score(run, "--reward", "length", "--endpoint", service.url)
    service.version = "v2"
    ended = score(run, "--reward", "length", "--endpoint", service.url)
    assert ended.code == 2
    assert "scored by version v1 of the reward, which is now v2" in ended.err


def test_a_reward_that_the_service_lacks_is_named_with_the_nearest(
    run: Run, files: Path, service: LengthService
) -> None:
    ended = score(run, "--reward", "lenght", "--endpoint", service.url)
    assert ended.code == 2
    assert "did you mean 'length'?" in ended.err


def test_the_token_comes_from_the_environment(
    run: Run, files: Path, service: LengthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.token = "secret"
    words = ("--reward", "length", "--endpoint", service.url, "--token-env", "MY_TOKEN")
    assert "the environment has no such variable" in score(run, *words).err
    monkeypatch.setenv("MY_TOKEN", "wrong")
    assert score(run, *words).code == 2
    monkeypatch.setenv("MY_TOKEN", "secret")
    assert score(run, *words).code == 0


def test_a_reward_that_is_taken_down_ends_the_command_and_keeps_the_lines(
    run: Run, files: Path, service: LengthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayreward.cli.score._REQUESTS_AT_ONCE", 1)
    service.scores_requests = 2
    ended = score(run, "--reward", "length", "--endpoint", service.url, "--batch", 2)
    assert ended.code == 3
    assert "it was taken down" in ended.err
    assert "out.jsonl holds 4 whole lines; the same command goes on from there" in ended.err


def test_a_service_that_is_not_there_is_unreachable(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayreward.cli.score._LISTING_LIMIT_S", 0.01)
    ended = score(run, "--reward", "length", "--endpoint", "http://127.0.0.1:9")
    assert ended.code == 3
    assert "http://127.0.0.1:9/v1/rewards cannot be reached" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reward", "lenght"], "did you mean 'length'?"),
        (["--reward", "rewards.py"], "has 3 rewards; say which"),
        (["--reward", "rewards.py::siez"], "did you mean 'size'?"),
        (["--reward", "length", "--response-key", "said"], "found the columns id, prompt, response"),
        (["--reward", "length", "--arg", "3"], "is not of the form key=value"),
        (["--reward", "length", "--token-env", "X"], "give --endpoint too"),
        (["--reward", "x", "--endpoint", "http://x", "--arg", "a=1"], "belong to a local reward"),
        (["--reward", "x", "--endpoint", "localhost:8000"], "must be an http:// or https:// URL"),
        (["--reward", "length", "--bach", "3"], "--batch"),
        ([], "--reward"),
    ],
)
def test_a_mistake_in_the_call_names_the_remedy_and_touches_nothing(
    run: Run, files: Path, words: list[str], message: str
) -> None:
    ended = score(run, *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (files / "out.jsonl").exists()


def test_arguments_are_json_where_they_can_be_read_as_such() -> None:
    assert read_arguments(["a=1", "b=[1, 2]", "c=x=y", "d=", 'e="1"']) == {
        "a": 1, "b": [1, 2], "c": "x=y", "d": "", "e": "1",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="a is given twice"):
        read_arguments(["a=1", "a=2"])
