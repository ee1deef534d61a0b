"""The lane: commands that wait are settled together, and each caller gets an answer of their own."""

import asyncio

from builders import POINTS, a_line, a_programme, an_order, stated
from world import World, in_world


def test_each_caller_of_a_batch_gets_their_own_answer(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        now = world.clock.now()
        facts = [(anna, stated(an_order("1", now, a_line(price=1000)))), (ben, stated(an_order("2", now, a_line(price=2500))))]
        first, second = await asyncio.gather(*(world.take(member, fact) for member, fact in facts))
        assert (first.accounts[POINTS].active, second.accounts[POINTS].active) == (10, 25)

    in_world(memory, a_programme(), story)


def test_an_order_told_twice_is_answered_twice_and_taken_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        fact = stated(an_order("1", world.clock.now(), a_line(price=1000)))
        first, second = await asyncio.gather(world.take(anna, fact), world.take(anna, fact))
        assert (first.is_duplicate, second.is_duplicate) == (False, True)
        assert first.record == second.record
        assert second.accounts[POINTS].active == 10

    in_world(memory, a_programme(), story)
