# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts the wrong PINs of each token that shows no counter of its own, under /run, so until the machine starts again.

A try is taken before the PIN is sent and given back where the token did not judge it, so calls that run side by side
cannot overrun the limit. The owner of an account (and root's services, where a person logs in) may use all tries that
there are; somebody who asks for another's account through su or the like leaves one, so nobody can block another person's
card. It never reads or writes anything of a PIN, and a token is known here only by a keyed hash.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pam_sc.decision.card_report import Failure, TokenReport
from pam_sc.decision.reasons import Reason

FOLDER = "/run/pam_sc/tries"
"""Of the verifier's account, and nobody else may look into it (tmpfiles.d)."""
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIGITS = 4
_NAME_LENGTH = 64


class UncountedTries:
    """For hosts without privilege: they cannot reach the folder, and may only ask for their own account."""

    def look(self, token: TokenReport, *, owner: bool) -> Failure | None:  # noqa: ARG002
        """Refuse nothing."""
        return None

    def take(self, token: TokenReport, *, owner: bool) -> Failure | None:  # noqa: ARG002
        """Refuse nothing."""
        return None

    def give_back(self, token: TokenReport) -> None:
        """Nothing was taken."""

    def clear(self, token: TokenReport) -> None:
        """Nothing was counted."""


class CountedTries:
    """The counts of all tokens on this machine. Whoever cannot count refuses: PIN_TRIES_UNCOUNTED."""

    def __init__(self, machine_id: str, wrong_max: int, folder: str = FOLDER) -> None:
        self._machine_id = machine_id
        self._wrong_max = wrong_max
        self._folder = folder

    def look(self, token: TokenReport, *, owner: bool) -> Failure | None:
        """Say why the PIN of this token is not to be tried, or None. Nothing is changed."""
        try:
            with self._opened(token, create=False) as file:
                return self._judge(_read(file), owner=owner)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return _uncounted(self._folder, error)

    def take(self, token: TokenReport, *, owner: bool) -> Failure | None:
        """Count one wrong PIN in advance, or say why it is not to be tried."""
        try:
            with self._opened(token, create=True) as file:
                count = _read(file)
                refused = self._judge(count, owner=owner)
                if refused is None:
                    _write(file, count + 1)
                return refused
        except (OSError, ValueError) as error:
            return _uncounted(self._folder, error)

    def give_back(self, token: TokenReport) -> None:
        """Take one from the count: the token did not judge the PIN, or counts itself. What cannot be done stays counted."""
        with suppress(OSError, ValueError), self._opened(token, create=False) as file:
            count = _read(file) - 1
            if count > 0:
                _write(file, count)
            else:
                self._remove(token)

    def clear(self, token: TokenReport) -> None:
        """Forget the count: the PIN was right, or root says so (`pam-sc pin forget`)."""
        with suppress(OSError, ValueError), self._opened(token, create=False):
            self._remove(token)

    def count(self, token: TokenReport) -> int | None:
        """How many wrong PINs in a row are counted for the token; None where that cannot be read."""
        try:
            with self._opened(token, create=False) as file:
                return _read(file)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            return None

    def _judge(self, count: int, *, owner: bool) -> Failure | None:
        most = self._wrong_max if owner else self._wrong_max - 1
        if count < most:
            return None
        whom = "" if owner else ", and the last is kept for the owner of the account"
        return Failure(Reason.PIN_TRIES_USED, f"{count} of {self._wrong_max} wrong PINs are counted{whom}")

    @contextmanager
    def _opened(self, token: TokenReport, *, create: bool) -> Iterator[int]:
        """The token's file, locked, and still the one of that name; OSError if the folder is not safe."""
        with _safe_folder(self._folder) as folder:
            name = token_name(token, self._machine_id)
            while True:
                file = os.open(name, _OPEN_FILE | (os.O_CREAT if create else 0), 0o600, dir_fd=folder)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    if os.fstat(file).st_nlink:
                        yield file
                        return
                finally:
                    os.close(file)

    def _remove(self, token: TokenReport) -> None:
        """Remove the file, which is locked: who waits for the lock sees that it has no name any more."""
        with _safe_folder(self._folder) as folder:
            os.unlink(token_name(token, self._machine_id), dir_fd=folder)


def make_folder(uid: int, gid: int, folder: str = FOLDER) -> None:
    """As root, make the folder for the verifier's account where it is missing. What fails is seen when a try is counted.

    A folder that is root's is one that another login is making at this moment.
    """
    with suppress(OSError):
        parent = os.path.dirname(folder)
        with suppress(FileExistsError):
            os.mkdir(parent)
            os.chmod(parent, 0o755)  # noqa: S103 - others find their own files there
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.stat(folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 != uid:
            os.chown(folder, uid, gid, follow_symlinks=False)


def forget_all(folder: str = FOLDER) -> int:
    """Forget the wrong PINs of all tokens, as root or the verifier's account; return of how many. OSError if it cannot be.

    A folder that does not exist holds none.
    """
    try:
        opened = os.open(folder, _OPEN_FOLDER)
    except FileNotFoundError:
        return 0
    try:
        names = [name for name in os.listdir(opened) if len(name) == _NAME_LENGTH]
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=opened)
        return len(names)
    finally:
        os.close(opened)


def token_name(token: TokenReport, machine_id: str) -> str:
    """What stands for a token in the folder: 64 hexadecimal digits, of no use on another machine."""
    from cryptography.hazmat.primitives import hashes, hmac  # a login has it by now

    code = hmac.HMAC(b"pam_sc-tries-v1\0" + machine_id.encode(), hashes.SHA256())
    for text in (token.manufacturer, token.model, token.serial, token.label):
        code.update(len(text.encode()).to_bytes(4, "big") + text.encode())
    return code.finalize().hex()


@contextmanager
def _safe_folder(path: str) -> Iterator[int]:
    """The folder, open; PermissionError unless it is this account's and nobody else can use it."""
    try:
        folder = os.open(path, _OPEN_FOLDER)
    except FileNotFoundError as error:
        raise NotADirectoryError("it does not exist") from error
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"it has uid {found.st_uid} and mode {stat.S_IMODE(found.st_mode):o}, "
                                  f"expected uid {os.geteuid()} and mode 700")
        yield folder
    finally:
        os.close(folder)


def _read(file: int) -> int:
    """The count; ValueError if the file says anything but a number."""
    content = os.pread(file, _DIGITS + 1, 0)
    if not content:
        return 0
    if len(content) != _DIGITS or not content.isdigit():
        raise ValueError(f"a file in it holds no number of {_DIGITS} digits")
    return int(content)


def _write(file: int, count: int) -> None:
    """Write the count, all of it or, at the first time, nothing."""
    written = os.pwrite(file, b"%0*d" % (_DIGITS, count), 0)
    if written != _DIGITS:
        raise OSError(f"{written} of {_DIGITS} bytes were written")


def _uncounted(folder: str, error: OSError | ValueError) -> Failure:
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return Failure(Reason.PIN_TRIES_UNCOUNTED, f"cannot count wrong PINs in {folder}: {why}")
