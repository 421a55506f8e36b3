from __future__ import annotations

import asyncio

from rayreward.agents.groups import Group, Groups, member_of


def a_prompt() -> str:
    """A text of its own each time, as the arguments of a remote call are."""
    return "".join(["what is ", "2 + 2?"])


async def sizes(groups: Groups, prompt: str, count: int) -> list[Group]:
    async def one() -> Group:
        async with member_of(groups, prompt) as group:
            await asyncio.sleep(0)
            return group

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def test_executions_that_start_together_with_one_prompt_object_are_a_group() -> None:
    groups = Groups()
    found = await sizes(groups, a_prompt(), 4)
    assert {group.id for group in found} == {found[0].id}
    assert [group.size for group in found] == [4, 4, 4, 4]


async def test_nothing_stays_open_when_all_have_ended() -> None:
    groups = Groups()
    await sizes(groups, a_prompt(), 3)
    assert len(groups) == 0


async def test_calls_that_overlap_keep_their_groups_apart_even_with_one_text() -> None:
    groups = Groups()
    first, second, other = await asyncio.gather(
        sizes(groups, a_prompt(), 2), sizes(groups, a_prompt(), 3), sizes(groups, "other", 1)
    )
    assert [group.size for group in (*first, *second, *other)] == [2, 2, 3, 3, 3, 1]
    assert len({first[0].id, second[0].id, other[0].id}) == 3
    assert first[0].id.split("-")[0] == second[0].id.split("-")[0] != other[0].id.split("-")[0]


async def test_a_text_that_python_shares_between_two_calls_makes_two_groups() -> None:
    groups, prompt = Groups(), "x"
    started = groups.join(prompt)
    groups.seal(started)
    [late] = await sizes(groups, prompt, 1)
    assert late.id != started.id
    assert (started.size, late.size) == (1, 1)


def test_ids_of_two_processes_differ() -> None:
    assert Groups().join("x").id != Groups().join("x").id


async def test_an_execution_that_fails_leaves_its_group() -> None:
    groups, prompt = Groups(), a_prompt()

    async def failing() -> None:
        async with member_of(groups, prompt):
            raise RuntimeError("the engine died")

    await asyncio.gather(failing(), failing(), return_exceptions=True)
    assert len(groups) == 0
