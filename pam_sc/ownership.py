# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a file can be believed: nobody but the trusted users can change it, its name or any folder on the way to it.

The path is walked one name at a time, symbolic links included: every folder that is looked into, every link and the
file itself must belong to a trusted uid and be writable by nobody else. A sticky folder of root's, such as /tmp, counts
as unwritable for an entry that itself belongs to a trusted uid. Nothing here changes a mode or an owner, and nothing is
opened before its whole way was found safe.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pam_sc.errors import OwnershipError

_LINKS_MAX = 40
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def require_unwritable(path: str, trusted_uids: frozenset[int]) -> None:
    """Return if nobody but the trusted uids can change what lies at `path`, file or folder; else OwnershipError."""
    resolve_trusted(path, trusted_uids)


def resolve_trusted(path: str, trusted_uids: frozenset[int]) -> str:
    """Return the canonical name of `path`, every folder and link on the way found safe, as is what lies there."""
    if not path.startswith("/") or "\0" in path:
        raise OwnershipError(f"cannot trust {path!r}: expected an absolute path")
    done, ahead, links = "/", _names(path), 0
    status = _require_safe(done, trusted_uids)
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            done = os.path.dirname(done)
            status = _require_safe(done, trusted_uids)
            continue
        entry = os.path.join(done, name)
        status = _require_safe(entry, trusted_uids)
        if not stat.S_ISLNK(status.st_mode):
            done = entry
            continue
        links += 1
        if links > _LINKS_MAX:
            raise OwnershipError(f"cannot trust {path!r}: more than {_LINKS_MAX} symbolic links")
        done, ahead = _follow(entry, done, ahead)
        status = _require_safe(done, trusted_uids)
    if status.st_mode & _WRITABLE_BY_OTHERS:  # a sticky folder: others may add to it
        raise _unsafe(done, status, trusted_uids)
    return done


def _follow(link: str, folder: str, ahead: list[str]) -> tuple[str, list[str]]:
    try:
        target = os.readlink(link)
    except OSError as error:
        raise _unreadable(link, error) from error
    return ("/" if target.startswith("/") else folder), _names(target) + ahead


def read_trusted_file(
    path: str, trusted_uids: frozenset[int], max_bytes: int, *, secret: bool = False
) -> bytes:
    """Return the bytes of a regular file that only the trusted uids can change; OwnershipError for anything else.

    `secret`: others must have no permission at all (mode 0600 or 0640).
    """
    descriptor = _open(path, trusted_uids, max_bytes, secret=secret)
    return b"".join(_pieces(path, descriptor, max_bytes, 1 << 20))


def read_trusted_pieces(
    path: str, trusted_uids: frozenset[int], max_bytes: int, piece_bytes: int
) -> Iterator[bytes]:
    """Yield the same piece by piece, as it is read; OwnershipError before the first piece or later."""
    yield from _pieces(path, _open(path, trusted_uids, max_bytes), max_bytes, piece_bytes)


def require_trusted_file(path: str, trusted_uids: frozenset[int], max_bytes: int) -> None:
    """Return if read_trusted_file would begin to read; OwnershipError otherwise."""
    os.close(_open(path, trusted_uids, max_bytes))


def _pieces(path: str, descriptor: int, max_bytes: int, piece_bytes: int) -> Iterator[bytes]:
    try:
        size = 0
        while piece := os.read(descriptor, min(piece_bytes, max_bytes + 1 - size)):
            size += len(piece)
            if size > max_bytes:
                raise _too_large(path, max_bytes)
            yield piece
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _open(path: str, trusted_uids: frozenset[int], max_bytes: int, *, secret: bool = False) -> int:
    canonical = resolve_trusted(path, trusted_uids)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(canonical, flags)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        status = os.fstat(descriptor)
        if secret:
            _require_secret(path, status)
        _require_regular(path, status, trusted_uids, max_bytes)
    except OwnershipError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(path: str, status: os.stat_result, trusted_uids: frozenset[int], max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OwnershipError(f"cannot read {path!r}: found {_kind(status)}, expected a regular file")
    if status.st_uid not in trusted_uids or status.st_mode & _WRITABLE_BY_OTHERS:
        raise _unsafe(path, status, trusted_uids)
    if status.st_size > max_bytes:
        raise _too_large(path, max_bytes)


def _too_large(path: str, max_bytes: int) -> OwnershipError:
    return OwnershipError(f"cannot read {path!r}: larger than {max_bytes} bytes")


def _require_secret(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IRWXO:
        raise OwnershipError(f"cannot trust {path!r}: found mode {mode:04o}, expected no permission for others, as in 0600")


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _require_safe(path: str, trusted_uids: frozenset[int]) -> os.stat_result:
    """Return the status of one entry that only trusted uids can change; its folder was found safe before."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    open_to_others = status.st_mode & _WRITABLE_BY_OTHERS and not stat.S_ISLNK(status.st_mode)
    if status.st_uid not in trusted_uids or (open_to_others and not _is_sticky(status)):
        raise _unsafe(path, status, trusted_uids)
    return status


def _is_sticky(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX) and status.st_uid == 0


def _unreadable(path: str, error: OSError | ValueError) -> OwnershipError:
    cause = error.strerror if isinstance(error, OSError) else error
    return OwnershipError(f"cannot read {path!r}: {cause}")


def _unsafe(path: str, status: os.stat_result, trusted_uids: frozenset[int]) -> OwnershipError:
    owners = " or ".join(str(uid) for uid in sorted(trusted_uids))
    return OwnershipError(
        f"cannot trust {path!r}: found owner {status.st_uid} and mode {stat.S_IMODE(status.st_mode):04o}, "
        f"expected owner {owners} and no write permission for group and others"
    )


def _kind(status: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
    return kinds.get(stat.S_IFMT(status.st_mode), "something else")
