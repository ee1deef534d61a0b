"""Schedule: the night walk and the chores of the house, again and again.

Invariant: any number of workers may run; a round that was missed is made up by the next.
"""

import asyncio
from collections.abc import Callable

import asyncpg

from regulars.flows.night import Walked, walk
from regulars.store.schema import make_partitions
from regulars.wiring import Service

PAUSE_SECONDS = 60.0


async def work(service: Service, is_once: bool, told: Callable[[Walked], None], progress: Callable[[int], None] = lambda _: None) -> None:
    """Round after round until it is cancelled; one alone when ``is_once``."""
    while True:
        told(await round_of(service, progress))
        if is_once:
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def round_of(service: Service, progress: Callable[[int], None] = lambda _: None) -> Walked:
    """One round: the months to come, then the walk."""
    owner = await asyncpg.connect(service.url)
    try:
        await make_partitions(owner, service.clock.now())
    finally:
        await owner.close()
    return await walk(service.pool, service.lane, service.clock, progress)
