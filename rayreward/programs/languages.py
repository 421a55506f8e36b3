"""The languages that programs are graded in, and the tools each needs.

What arrives: a language's name. What leaves: how fences call it, how it is compiled and run, and whether this machine
has what that takes. Python needs no tool: its interpreter is part of the sandbox.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LanguageName = Literal["python", "javascript", "cpp", "bash"]


@dataclass(frozen=True, slots=True)
class Language:
    """How a program of a language is run.

    Attributes:
        tags: what fences call it, in lower case.
        tool: the command that compiles or runs it, looked for on PATH; None for Python.
        file_name: what the program's file is called.
        compile: arguments of the tool that make `binary` of the file; empty where the tool runs the file.
        install: what to do where the tool is missing.
    """

    name: LanguageName
    tags: frozenset[str]
    tool: str | None
    file_name: str
    install: str
    compile: tuple[str, ...] = ()
    binary: str = "./program"


LANGUAGES: Mapping[str, Language] = {
    language.name: language
    for language in (
        Language("python", frozenset({"python", "py", "python3", "py3"}), None, "program.py", "nothing"),
        Language(
            "javascript",
            frozenset({"javascript", "js", "node", "nodejs", "mjs", "cjs"}),
            "node",
            "program.js",
            "install Node.js (apt-get install nodejs)",
        ),
        Language(
            "cpp",
            frozenset({"cpp", "c++", "cc", "cxx"}),
            "g++",
            "program.cpp",
            "install GCC (apt-get install g++)",
            compile=("-O2", "-std=c++17", "-o", "program", "program.cpp"),
        ),
        Language(
            "bash", frozenset({"bash", "sh", "shell"}), "bash", "program.sh", "install Bash (apt-get install bash)"
        ),
    )
}


def find_tool(language: Language) -> str | None:
    """The absolute path of the language's tool, None where it is missing."""
    return None if language.tool is None else shutil.which(language.tool)
