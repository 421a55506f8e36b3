"""The command in a piece of shell text, as people paste it.

What arrives: a README's snippet or a whole script, with continued lines, comments, quotes, variables, arrays, other
commands. What leaves: the words before and after ``train_ppo_ray``. What it promises: nothing is run and nothing is
looked up; a variable gets a value only where the text itself assigns one. It is more lenient than a shell: a comment
between two options, or a missing backslash before one, does not end the command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from rayreward.errors import ConfigError

ENTRYPOINT = re.compile(r"(^|[=./])train_ppo_ray(\.py)?$")

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_COMMAND_ENDS = re.compile(r";|\||&(?=[&\s>]|$)|\d*>|\d*<(?![\w./ -]+>)")
_PLACEHOLDER = re.compile(r"<[\w./ -]+>")
_ARRAY_BEGINS = re.compile(r"(?:^|\s)\w+\+?=$")
_ARRAY = re.compile(r"(\w+)\+?=\(")
_ARRAY_USED = re.compile(r"\$\{(\w+)\[[@*]\]\}")
_CONTINUED = re.compile(r"\\[ \t]*(#[^\n]*)?(\n|\Z)")
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
    script = _Script()
    found: list[PastedCommand] = []
    for line in _logical_lines(text):
        words = list(script.expand(_split(line)))
        if not script.assign(words):
            found += _commands_in(words)
    if not found:
        raise ConfigError(
            "no OpenRLHF training found in the text: it has to hold openrlhf.cli.train_ppo_ray and its flags, as in "
            "'python -m openrlhf.cli.train_ppo_ray --pretrain …'"
        )
    first, *others = found
    return PastedCommand(first.before, first.after, other_count=len(others))


@dataclass
class _Script:
    """What the text assigned so far."""

    variables: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, list[str]] = field(default_factory=dict)

    def assign(self, words: list[str]) -> bool:
        """Whether the words are nothing but assignments; they are kept then."""
        if words and (array := _ARRAY.fullmatch(words[0])) is not None:
            self.arrays.setdefault(array[1], []).extend(word for word in words[1:] if word != ")")
            return True
        matches = [_ASSIGNMENT.fullmatch(word) for word in words if word != "export"]
        if not all(matches) or any(map(_holds_script, words)):
            return False
        self.variables |= {match[1]: match[2] for match in matches if match is not None}
        return True

    def expand(self, words: list[str]) -> Iterator[str]:
        """The words with what is known in place of variables and arrays."""
        for word in words:
            used = _ARRAY_USED.fullmatch(word)
            if used is not None and used[1] in self.arrays:
                yield from self.arrays[used[1]]
            else:
                yield _VARIABLE.sub(self._value, word)

    def _value(self, match: re.Match[str]) -> str:
        known = self.variables.get(match[1] or match[3], match[2])
        return match[0] if known is None else known


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


def _logical_lines(text: str) -> Iterator[str]:
    """One command a line: continued lines joined, comments and what follows a command removed."""
    lines: list[str] = []
    is_continued = False
    text = text.replace("\r\n", "\n")
    while _NESTED.search(text):
        text = _NESTED.sub("$…", text)  # what another command would print
    for line, ends_in_backslash in _Scanner(text).lines():
        if not line.strip():
            is_continued = False
            continue
        if lines and (is_continued or line.lstrip().startswith("--")):
            lines[-1] += " " + line
        else:
            lines.append(line)
        is_continued = ends_in_backslash
    yield from lines


class _Scanner:
    """Reads shell text letter by letter, knowing what is quoted and what stands in an array."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._line = ""
        self._quote = ""
        self._is_in_array = False

    def lines(self) -> Iterator[tuple[str, bool]]:
        """Each line without its comment, and whether a backslash continues it; a quoted text or an array is one."""
        while self._place < len(self._text):
            if self._quote:
                self._read_quoted()
            elif self._text[self._place] == "\n" and not self._is_in_array:
                yield self._cut_line(1), False
            elif continued := _CONTINUED.match(self._text, self._place):
                yield self._cut_line(len(continued[0])), True
            elif self._is_at_comment() or self._is_at_end_of_command():
                end = self._text.find("\n", self._place)
                self._place = len(self._text) if end < 0 else end
            elif placeholder := _PLACEHOLDER.match(self._text, self._place):
                self._copy(shlex.quote(placeholder[0]), len(placeholder[0]))
            else:
                self._read_letter()
        yield self._line, False

    def _read_letter(self) -> None:
        letter = self._text[self._place]
        if letter == "\\":
            self._copy(self._text[self._place : self._place + 2], 2)
        elif letter == "(" and _ARRAY_BEGINS.search(self._line):
            self._is_in_array = True
            self._copy("( ", 1)
        elif letter == ")" and self._is_in_array:
            self._is_in_array = False
            self._copy(" )", 1)
        else:
            self._quote = letter if letter in "'\"" else ""
            self._copy(" " if letter == "\n" else letter, 1)

    def _read_quoted(self) -> None:
        letter = self._text[self._place]
        if letter == "\\" and self._quote == '"':
            escaped = self._text[self._place : self._place + 2]
            self._copy(" " if escaped == "\\\n" else escaped, 2)
        else:
            self._quote = "" if letter == self._quote else self._quote
            self._copy(letter, 1)

    def _copy(self, text: str, step: int) -> None:
        self._line += text
        self._place += step

    def _cut_line(self, step: int) -> str:
        line, self._line = self._line, ""
        self._place += step
        return line

    def _is_at_comment(self) -> bool:
        return self._text[self._place] == "#" and self._is_at_word()

    def _is_at_end_of_command(self) -> bool:
        if self._is_in_array or _COMMAND_ENDS.match(self._text, self._place) is None:
            return False
        return self._is_at_word() or not self._text[self._place].isdigit()

    def _is_at_word(self) -> bool:
        return not self._line or self._line[-1].isspace()
