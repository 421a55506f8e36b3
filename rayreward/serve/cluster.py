"""A Ray cluster inside this process, for demos, laptops and tests: started, used, and gone again without a trace.

What arrives: how large it should look. What leaves: a running Ray with Serve on a free port, and, on leaving, nothing:
every process that it started has ended and its folder is removed, also after Ctrl-C. Clusters of others on this
machine are not touched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from rayreward.errors import ConfigError
from rayreward.serve.port_keeper import TITLE

_END_LIMIT_S = 20.0
"""How long processes may take to end by themselves before they are killed."""

_ENVIRONMENT = {
    # A local cluster needs no token, and a token left behind by another one would lock us out of this one.
    "RAY_AUTH_MODE": "disabled",
    # Ray starts workers at nice 15; on a busy laptop Serve would starve behind everything else.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A busy laptop needs longer than Ray's 30 s for the dashboard's modules and the node's own processes.
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "180",
    "RAY_raylet_start_wait_time_s": "180",
}

_PORTS_ON_REQUEST = range(20_000, 30_000)
"""Below Linux's own choice (from 32768 on), above what services usually have, beside Serve's 30000 to 31000 and the
10002 to 19999 of the workers of a Ray that was started by hand."""


class EmbeddedCluster:
    """A local Ray with Serve; use it as a context manager.

    Args:
        cpus: how many CPUs Ray may hand out; more than there are lets idle actors share them.
        gpus: pretended GPUs, for trainings of the CPU profile whose actors ask for one each.
        host: where Serve listens.
        port: Serve's HTTP port; a free one by default.
        needs_dashboard: whether jobs are to be submitted; the dashboard takes seconds and memory.

    Attributes:
        url: of Serve's HTTP proxy.
        dashboard_url: for job submission; None without dashboard.
        address: of the cluster, for `ray.init`; a job must be told where several Rays share a machine.
        folder: for temporary files, removed at the end; "" while the cluster does not run.

    Raises:
        ConfigError: the port is in use, or this process is connected to a cluster already.
    """

    def __init__(
        self,
        *,
        cpus: int = 8,
        gpus: int = 0,
        host: str = "127.0.0.1",
        port: int | None = None,
        needs_dashboard: bool = False,
    ) -> None:
        self._cpus, self._gpus, self._host, self._needs_dashboard = cpus, gpus, host, needs_dashboard
        self._port = free_port(host) if port is None else port
        if port is not None:
            check_port(host, port)
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self._port}"
        self.dashboard_url: str | None = None
        self.address = ""
        self.folder = ""

    def __enter__(self) -> Self:
        os.environ.update({name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()})
        import ray
        from ray import serve

        if ray.is_initialized():
            raise ConfigError("this process is connected to a Ray cluster already; an embedded one would replace it")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        _let_job_agent_choose_its_port()
        # Short: Ray puts sockets into it, whose paths may be 107 bytes long.
        self.folder = tempfile.mkdtemp(prefix="rayreward-")
        try:
            with _children_spared_from_interrupts():
                context = ray.init(
                    num_cpus=self._cpus,
                    num_gpus=self._gpus,
                    include_dashboard=self._needs_dashboard,
                    dashboard_port=free_port("127.0.0.1") if self._needs_dashboard else None,
                    _temp_dir=self.folder,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    address="local",
                )
                self.address = context.address_info["gcs_address"]
                self.dashboard_url = f"http://{context.dashboard_url}" if self._needs_dashboard else None
                serve.start(http_options={"host": self._host, "port": self._port})
        except BaseException:
            self._end()
            raise
        return self

    def fast_url(self, prefix: str = "") -> str | None:
        """The own port of the router that is mounted at `prefix`; None where it has none, and `url` is the way."""
        answer = httpx.get(f"{self.url}{prefix}/v1/service", timeout=30.0, trust_env=False)
        found: str | None = answer.raise_for_status().json()["fast_url"]
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """End everything; a second Ctrl-C meanwhile must not leave half of it behind."""
        import psutil
        import ray
        from ray import serve

        with _without_interrupts():
            started = psutil.Process().children(recursive=True)
            started += _processes_with_temporary_files_in(self.folder)
            started += _port_keepers_of(started)
            ray.shutdown()
            # Else the next cluster of this process would be asked for this one's controller.
            serve.context._set_global_client(None)
            _, alive = psutil.wait_procs(started, timeout=_END_LIMIT_S)
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=_END_LIMIT_S)
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)


def _processes_with_temporary_files_in(folder: str) -> list[Any]:
    """Those that have TMPDIR here: vLLM's engine outlives the actor that Ray kills, and is nobody's child then."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if folder and process.environ().get("TMPDIR") == folder:
                found.append(process)
    return found


def _port_keepers_of(started: Collection[Any]) -> list[Any]:
    """Those that end with one of these processes, and are nobody's children."""
    import psutil

    pids, found = {str(process.pid) for process in started}, []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if TITLE in words and words[-1] in pids:
                found.append(process)
    return found


def _let_job_agent_choose_its_port() -> None:
    """Keep this cluster's job agent off port 52365, which the first Ray of every machine takes.

    `ray.init` has no parameter for it (``ray start`` has), and where the port is taken the agent gives up silently:
    jobs are then refused with "No available agent" for as long as the cluster lives. Seen on Ray 2.55 with a second
    cluster on the machine.
    """
    from ray._private.parameter import RayParams
    from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT as TAKEN

    defaults = RayParams.__init__.__defaults__ or ()
    RayParams.__init__.__defaults__ = tuple(0 if default == TAKEN else default for default in defaults)


def free_port(host: str) -> int:
    """A TCP port of `host` that nobody listens on, and that Linux gives to nobody who asks for any port.

    Between the answer and its use Ray opens dozens of connections, each from a port of the kernel's choice: a port
    chosen by the kernel here was one of those before the dashboard could take it, about once in fifty clusters.
    """
    for port in random.sample(_PORTS_ON_REQUEST, k=len(_PORTS_ON_REQUEST)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise ConfigError(f"every port of {host} from {_PORTS_ON_REQUEST[0]} to {_PORTS_ON_REQUEST[-1]} is in use")


def check_port(host: str, port: int) -> None:
    """Refuse a port that is taken.

    Raises:
        ConfigError: somebody listens there, or this user may not.
    """
    with socket.socket() as probe:
        # As servers do: a port whose last user has just ended counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"port {port} on {host} cannot be used: {error.strerror}; choose another one") from None


@contextlib.contextmanager
def _children_spared_from_interrupts() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all of them at once.

    Ray's dashboard would die of it before this process has ended what runs, and every request to it would hang.
    """
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept: dict[int, Any] = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
