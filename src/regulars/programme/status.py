"""Status: whether a member takes part - active, suspended, closed, erased, or merged into another.

Invariant: an erased member holds nothing, and neither erased nor merged is ever left by a change of status.
"""

from regulars.programme.desk import Desk
from regulars.programme.facts import StatusChanged
from regulars.programme.reasons import Reason


def change_status(desk: Desk, fact: StatusChanged) -> None:
    """Suspend, close, open again or erase. Erasing gives up open holds; everything the member has then ends (see ``Desk.close``)."""
    desk.version = desk.programme.at(desk.at) or desk.version
    member = desk.member
    if member.status in ("erased", "merged"):
        desk.refuse(Reason.MEMBER_NOT_ACTIVE, member.id, status=member.status)
        return
    member.status = fact.status
    if fact.status == "erased":
        for hold in member.holds:
            desk.end_hold(hold, "released")
