"""Typed ids, so that one is never taken for another. Each is the text by which its owner knows the thing."""

from typing import NewType

MemberId = NewType("MemberId", str)
OrderId = NewType("OrderId", str)
LotId = NewType("LotId", str)
FactId = NewType("FactId", str)
RuleId = NewType("RuleId", str)
UnitId = NewType("UnitId", str)
