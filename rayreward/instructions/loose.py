"""The eight readings of a response that the loose criterion tries: an introduction, an ending and stars do not count.

What arrives: a response. What leaves: itself, then without its first line, its last, or both; each also without
asterisks (arXiv 2311.07911). An instruction is followed loosely where one reading follows it.
"""

from __future__ import annotations

from collections.abc import Iterator


def readings(text: str) -> Iterator[tuple[str, str]]:
    r"""Each reading of `text` that differs from those before it, and what was left out of it.

    Example:
        >>> for reading in readings("Sure:\n*yes*"):
        ...     print(reading)
        ('Sure:\n*yes*', '')
        ('Sure:\nyes', 'asterisks')
        ('*yes*', 'the first line')
        ('yes', 'the first line and asterisks')
        ('Sure:', 'the last line')
        ('', 'the first and the last line')
    """
    after_first = text.partition("\n")[2]
    whole = {
        "": text,
        "the first line": after_first.strip(),
        "the last line": text.rpartition("\n")[0].strip(),
        "the first and the last line": after_first.rpartition("\n")[0].strip(),
    }
    seen: set[str] = set()
    for left_out, reading in whole.items():
        starless = f"{left_out} and asterisks" if left_out else "asterisks"
        for version, missing in ((reading, left_out), (reading.replace("*", ""), starless)):
            if version not in seen:
                seen.add(version)
                yield version, missing
