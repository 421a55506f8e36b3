"""The command in a piece of shell text, as people paste it.

What arrives: a README's snippet or a whole script, with continued lines, comments, quotes, variables, other commands.
What leaves: the words before and after ``train_ppo_ray``. What it promises: nothing is run and nothing is looked up;
a variable gets a value only where the text itself assigns one. It is more lenient than a shell: a comment between two
options, or a missing backslash before one, does not end the command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rayreward.errors import ConfigError

ENTRYPOINT = re.compile(r"(^|[=./])train_ppo_ray(\.py)?$")

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_COMMAND_ENDS = re.compile(r";|\||&(?=[&\s>]|$)|\d*>|\d*<(?![\w./ -]+>)")
_PLACEHOLDER = re.compile(r"<[\w./ -]+>")
_NESTED = re.compile(r"\$\([^()\n]*\)|(?<!`)`[^`\n]+`(?!`)")


@dataclass(frozen=True)
class PastedCommand:
    """One training's command line.

    Attributes:
        before: the words up to the script: ``ray job submit …``, an interpreter, variables set for it.
        after: the script's own words.
        other_count: how many more trainings the text starts.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    other_count: int = 0


def read_command(text: str) -> PastedCommand:
    """The first training that the text starts.

    Raises:
        ConfigError: there is none, or a quote is never closed.
    """
    variables: dict[str, str] = {}
    found: list[PastedCommand] = []
    for line in _logical_lines(text):
        words = [_fill(word, variables) for word in _split(line)]
        assigned = [_ASSIGNMENT.fullmatch(word) for word in words if word != "export"]
        if words and all(assigned) and not any(map(_holds_script, words)):
            variables |= {match[1]: match[2] for match in assigned if match is not None}
            continue
        found += _commands_in(words)
    if not found:
        raise ConfigError(
            "no OpenRLHF training found in the text: it has to hold openrlhf.cli.train_ppo_ray and its flags, as in "
            "'python -m openrlhf.cli.train_ppo_ray --pretrain …'"
        )
    first, *others = found
    return PastedCommand(first.before, first.after, other_count=len(others))


def _commands_in(words: list[str]) -> Iterator[PastedCommand]:
    if words and words[0].startswith("--"):
        yield PastedCommand((), tuple(words))
        return
    for place, word in enumerate(words):
        if ENTRYPOINT.search(word):
            yield PastedCommand(tuple(words[:place]), tuple(words[place + 1 :]))
            return
        if " " in word and _holds_script(word):  # bash -c "…"
            yield from _commands_in(_split(word))
            return


def _holds_script(word: str) -> bool:
    return "train_ppo_ray" in word


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"the text cannot be read as a shell reads it: {error}, in {line[:80]!r}") from None


def _fill(word: str, variables: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[3], match[2])
        return match[0] if known is None else known

    return _VARIABLE.sub(value, word)


def _logical_lines(text: str) -> Iterator[str]:
    """One command a line: continued lines joined, comments and what follows a command removed."""
    lines: list[str] = []
    is_continued = False
    text = _NESTED.sub(lambda match: re.sub(r"\s+", "", match[0]), text.replace("\r\n", "\n"))
    for line, ends_in_backslash in _split_lines(text):
        if not line.strip():
            is_continued = False
            continue
        if lines and (is_continued or line.lstrip().startswith("--")):
            lines[-1] += " " + line
        else:
            lines.append(line)
        is_continued = ends_in_backslash
    yield from lines


def _split_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line of the text without its comment, and whether it ends in a backslash; a quoted text is one line."""
    line, quote, place = "", "", 0
    while place < len(text):
        letter = text[place]
        if quote:
            step, line, quote = _in_quotes(text, place, line, quote)
            place += step
        elif letter == "\n":
            yield line, False
            line, place = "", place + 1
        elif continued := re.match(r"\\[ \t]*(#[^\n]*)?(\n|$)", text[place:]):
            yield line, True
            line, place = "", place + continued.end()
        elif letter == "\\":
            line, place = line + text[place : place + 2], place + 2
        elif (letter == "#" and (not line or line[-1].isspace())) or _ends_command(text, place, line):
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
        elif placeholder := _PLACEHOLDER.match(text, place):
            line, place = line + shlex.quote(placeholder[0]), placeholder.end()
        else:
            quote = letter if letter in "'\"" else ""
            line, place = line + letter, place + 1
    yield line, False


def _in_quotes(text: str, place: int, line: str, quote: str) -> tuple[int, str, str]:
    letter = text[place]
    if letter == "\\" and quote == '"':
        is_continued = text[place : place + 2] == "\\\n"
        return 2, line + (" " if is_continued else text[place : place + 2]), quote
    return 1, line + letter, "" if letter == quote else quote


def _ends_command(text: str, place: int, line: str) -> bool:
    match = _COMMAND_ENDS.match(text, place)
    is_digit_of_a_word = text[place].isdigit() and bool(line) and not line[-1].isspace()
    return match is not None and not is_digit_of_a_word
