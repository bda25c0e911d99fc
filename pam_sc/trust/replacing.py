# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replaces a file of the store so that at every moment the old one or the new one is there, whole; and the lock.

What is being written has a name of its own that nobody looks for, and gets the real one when it is safe on the disk.
Power lost or the process killed: the old one stays, and the rest is removed by the next that holds the lock. Never
imported by a login.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pam_sc.errors import StoreError

LOCK_NAME = ".lock"
UNFINISHED_PREFIX = ".unfinished-"
LOCK_WAIT_S = 60.0
_LOCK_POLL_S = 0.1
_CREATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def replacing(folder: str, name: str) -> Iterator[str]:
    """Give a path to write to; what lies there when the block is left without an error is then at `name`, for all to read.

    Errors of the system become StoreError, and nothing has changed.
    """
    unfinished = os.path.join(folder, f"{UNFINISHED_PREFIX}{os.getpid()}-{name}")
    try:
        os.close(os.open(unfinished, _CREATE | os.O_EXCL, 0o600))
        try:
            yield unfinished
            _make_durable(unfinished)
            os.rename(unfinished, os.path.join(folder, name))
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            raise
        sync_folder(folder)
    except OSError as error:
        raise StoreError(f"cannot write {os.path.join(folder, name)!r}: {error.strerror}") from error


def _make_durable(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: str, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Be the only one that writes into the store; StoreError if another still does after `wait_s` seconds.

    The lock ends with the process that holds it, however that ends. Only root can open it.
    """
    path = os.path.join(folder, LOCK_NAME)
    try:
        descriptor = os.open(path, _CREATE, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write into {folder!r}: {error.strerror}; run this command as root") from error
    try:
        _wait_for(descriptor, folder, time.monotonic() + wait_s, wait_s)
        _remove_unfinished(folder)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, folder: str, until: float, wait_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise StoreError(
                    f"cannot write into {folder!r}: another 'pam-sc refresh' has been at work for {wait_s:.0f} s; "
                    "try again when it is done"
                ) from None
        except OSError as error:
            raise StoreError(f"cannot lock {folder!r}: {error.strerror}") from error
        time.sleep(_LOCK_POLL_S)


def _remove_unfinished(folder: str) -> None:
    for name in os.listdir(folder):
        if name.startswith(UNFINISHED_PREFIX):
            with suppress(OSError):
                os.unlink(os.path.join(folder, name))
