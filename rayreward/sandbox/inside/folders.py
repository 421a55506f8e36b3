"""The private folders of programs: made once, emptied after each program, removed at the end.

What arrives: a folder that a hostile program wrote into, whose processes are all gone. What leaves: the folder, empty.
It never follows a link, never recurses (a program can nest folders as deep as its disk allows), and does nothing but
list the folder where nothing was written.
"""

from __future__ import annotations

import os
import stat

MAX_ENTRIES = 10_000
"""Of a program's folder; one that makes more is stopped, for they cost time to count and to remove."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def empty(path: str) -> None:
    """Remove all that is in a folder."""
    if not os.listdir(path):
        return
    top = os.open(path, _OPEN_FOLDER)
    try:
        moved_count = 0
        while names := os.listdir(top):
            for name in names:
                moved_count = _remove(top, name, moved_count)
    finally:
        os.close(top)


def _remove(top: int, name: str, moved_count: int) -> int:
    """Remove one entry; folders within it move up beside it, to be met by the next round."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return moved_count
    # Of a name that is no link now, and nobody is left who could exchange it.
    os.chmod(name, 0o700, dir_fd=top)
    folder = os.open(name, _OPEN_FOLDER, dir_fd=top)
    try:
        for inner in os.listdir(folder):
            if stat.S_ISDIR(os.lstat(inner, dir_fd=folder).st_mode):
                os.chmod(inner, 0o700, dir_fd=folder)
                moved_count += 1
                os.rename(inner, _free_name(top, moved_count), src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)
    return moved_count


def _free_name(top: int, moved_count: int) -> str:
    name = f"..moved-{moved_count}"
    while True:
        try:
            os.lstat(name, dir_fd=top)
        except FileNotFoundError:
            return name
        name += "-"


def size_bytes(path: str, *, at_most: int) -> int:
    """What lies in a folder, counted until it is more than `at_most`; a program may be changing it meanwhile.

    A folder that hides what it holds (its owner took its own rights away) counts as too large.
    """
    total = entries = 0
    waiting = [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    except FileNotFoundError:
                        continue
                    if total > at_most or entries > MAX_ENTRIES:
                        return max(total, at_most + 1)
        except FileNotFoundError:
            continue
        except OSError:  # no right to look, or nested deeper than a path may be long
            return at_most + 1
    return total


def is_name(name: str) -> bool:
    """Whether it names a file of a folder, and cannot lead out."""
    return "\0" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def read_file(path: str, name: str, *, at_most: int) -> bytes | None:
    """A plain file of a folder, never by way of a link; None where there is none, or it is larger."""
    if not is_name(name):
        return None
    place = os.open(path, _OPEN_FOLDER)
    try:
        *folders, last = name.split("/")
        for folder in folders:
            inner = os.open(folder, _OPEN_FOLDER, dir_fd=place)
            os.close(place)
            place = inner
        file = os.open(last, _OPEN_FILE, dir_fd=place)
        with open(file, "rb") as opened:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode) or about.st_size > at_most:
                return None
            return opened.read(at_most)
    except OSError:
        return None
    finally:
        os.close(place)


def write_files(files: dict[str, bytes]) -> None:
    """Write a program's files into the working directory, executable for their owner.

    Raises:
        ValueError: a name that leads out of it.
        OSError: it does not take them.
    """
    for name, content in files.items():
        if not is_name(name):
            raise ValueError(f"{name!r} is no name of a file within a program's folder")
        if "/" in name:
            os.makedirs(os.path.dirname(name), exist_ok=True)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
        with open(file, "wb") as opened:
            opened.write(content)
