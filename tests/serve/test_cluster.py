from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray

SCRIPT = """
import threading
from rayreward.serve.cluster import EmbeddedCluster

with EmbeddedCluster(needs_dashboard=True) as cluster:
    print(cluster.folder, flush=True)
    threading.Event().wait()
"""


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
