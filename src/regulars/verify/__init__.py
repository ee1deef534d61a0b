"""The auditor: everything that the database holds, recomputed from entries and facts by code that shares nothing with the engine.

Invariant: of regulars only the words of errors are imported here, so that a mistake of the engine cannot hide from it.
"""

from regulars.verify.audit import findings, run
from regulars.verify.report import Check, Finding, Report

__all__ = ["Check", "Finding", "Report", "findings", "run"]
