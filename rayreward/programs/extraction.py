"""Finds the program in a response.

What arrives: a response and the names of a language. What leaves: the program's text, or None. It takes time linear in
the response's length, whatever that holds, and runs nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Choice = Literal["last", "first", "all", "whole"]
"""Which fenced blocks are the program: the last or the first one, all joined, or the whole text, fences or not."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: what stands behind its opening fence in lower case, and its lines."""

    tag: str
    text: str


def extract_program(response: str, tags: frozenset[str], *, choice: Choice = "last") -> str | None:
    r"""The program in a response, or None where there is none.

    Blocks with one of the language's tags come first, then those without a tag. A response without any fence is a
    program as a whole; one whose fences are all of other languages holds none. A block that is never closed counts: the
    response was cut there.

    Args:
        response: the text.
        tags: how fences name the language, in lower case.
        choice: which blocks count, where there are several.

    Example:
        >>> extract_program("So:\n```python\nprint(1)\n```\nThat is it.", frozenset({"python"}))
        'print(1)\n'
    """
    if choice == "whole":
        return response if response.strip() else None
    blocks = list(markdown_blocks(response))
    if not blocks:
        return response if response.strip() else None
    wanted = [block.text for block in blocks if block.tag in tags] or [block.text for block in blocks if not block.tag]
    if not wanted:
        return None
    return {"last": wanted[-1], "first": wanted[0], "all": "\n".join(wanted)}[choice]


def markdown_blocks(text: str) -> Iterator[Block]:
    """The blocks between fences of three or more backticks or tildes, in order; those of Markdown are looked into.

    By whole lines, as Markdown has it: a program's own text may hold a fence. JSON is also fenced within a line, which
    `rayreward.json_text.fenced_blocks` reads.
    """
    fence, tag, indent = "", "", 0
    lines: list[str] = []
    for line in io.StringIO(text, newline="\n"):  # not splitlines, which also splits at form feeds
        bare = line.lstrip(" \t")
        mark = bare[:1]
        length = len(bare) - len(bare.lstrip(mark)) if mark in ("`", "~") and mark else 0
        if not fence:
            if length >= 3 and not (mark == "`" and "`" in bare[length:]):  # ```x``` is code within a line
                tag = _tag_of(bare[length:])
                if tag not in _MARKDOWN:
                    fence, indent = mark * length, len(line) - len(bare)
        elif length >= len(fence) and mark == fence[0] and not bare[length:].strip():
            yield Block(tag, "".join(lines))
            fence, lines = "", []
        else:
            lines.append(_without_indent(line, indent))
    if fence:
        yield Block(tag, "".join(lines))


_MARKDOWN = ("markdown", "md")
"""Tags of a whole answer that was put into a fence, with the program's own fence inside."""


def _tag_of(info: str) -> str:
    words = info[:80].strip().strip("{}").lower().split()
    return words[0].lstrip(".").rstrip(",}") if words else ""


def _without_indent(line: str, indent: int) -> str:
    """A line of a block whose fence is indented, as in a list."""
    spaces = len(line) - len(line.lstrip(" \t"))
    return line[min(indent, spaces) :]
