from __future__ import annotations

import os
from pathlib import Path

import pytest

from rayreward.sandbox.inside import folders


def test_a_folder_is_emptied_whatever_is_in_it_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "a" / "..moved-1").mkdir()
    (folder / "..moved-1").mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "a" / "link").symlink_to(outside)
    (folder / "a" / "b").chmod(0)
    folders.empty(str(folder))
    assert list(folder.iterdir()) == []
    assert (outside / "kept").exists()


def test_a_folder_as_deep_as_no_recursion_goes_is_emptied(tmp_path: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(3_000):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(here)
    assert folders.size_bytes(str(tmp_path), at_most=1 << 30) > 1 << 30, "deeper than a path can say"
    folders.empty(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_a_folder_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= folders.size_bytes(str(tmp_path), at_most=1 << 20) < 200_000
    assert folders.size_bytes(str(tmp_path), at_most=50_000) > 50_000


def test_only_plain_files_come_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a/file")
    (tmp_path / "up").symlink_to("..")
    os.mkfifo(tmp_path / "pipe")
    read = {name: folders.read_file(str(tmp_path), name, at_most=100) for name in ("a/file", "link", "pipe", "a", "no")}
    assert read == {"a/file": b"content", "link": None, "pipe": None, "a": None, "no": None}
    assert folders.read_file(str(tmp_path), "a/file", at_most=3) is None
    assert folders.read_file(str(tmp_path), "up/x", at_most=3) is None


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", ".", "a/.", "a\0b"])
def test_files_are_not_written_elsewhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no name of a file"):
        folders.write_files({name: b""})
