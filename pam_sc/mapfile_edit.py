# SPDX-License-Identifier: LGPL-2.1-or-later
"""Change a mapfile so that at every moment the old one or the new one is there, whole; one change at a time.

Only the lines in question are touched: comments, blank lines, line ends and malformed lines stay byte for byte. What is
written lies beside the mapfile under a name that nobody reads until it is safe on the disk and was looked at; power lost
or the process killed, the old one stays. Never imported by a login.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pam_sc.errors import ConfigError, OwnershipError
from pam_sc.mapfile import MAPFILE_BYTES_MAX, Line, lower_ascii, parse_line, unusable_account, why_not_literal
from pam_sc.ownership import read_trusted_file, resolve_trusted
from pam_sc.record import record

LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.05
_CREATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_ACL = "system.posix_acl_access"
_KEPT_ATTRIBUTES = ("security.selinux", _ACL)


# ---------------------------------------------------------------- lines


def line_of(value: str, account: str) -> bytes:
    """Return the line that maps a value, without its end; ValueError with the reason where no line can."""
    problem = why_not_literal(value)
    if problem is not None:
        raise ValueError(f"the value {value!r:.100} {problem}")
    if unusable_account(account) is not None:
        raise ValueError(f"the account {account!r:.100} {unusable_account(account)}")
    line = f"{value} -> {account}".encode()
    if parse_line(line) != Line(value, account):
        raise ValueError(f"a line with the value {value!r:.100} and the account {account!r:.100} would mean something else")
    return line


def with_line(content: bytes, line: bytes) -> bytes:
    """The content with one more line at its end, ended as its last lines are."""
    end = b"\r\n" if re.search(rb"\r\n[^\n]*\Z", content) else b"\n"
    last = b"" if not content or content.endswith(b"\n") else end
    return content + last + line + end


@record
class NumberedLine:
    """A line that maps, and its number."""

    number: int
    line: Line


def lines_of(content: bytes, account: str, *, ignore_case: bool) -> list[NumberedLine]:
    """Return every line that maps to an account, in order."""
    wanted = account.encode()
    found = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = _parsed(raw, ignore_case=ignore_case) if wanted in raw else None
        if line is not None and line.account == account:
            found.append(NumberedLine(number, line))
    return found


def same_value(one: str, other: str, *, ignore_case: bool) -> bool:
    """Say whether a mapfile takes two values for the same."""
    return lower_ascii(one) == lower_ascii(other) if ignore_case else one == other


def without_lines(content: bytes, numbers: frozenset[int]) -> bytes:
    """The content without the lines of these numbers and their ends."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+", content)
    return b"".join(line for number, line in enumerate(lines, 1) if number not in numbers)


def _parsed(raw: bytes, *, ignore_case: bool) -> Line | None:
    try:
        return parse_line(raw, ignore_case=ignore_case)
    except ValueError:
        return None


# ---------------------------------------------------------------- the file


@record(kw_only=True)
class Change:
    """A mapfile that nobody else changes meanwhile, as it is now."""

    path: str
    """Canonical: no symbolic link on the way."""
    content: bytes
    status: os.stat_result

    def replace(self, content: bytes, look_at: Callable[[str], None]) -> None:
        """Put other content in place. `look_at` gets the path of the new file before that, and an error of its own ends it.

        ConfigError where it cannot be written, or the mapfile was changed by somebody who does not hold the lock.
        """
        unfinished = f"{_hidden(self.path, 'new')}-{os.getpid()}"
        try:
            self._write(unfinished, content)
            try:
                look_at(unfinished)
                if _identity(os.stat(self.path)) != _identity(self.status):
                    raise ConfigError(f"cannot change mapfile {self.path!r}: somebody else changed it; try again")
                os.rename(unfinished, self.path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(unfinished)
            _sync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise _cannot_change(self.path, error) from error

    def _write(self, path: str, content: bytes) -> None:
        descriptor = os.open(path, _CREATE | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            if (self.status.st_uid, self.status.st_gid) != _owner(os.fstat(descriptor)):
                os.fchown(descriptor, self.status.st_uid, self.status.st_gid)
            os.fchmod(descriptor, self.status.st_mode & 0o7777)
            _copy_attributes(self.path, descriptor)
            os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(descriptor)


@contextmanager
def changing(path: str, trusted_uids: frozenset[int], wait_s: float = LOCK_WAIT_S) -> Iterator[Change]:
    """Be the only one that changes a mapfile; ConfigError if it, or the way to it, is not to be trusted or written.

    The lock ends with the process that holds it, however that ends.
    """
    canonical = resolve(path, trusted_uids)
    try:
        descriptor = os.open(_hidden(canonical, "lock"), _CREATE, 0o600)
    except OSError as error:
        raise _cannot_change(path, error) from error
    try:
        _wait_for(descriptor, path, time.monotonic() + wait_s)
        _remove_unfinished(canonical)
        yield read(canonical, trusted_uids)
    finally:
        os.close(descriptor)


def read(path: str, trusted_uids: frozenset[int]) -> Change:
    """Return the mapfile as it is now; ConfigError if it cannot be used."""
    try:
        canonical = resolve_trusted(path, trusted_uids)
        status = os.stat(canonical)
        return Change(
            path=canonical, content=read_trusted_file(canonical, trusted_uids, MAPFILE_BYTES_MAX), status=status
        )
    except OwnershipError as error:
        raise ConfigError(f"cannot use mapfile {path!r}: {error}") from error
    except OSError as error:
        raise _cannot_change(path, error) from error


def resolve(path: str, trusted_uids: frozenset[int]) -> str:
    """Return where a mapfile lies that this process may change; ConfigError if it must not be trusted or cannot be changed."""
    try:
        canonical = resolve_trusted(path, trusted_uids)
    except OwnershipError as error:
        advice = "; an empty one is a beginning (touch)" if isinstance(error.__cause__, FileNotFoundError) else ""
        raise ConfigError(f"cannot change mapfile {path!r}: {error}{advice}") from error
    if not os.access(os.path.dirname(canonical), os.W_OK | os.X_OK, effective_ids=True):
        code = errno.EROFS if _read_only(canonical) else errno.EACCES
        raise _cannot_change(path, OSError(code, os.strerror(code)))
    return canonical


def _read_only(path: str) -> bool:
    return bool(os.statvfs(os.path.dirname(path)).f_flag & os.ST_RDONLY)


def _hidden(path: str, kind: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{kind}")


def _wait_for(descriptor: int, path: str, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise ConfigError(f"cannot change mapfile {path!r}: another pam-sc is changing it") from None
        except OSError as error:
            raise _cannot_change(path, error) from error
        time.sleep(_LOCK_POLL_S)


def _remove_unfinished(path: str) -> None:
    """Remove what a killed process left."""
    folder, begin = os.path.split(_hidden(path, "new-"))
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(begin):
                os.unlink(os.path.join(folder, name))


def _copy_attributes(source: str, descriptor: int) -> None:
    for name in _KEPT_ATTRIBUTES:
        try:
            value = os.getxattr(source, name)
        except OSError:  # it has none, or the file system knows none
            if name == _ACL:  # the folder may have given one to the new file
                with suppress(OSError):
                    os.removexattr(descriptor, _ACL)
            continue
        os.setxattr(descriptor, name, value)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _owner(status: os.stat_result) -> tuple[int, int]:
    return status.st_uid, status.st_gid


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _cannot_change(path: str, error: OSError) -> ConfigError:
    advice = "; run it as root" if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0 else ""
    return ConfigError(f"cannot change mapfile {path!r}: {error.strerror}{advice}")
