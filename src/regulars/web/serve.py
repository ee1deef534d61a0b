"""Serving: the application in as many processes as asked for, on loopback unless told otherwise."""

import uvicorn

from regulars.web.app import Application

GRACE_SECONDS = 20
"""How long a process that is asked to end may finish what it has begun."""


def application() -> Application:
    """What each process serves."""
    return Application()


def serve(host: str, port: int, processes: int) -> None:
    """Until somebody ends it; what was taken is answered first."""
    uvicorn.run(
        "regulars.web.serve:application",
        factory=True,
        host=host,
        port=port,
        workers=processes,
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
