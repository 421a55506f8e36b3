"""Trainings as Ray jobs: submit, follow, ask, stop.

What arrives: a command and the address of a cluster's dashboard. What leaves: a job id, its log line by line, and
a `JobState` whose exit code is the driver's own. What it promises: a dashboard that cannot be reached is a
`ServiceUnavailableError`, anything else that Ray refuses is a `JobError`; Ray is imported with the first call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rayreward.errors import JobError, ServiceUnavailableError
from rayreward.jobs.lines import split_lines

ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
"""Ray's job states that do not change any more."""

POLL_INTERVAL_S = 0.5
"""Between two questions for a job's state; Ray itself updates it about once a second."""

_NO_AGENT = "No available agent"
"""What Ray answers while a node's job agent is still starting; on a busy machine that outlasts the first replicas."""

_AGENT_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Before each new attempt: a minute in all, several times what an agent needs to start."""

Result = TypeVar("Result")


class JobClient(Protocol):
    """The part of Ray's ``JobSubmissionClient`` that is used here."""

    def submit_job(self, **options: Any) -> str:
        """Start a job."""

    def get_job_info(self, job_id: str) -> Any:
        """What is known of a job."""

    def get_job_logs(self, job_id: str) -> str:
        """All that a job has written."""

    def list_jobs(self) -> list[Any]:
        """What is known of all jobs."""

    def stop_job(self, job_id: str) -> bool:
        """Ask a job to end."""

    def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """All that a job has written, and then what it writes, in pieces."""


@dataclass(frozen=True)
class JobState:
    """How a job is doing.

    Attributes:
        job_id: Ray's submission id.
        status: ``PENDING``, ``RUNNING``, ``STOPPED``, ``SUCCEEDED`` or ``FAILED``.
        message: Ray's explanation.
        driver_exit_code: what the training's own process returned; None while it runs, or when it never started.
        run_id: the run that its rewards were asked for; None for a job that this package did not submit.
        service_url: of the router that scores it over HTTP; None where Ray, or an explicit URL, leads to its reward.
    """

    job_id: str
    status: str
    message: str
    driver_exit_code: int | None
    run_id: str | None = None
    service_url: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the state is final."""
        return self.status in ENDED

    @property
    def exit_code(self) -> int:
        """What a command line that waited for this job returns: the driver's code, and never 0 for a lost job."""
        if self.status == "SUCCEEDED":
            return 0
        # A signal is a negative code, which no process can return: 128 + n is the shells' way to say it.
        code = self.driver_exit_code or 1
        return 128 - code if code < 0 else code


@dataclass(frozen=True)
class JobListing:
    """A job among others.

    Attributes:
        started_s: seconds since 1970; None while it waits.
        name: of its spec; None for a job that this package did not submit.
    """

    job_id: str
    status: str
    started_s: float | None
    name: str | None
    entrypoint: str


class RayJobs:
    """The jobs of one cluster.

    Args:
        dashboard_url: the dashboard, as in ``http://127.0.0.1:8265``.
        connect: builds the client that talks to it; Ray's own by default.
        pause: how to wait for a number of seconds.
    """

    def __init__(
        self,
        dashboard_url: str,
        *,
        connect: Callable[[str], JobClient] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pause = pause
        self.dashboard_url = dashboard_url.rstrip("/")
        self._connect = connect or _connect_to_ray
        self._connected: JobClient | None = None

    def submit(
        self,
        entrypoint: str,
        *,
        job_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        gpus: float = 0.0,
    ) -> str:
        """Start a job; returns its id at once, long before it does anything.

        Args:
            entrypoint: a shell command.
            job_id: of the job; Ray makes one up where left out.
            metadata: stored with the job.
            runtime_env: Ray's own keys; a local `working_dir` is uploaded.
            gpus: that the command's own process takes.
        """
        options: dict[str, Any] = {
            "entrypoint": entrypoint,
            "runtime_env": dict(runtime_env or {}),
            "metadata": dict(metadata or {}),
        }
        if job_id is not None:
            options["submission_id"] = job_id
        if gpus:
            options["entrypoint_num_gpus"] = gpus
        what = f"submitting {job_id or entrypoint!r}"
        for pause_s in _AGENT_PAUSES_S:
            try:
                return self._ask(what, lambda client: client.submit_job(**options))
            except JobError as error:
                if _NO_AGENT not in str(error):
                    raise
                self._pause(pause_s)
        return self._ask(what, lambda client: client.submit_job(**options))

    def status(self, job_id: str) -> JobState:
        """How the job is doing."""
        info = self._ask(f"the state of job {job_id!r}", lambda client: client.get_job_info(job_id))
        return JobState(
            job_id=job_id,
            status=str(getattr(info.status, "value", info.status)),
            message=info.message or "",
            driver_exit_code=info.driver_exit_code,
            run_id=(info.metadata or {}).get("run_id"),
            service_url=(info.metadata or {}).get("service_url"),
        )

    def list_jobs(self) -> list[JobListing]:
        """The cluster's submitted jobs, the newest first.

        A driver that was not submitted (a notebook, an embedded cluster) has no id that the other calls know.
        """
        listed = self._ask("the list of jobs", lambda client: client.list_jobs())
        jobs = [_listing(info) for info in listed if info.submission_id is not None]
        return sorted(jobs, key=lambda job: job.started_s or 0.0, reverse=True)

    def logs(self, job_id: str) -> str:
        """All that the job has written so far."""
        return self._ask(f"the log of job {job_id!r}", lambda client: client.get_job_logs(job_id))

    def stop(self, job_id: str) -> bool:
        """Ask the job to end; False when it already had. `wait` says when it is gone."""
        return self._ask(f"stopping job {job_id!r}", lambda client: client.stop_job(job_id))

    async def follow(self, job_id: str) -> AsyncIterator[str]:
        """The job's log, line by line and without colours, until the job ends.

        A connection that breaks while the job runs is taken up again where it broke.
        """
        lines_seen = 0
        while True:
            try:
                async for line in self._read_from_line(job_id, lines_seen):
                    lines_seen += 1
                    yield line
            except (RuntimeError, OSError) as error:
                if (await asyncio.to_thread(self.status, job_id)).has_ended:
                    raise JobError(f"the end of the log of job {job_id!r} is lost: {error}") from error
            if (await asyncio.to_thread(self.status, job_id)).has_ended:
                return
            await asyncio.sleep(POLL_INTERVAL_S)

    async def wait(self, job_id: str) -> JobState:
        """The job's final state, once it has ended."""
        while True:
            state = await asyncio.to_thread(self.status, job_id)
            if state.has_ended:
                return state
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _read_from_line(self, job_id: str, start: int) -> AsyncIterator[str]:
        client = await asyncio.to_thread(self._ask, f"the log of job {job_id!r}", lambda client: client)
        position = 0
        async for line in split_lines(client.tail_job_logs(job_id)):
            position += 1
            if position > start:
                yield line

    def _ask(self, what: str, question: Callable[[JobClient], Result]) -> Result:
        try:
            if self._connected is None:
                self._connected = self._connect(self.dashboard_url)
            return question(self._connected)
        except OSError as error:  # builtin ConnectionError and everything that requests raises
            raise ServiceUnavailableError(
                f"{what}: no Ray dashboard answers at {self.dashboard_url} ({error}); start a cluster with "
                "ray start --head --include-dashboard=true, or give the right address"
            ) from error
        except RuntimeError as error:
            raise JobError(f"{what}: Ray at {self.dashboard_url} refused: {error}") from error


def _listing(info: Any) -> JobListing:
    return JobListing(
        job_id=info.submission_id,
        status=str(getattr(info.status, "value", info.status)),
        started_s=None if info.start_time is None else info.start_time / 1000,  # Ray counts milliseconds
        name=(info.metadata or {}).get("name"),
        entrypoint=info.entrypoint,
    )


def _connect_to_ray(dashboard_url: str) -> JobClient:
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise JobError(f"Ray's job client cannot be imported: {error}; pip install 'ray[default]'") from error
    client: JobClient = JobSubmissionClient(dashboard_url)
    return client
