import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from rayreward.errors import JobError, ServiceUnavailableError
from rayreward.jobs import submit as submit_module
from rayreward.jobs.submit import JobState, RayJobs

COMMAND = "python -m rayreward.jobs run"


class ScriptedJobs:
    """A cluster whose one job has a scripted log and goes through scripted states."""

    def __init__(
        self,
        *,
        states: Iterable[str] = ("SUCCEEDED",),
        logs: Iterable[Any] = (),
        code: int | None = 0,
        refusals: Iterable[str] = (),
    ) -> None:
        self.refusals = list(refusals)
        self.submitted: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.states = list(states)
        self.connections = iter(logs)
        self.code = code

    def submit_job(self, **options: Any) -> str:
        if self.refusals:
            raise RuntimeError(self.refusals.pop(0))
        self.submitted.append(options)
        return "job-1"

    def get_job_info(self, job_id: str) -> Any:
        if job_id != "job-1":
            raise RuntimeError(f"Request failed with status code 404: Job {job_id} does not exist.")
        status = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return SimpleNamespace(
            status=SimpleNamespace(value=status), message=None, driver_exit_code=self.code, metadata={"run_id": "run-1"}
        )

    def get_job_logs(self, job_id: str) -> str:
        return "everything"

    def stop_job(self, job_id: str) -> bool:
        self.stopped.append(job_id)
        return True

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        for piece in next(self.connections):
            if isinstance(piece, Exception):
                raise piece
            yield piece


def jobs_of(client: Any) -> RayJobs:
    return RayJobs("http://head:8265/", connect=lambda _: client)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_module, "POLL_INTERVAL_S", 0)


def test_importing_the_module_does_not_import_ray() -> None:
    code = "import sys, rayreward.jobs.submit, rayreward.jobs.preflight; print({'ray', 'torch'} & sys.modules.keys())"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_job_is_submitted_with_its_command_environment_and_run() -> None:
    client = ScriptedJobs()

    started = jobs_of(client).submit(
        COMMAND, job_id="mine", metadata={"run_id": "r"}, runtime_env={"working_dir": "/w"}, gpus=1.0
    )

    assert started == "job-1"
    assert client.submitted == [
        {
            "entrypoint": COMMAND,
            "runtime_env": {"working_dir": "/w"},
            "metadata": {"run_id": "r"},
            "submission_id": "mine",
            "entrypoint_num_gpus": 1.0,
        }
    ]


def test_a_job_waits_for_a_job_agent_that_is_still_starting() -> None:
    waited: list[float] = []
    client = ScriptedJobs(refusals=["500: No available agent to submit job"] * 3)

    assert RayJobs("http://head:8265", connect=lambda _: client, pause=waited.append).submit(COMMAND) == "job-1"

    assert waited == [1.0, 2.0, 4.0]


def test_any_other_refusal_is_told_at_once() -> None:
    waited: list[float] = []
    client = ScriptedJobs(refusals=["500: no such runtime_env"])

    with pytest.raises(JobError, match="no such runtime_env"):
        RayJobs("http://head:8265", connect=lambda _: client, pause=waited.append).submit(COMMAND)

    assert waited == []


def test_a_state_carries_the_driver_s_exit_code() -> None:
    state = jobs_of(ScriptedJobs(states=["FAILED"], code=3)).status("job-1")

    assert state == JobState("job-1", "FAILED", "", 3, run_id="run-1")
    assert state.has_ended
    assert state.exit_code == 3


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", None, 1), ("STOPPED", -15, 143), ("STOPPED", 0, 1)],
)
def test_the_exit_code_is_never_0_for_a_lost_job(status: str, code: int | None, expected: int) -> None:
    assert JobState("job-1", status, "", code).exit_code == expected


async def test_the_log_is_followed_line_by_line_until_the_job_ends() -> None:
    log = ["one\ntw", "o\n\n\x1b[36m(Actor)\x1b[0m three\r", "four"]
    jobs = jobs_of(ScriptedJobs(logs=[log], states=["SUCCEEDED"]))

    assert [line async for line in jobs.follow("job-1")] == ["one", "two", "(Actor) three", "four"]


async def test_a_broken_connection_is_taken_up_where_it_broke() -> None:
    logs = [["one\ntwo\n", RuntimeError("closed unexpectedly")], ["one\ntwo\nthree\n"]]
    jobs = jobs_of(ScriptedJobs(logs=logs, states=["RUNNING", "RUNNING", "SUCCEEDED"]))

    assert [line async for line in jobs.follow("job-1")] == ["one", "two", "three"]


async def test_a_log_whose_end_is_lost_says_so() -> None:
    jobs = jobs_of(ScriptedJobs(logs=[["one\n", RuntimeError("closed unexpectedly")]], states=["FAILED"]))

    with pytest.raises(JobError, match="end of the log of job 'job-1' is lost: closed"):
        _ = [line async for line in jobs.follow("job-1")]


async def test_waiting_lasts_until_the_state_is_final() -> None:
    jobs = jobs_of(ScriptedJobs(states=["PENDING", "RUNNING", "STOPPED"], code=-15))

    assert (await jobs.wait("job-1")).status == "STOPPED"


def test_logs_and_stop_are_passed_on() -> None:
    client = ScriptedJobs()
    jobs = jobs_of(client)

    assert jobs.logs("job-1") == "everything"
    assert jobs.stop("job-1")
    assert client.stopped == ["job-1"]


def test_an_unknown_job_is_a_job_error_with_ray_s_words() -> None:
    with pytest.raises(JobError, match=r"the state of job 'other': Ray at http://head:8265 refused: .* does not exist"):
        jobs_of(ScriptedJobs()).status("other")


def test_a_dashboard_that_cannot_be_reached_is_named_with_a_remedy() -> None:
    def refuse(_: str) -> Any:
        raise ConnectionError("Failed to connect to Ray")

    jobs = RayJobs("http://head:8265", connect=refuse)

    with pytest.raises(
        ServiceUnavailableError, match=r"no Ray dashboard answers at http://head:8265 .*ray start --head"
    ):
        jobs.submit(COMMAND)
