"""The language of a response."""

from __future__ import annotations

from rayreward.instructions.finding import Finding
from rayreward.languages.detector import is_written_in, likeliest_language


def response_language(text: str, *, language: str) -> Finding:
    """The response is in the language; one without words is in none."""
    is_followed = is_written_in(text, language)
    if is_followed is None:
        return Finding(False, f"no words; wanted {language!r}")
    found = language if is_followed else likeliest_language(text) or "a language that cannot be told"
    return Finding(is_followed, f"in {found!r}; wanted {language!r}")
