from collections.abc import AsyncIterator

from rayreward.jobs.lines import split_lines


async def test_lines_are_put_together_again_wherever_they_were_cut() -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("a", "b\r\nc\x1b[1", "md\n", "  \n", "e"):
            yield piece

    assert [line async for line in split_lines(pieces())] == ["ab", "cd", "e"]
