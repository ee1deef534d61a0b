"""Problems: whatever goes wrong is told in one form (RFC 9457) - a stable code, the place, and what to do next.

Invariant: bad input is never answered with a 5xx, and no answer tells of our insides.
"""

import logging
from typing import Any

import asyncpg
import msgspec

from regulars.flows.patience import Unavailable
from regulars.kernel.errors import Invalid, NotFound, Problem, RegularsError
from regulars.kernel.texts import Text
from regulars.locale import speak
from regulars.programme.reasons import Reason, Refusal

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
"""After so long it is worth asking an unavailable service again."""

_log = logging.getLogger("regulars.web")

TITLES = {
    "malformed": "The request cannot be read.",
    "invalid": "What was sent contradicts itself or cannot be used.",
    "no_key": "A key is needed.",
    "not_allowed": "The key may not do this.",
    "not_found": "There is no such thing.",
    "no_such_route": "There is no such address.",
    "method_not_allowed": "This address does not do that.",
    "too_large": "The request is too large.",
    "too_slow": "The request took too long to arrive.",
    "unsupported_media_type": "The body is not JSON.",
    "key_reused": "This Idempotency-Key was used for something else.",
    "too_many_requests": "Too many requests.",
    "unavailable": "The service cannot answer now.",
    "refused": "The programme does not allow this.",
    "internal": "Something went wrong on our side.",
}
"""What each code of ours means; refusals bear the reason of the engine as their code and the title of ``refused``."""


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True, rename={"type_": "type"}):
    """What is told: ``code`` for machines, ``param`` the place, ``detail`` the reason, ``hint`` the next step; of several, all."""

    type_: str
    title: str
    status: int
    code: str
    detail: str = ""
    param: str = ""
    hint: str = ""
    request_id: str = ""
    problems: tuple[Problem, ...] = ()


class Failure(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str, *problems: Problem, headers: dict[str, str] | None = None) -> None:
        """``code`` is one of ``TITLES`` or the reason of a refusal."""
        self.status, self.code, self.problems, self.headers = status, code, problems, headers or {}
        super().__init__(code)

    def body(self, request_id: str) -> ProblemBody:
        """As it is told."""
        first = self.problems[0] if self.problems else Problem("", "")
        title = TITLES.get(self.code, TITLES["refused"])
        more = self.problems if len(self.problems) > 1 else ()
        link = f"/docs#{self.code if self.code in TITLES else 'refused'}"
        return ProblemBody(link, title, self.status, self.code, first.what, first.where, first.hint, request_id, more)


def failure_of(wrong: BaseException) -> Failure:
    """What an exception is told as; one that nobody foresaw is written to the log and told as ours."""
    match wrong:
        case Failure():
            return wrong
        case Unavailable() | asyncpg.PostgresConnectionError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return _unavailable()
        case asyncpg.CannotConnectNowError() | asyncpg.OperatorInterventionError() | asyncpg.InsufficientResourcesError():
            return _unavailable()
        case OSError() | TimeoutError():
            return _unavailable()
        case RecursionError():
            return Failure(400, "malformed", Problem("body", "it is nested too deeply", "send what the address expects"))
        case NotFound():
            return Failure(404, "not_found", *wrong.problems)
        case Invalid() | RegularsError():
            return Failure(422, "invalid", *wrong.problems)
    _log.error("unforeseen", exc_info=wrong)
    return Failure(500, "internal", Problem("", "it was written to the log of the service", "tell us the request_id"))


def refused(refusal: Refusal, place: str = "") -> Failure:
    """What the engine refused, with its reason as the code."""
    words = speak(Text(f"reason.{refusal.reason}", refusal.args))
    status = 422 if refusal.reason is Reason.UNSOUND else 409
    return Failure(status, str(refusal.reason), Problem(place or refusal.subject, words, "nothing was changed"))


def encoded(failure: Failure, request_id: str) -> bytes:
    """The body of an answer."""
    return msgspec.json.encode(failure.body(request_id))


def headers_of(failure: Failure) -> dict[str, Any]:
    """Headers that belong to it."""
    return {"Retry-After": str(RETRY_SECONDS), **failure.headers} if failure.status == 503 else failure.headers


def _unavailable() -> Failure:
    hint = "ask again; what was done is known again by its key and is not done twice"
    return Failure(503, "unavailable", Problem("", "the database is away or full", hint))
