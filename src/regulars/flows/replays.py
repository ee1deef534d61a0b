"""Replays: a programme over an order file, members spread over the processors.

Members replay apart from each other, exactly; each process reads its own share of them from the file, and one member at a time is in
memory. Where rules have limits, members share them: one process then replays all of them in order of time.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from regulars.gateways.columnroles import Columns
from regulars.gateways.orderfiles import OrderFile
from regulars.gateways.programmefiles import read_programme
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.ids import MemberId
from regulars.kernel.time import is_zone, local_day, start_of_day
from regulars.programme.definition import Programme
from regulars.programme.explain import Passage, Told, explain_member, explain_order
from regulars.programme.facts import OrderStated
from regulars.programme.history import History
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Assumptions, replay, replay_member

Progress = Callable[[int, int], None]
"""Hears how many orders are done, and of how many."""


class Replay(msgspec.Struct, frozen=True):
    """What to replay. What is None is taken from the programme's `replay` section; ``processes`` None means all processors,
    and no more than those are used."""

    programme: Path
    orders: Path
    columns: Columns = {}
    dates: str | None = None
    time_zone: str | None = None
    as_of: date | None = None
    redeem: Literal["never", "greedy"] | None = None
    returns: Literal["ignore", "last-purchase-first"] | None = None
    processes: int | None = None


class Prepared(msgspec.Struct, frozen=True):
    """A replay with everything settled."""

    programme: Programme
    file: OrderFile
    assumptions: Assumptions
    as_of: date


def run(request: Replay, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """The figures of the replay as plain data (see ``Figures.report``). Raises ``Invalid`` or ``NotFound``."""
    prepared = prepare(request)
    total = prepared.file.order_count()
    most = multiprocessing.cpu_count()
    processes = min(most, request.processes or (1 if total < _WORTH_A_PROCESS else most))
    if prepared.programme.capacities:
        processes = 1
    if processes == 1:
        figures = Figures()
        version = prepared.programme.latest
        replay(prepared.programme, _counted(prepared.file.histories(version.currency), total, progress), prepared.assumptions, figures)
    else:
        figures = _spread(request, processes, total, progress)
    return figures.report(prepared.programme, prepared.as_of)


def prepare(request: Replay) -> Prepared:
    """Read the programme, understand the file, settle the assumptions."""
    if request.time_zone is not None and not is_zone(request.time_zone):
        hint = "write its IANA name, as Europe/Warsaw or Europe/Prague"
        raise Invalid(Problem("--time-zone", f"{request.time_zone!r} is not a time zone", hint))
    programme = read_programme(request.programme, request.time_zone)
    version = programme.latest
    section = version.document.replay
    local_to = version.zone if section.times == "local" else None
    file = OrderFile(request.orders, request.columns, local_to, request.dates)
    as_of = request.as_of or section.as_of
    if as_of is None:
        last = file.last_instant()
        if last is None:
            raise Invalid(Problem(str(request.orders), "no row of it is an order", "`regulars orders check` shows what its rows are"))
        as_of = local_day(last, version.zone) + timedelta(days=1)
    assumptions = Assumptions(start_of_day(as_of, version.zone), request.redeem or section.redeem, request.returns or section.returns)
    return Prepared(programme, file, assumptions, as_of)


def explained_order(request: Replay, order: str) -> list[Passage]:
    """What the programme does with one order of the file, line by line."""
    prepared = prepare(request)
    members = prepared.file.members_of(order)
    if not members:
        hint = "order numbers are those of the file's order column; cancellations are explained with the order that they return"
        raise NotFound(Problem(f"order {order}", f"no order of a known customer has this number in {request.orders}", hint))
    passages = []
    for member in members:
        history = told(prepared, member)
        keys = {t.fact.order.key for t in history if isinstance(t.fact, OrderStated) and t.fact.order.id == order}
        if not keys:
            hint = "say a later --as-of; by default the replay section of the programme says it, or the file's last day"
            raise NotFound(Problem(f"order {order}", f"it was placed after {prepared.as_of}, the day of the figures", hint))
        for key in keys:
            passages += explain_order(prepared.programme, history, key)
    return passages


def explained_member(request: Replay, member: str) -> list[Passage]:
    """One member's whole story."""
    prepared = prepare(request)
    return explain_member(prepared.programme, told(prepared, member))


def told(prepared: Prepared, member: str) -> list[Told]:
    """Every fact of one member with its decision. Raises ``NotFound``."""
    history: list[Told] = []
    currency = prepared.programme.latest.currency
    if prepared.programme.capacities:  # what is left for one member is known only from all of them
        listeners = {MemberId(member): history.append}
        replay(prepared.programme, prepared.file.histories(currency), prepared.assumptions, Figures(), listeners)
    else:
        for one in prepared.file.histories(currency, member=member):
            replay_member(prepared.programme, one, prepared.assumptions, Figures(), history.append)
    if not history:
        reason = f"nobody of that number bought anything in {prepared.file.path} before {prepared.as_of}"
        raise NotFound(Problem(f"member {member}", reason, "`regulars orders check` shows examples of the file's rows"))
    return history


_WORTH_A_PROCESS = 4000
"""Orders below which starting processes costs more than it saves."""


def _spread(request: Replay, processes: int, total: int, progress: Progress) -> Figures:
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    figures = Figures()
    try:
        with ProcessPoolExecutor(processes, context, _begin, (done,)) as pool:
            parts: list[Future[Figures]] = [pool.submit(_part, request, part, processes) for part in range(processes)]
            while not all(part.done() for part in parts):
                progress(done.value, total)
                time.sleep(0.05)
            for part in parts:
                figures.add(part.result())
    except BrokenProcessPool:
        raise Invalid(Problem(str(request.orders), "a worker process died, perhaps for want of memory", "try --processes 1")) from None
    progress(total, total)
    return figures


_done: Any = None


def _begin(done: Any) -> None:
    global _done
    _done = done


def _part(request: Replay, part: int, parts: int) -> Figures:
    prepared = prepare(request)
    figures = Figures()
    version = prepared.programme.latest
    histories = _reported(prepared.file.histories(version.currency, part, parts))
    replay(prepared.programme, histories, prepared.assumptions, figures)
    return figures


def _reported(histories: Iterator[History]) -> Iterator[History]:
    pending = 0
    for history in histories:
        yield history
        pending += len(history.orders)
        if pending >= _STEP:
            with _done.get_lock():
                _done.value += pending
            pending = 0


def _counted(histories: Iterator[History], total: int, progress: Progress) -> Iterator[History]:
    done = shown = 0
    for history in histories:
        yield history
        done += len(history.orders)
        if done - shown >= _STEP:
            progress(done, total)
            shown = done
    progress(total, total)


_STEP = 200
