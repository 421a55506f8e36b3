from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rayreward.serve.cluster import free_port

pytestmark = pytest.mark.ray

SCRIPT = """
import threading
from rayreward.serve.cluster import EmbeddedCluster

with EmbeddedCluster(needs_dashboard=True) as cluster:
    print(cluster.folder, flush=True)
    threading.Event().wait()
"""


def test_a_free_port_is_not_taken_by_connections_that_are_opened_before_it_is_used() -> None:
    chosen_by_linux = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    port = free_port("127.0.0.1")
    assert port < int(chosen_by_linux[0])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        assert free_port("127.0.0.1") != port


KEEPS_A_PORT = """
import sys, psutil
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster, free_port
from rayreward.serve.port_keeper import TITLE

with EmbeddedCluster() as cluster:
    from ray import serve

    port = free_port("127.0.0.1")
    reward = {"name": "length", "builtin": "length", "args": {"target": 1}, "in_router": True}
    serve.run(build_app(ServiceConfig.parse({"rewards": [reward], "listen": {"port": port}}, source="tests")))
    where = f"127.0.0.1:{port}"
    [keeper] = [one for one in psutil.process_iter(["cmdline"]) if {TITLE, where} <= set(one.info["cmdline"] or ())]
sys.exit(keeper.is_running() and keeper.status() != psutil.STATUS_ZOMBIE)
"""


def test_a_cluster_takes_the_keepers_of_its_ports_along() -> None:
    assert subprocess.run([sys.executable, "-c", KEEPS_A_PORT], check=False, timeout=240).returncode == 0


def test_ctrl_c_in_a_terminal_leaves_no_process_and_no_folder() -> None:
    # A terminal sends the interrupt to every process of the group, Ray's own among them.
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert not folder.exists()
