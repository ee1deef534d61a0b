"""Locks on files, held by a descriptor: they end with the process that holds them, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock(file: Path, kind: int) -> int:
    """A descriptor that holds the lock; waits for it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, kind)
    return descriptor


def lock_at_once(file: Path) -> int | None:
    """A descriptor that holds the lock, or None when another holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    if grasp(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def grasp(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def released(descriptor: int) -> Iterator[None]:
    """Unlocked in the end even where a process that was forked meanwhile has a copy of the descriptor."""
    with closed(descriptor):
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def closed(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
