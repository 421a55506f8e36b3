"""The real command lines of other OpenRLHF versions, from the wheels that pip downloads."""

import subprocess
import sys
from pathlib import Path

import pytest

from rayreward.jobs.openrlhf.parser import OpenRLHFParser, installed_parser, wheel_parser

DOWNLOADED_VERSIONS = ("0.8.11", "0.9.1", "0.9.7", "0.9.10", "0.10.4", "0.11.1")
"""The last before each larger change of names or defaults, and the oldest; the newest is the installed one."""


def start_download(version: str, folder: Path) -> "subprocess.Popen[str]":
    # OpenRLHF's wheels are tagged for one Python and one platform, though they hold nothing but Python files.
    anywhere = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--platform=manylinux1_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--retries=1"]
    return subprocess.Popen(
        [*command, *anywhere, f"--dest={folder}", f"openrlhf=={version}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def real_parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OpenRLHFParser]:
    """By version, of those that pip can download and of the installed one."""
    folder = tmp_path_factory.mktemp("openrlhf-wheels")
    downloads = {version: start_download(version, folder) for version in DOWNLOADED_VERSIONS}
    for version, download in downloads.items():
        _, errors = download.communicate(timeout=120)
        if download.returncode and "from versions: none" in errors:
            pytest.skip("pip reaches no package index, so the real parsers of older OpenRLHF cannot be read")
        assert download.returncode == 0, f"pip download openrlhf=={version}: {errors}"
    found = [wheel_parser(path) for path in sorted(folder.glob("*.whl"))]
    installed = installed_parser()
    return {parser.version: parser for parser in [*found, *([installed] if installed else [])]}
