from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import JobError
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.submit import RayJobs

JOB = RenderedJob(name="a", run_id="r", argv=("python", "-V"), env_vars={}, reward_urls=())


class Starting:
    """A cluster whose job agent is not there for the first calls."""

    def __init__(self, refusals: int, message: str) -> None:
        self.refusals, self.message = refusals, message

    def submit_job(self, **_: Any) -> str:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError(self.message)
        return "job-1"


def test_a_job_waits_for_an_agent_that_is_still_starting() -> None:
    waited: list[float] = []
    jobs = RayJobs(
        "http://x", connect=lambda _: Starting(3, "500: No available agent to submit job"), pause=waited.append
    )
    assert jobs.submit(JOB) == "job-1"
    assert waited == [1.0, 2.0, 4.0]


def test_any_other_refusal_is_told_at_once() -> None:
    waited: list[float] = []
    jobs = RayJobs("http://x", connect=lambda _: Starting(1, "no such runtime_env"), pause=waited.append)
    with pytest.raises(JobError, match="no such runtime_env"):
        jobs.submit(JOB)
    assert waited == []
