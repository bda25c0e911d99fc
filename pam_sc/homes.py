# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier's end of the home channel: which files a login may read in homes, and the client of the home reader.

The home reader takes one order while the verifier still is root, and never reads what is not in it. What it answers is
bounded and checked here, and whatever it does otherwise is a refusal. Nothing here judges what is in a file.
"""

from __future__ import annotations

import enum
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pam_sc.decision.home_files import why_not_believed
from pam_sc.decision.reasons import Reason
from pam_sc.decision.request import Request
from pam_sc.errors import ChannelClosed, DeadlineExceeded, MapperError, PamScError, ProtocolError
from pam_sc.frames import Channel, Frame
from pam_sc.record import record
from pam_sc.services import CannotMap

FILE_MAX = 1 << 20
"""The most bytes that a file in a home may have."""
PATHS_MAX = 4
PATH_MAX = 255
READ_S = 5.0
"""How long one file may take: a home can lie on a server that is gone."""
SCAN_READ_S = 1.0
"""The same where homes are scanned for the card's owner: who makes the own home hang must not use up everybody's time."""
_PAYLOAD_MAX = FILE_MAX + 64
_ANSWER_S = 1.0
"""How much longer the home reader may take to say that the time was over."""
_ALLOW_ROOT, _EVERYBODY = 1, 2
_NO_UID = 0xFFFFFFFF
_U32 = struct.Struct(">I")


class Kind(enum.IntEnum):
    """The types of the home channel (docs/protocol.md)."""

    ORDER = 0x01
    READ = 0x02
    FILE = 0x81
    NOT_READ = 0x82


class Place(enum.IntEnum):
    """Where on the way to a file the home reader stopped."""

    NOWHERE = 0
    ABOVE = 1
    HOME = 2
    FOLDER = 3
    FILE = 4


_PLACES = {
    Place.NOWHERE: "the file",
    Place.ABOVE: "a folder above the home",
    Place.HOME: "the home",
    Place.FOLDER: "a folder on the way to it",
    Place.FILE: "the file",
}

_NOTHING_THERE = frozenset({1, 2, 3})
"""No such account, no home, no such file."""
_NOT_BELIEVED = {
    4: "{place} is a symbolic link",
    5: "{place} is no folder",
    6: "{place} is no regular file",
    7: "{place} belongs to another account than this one and root",
    8: "{place} can be written by its group or by others (chmod go-w)",
    9: "it is larger than 1 MiB",
    10: "{place} was replaced while it was opened",
    11: "the account must not be read for this login",
}
_FAILED = {
    12: "the account may not read {place}",
    13: "the name service gave an error",
    14: "the home reader cannot become the account",
    15: "{place} cannot be read",
    16: "reading it took too long",
    17: "reading it was interrupted",
}


@record(kw_only=True)
class HomeOrder:
    """What the home reader may read for one login, and no more: whose homes, and which paths in them."""

    paths: tuple[str, ...]
    account: str | None = None
    """The account that was asked for."""
    uid: int | None = None
    """The account by number, where the request names none."""
    everybody: bool = False
    """Any account: a card names the account, and the configuration lets homes be scanned for it."""
    allow_root: bool = False


def is_home_path(path: object) -> bool:
    """Say whether a text can be the path of a file in a home: relative, plain, and nothing that leads out again."""
    if not isinstance(path, str) or not 0 < len(path.encode(errors="surrogateescape")) <= PATH_MAX:
        return False
    return path.isprintable() and not any(name in ("", ".", "..") for name in path.split("/"))


class HomeFiles:
    """Implements services.Homes for one request. Without a reader every file that would count is an error."""

    def __init__(
        self, request: Request, privileged_services: frozenset[str], reader: HomeReader | None, *, may_scan: bool
    ) -> None:
        self._request = request
        self._privileged_services = privileged_services
        self._reader = reader
        self.may_scan = may_scan

    def read(self, account: str, path: str, *, believed_for: frozenset[str]) -> bytes | None:
        """Return the file's content, None where account or file do not exist; CannotMap where it must not count."""
        why = why_not_believed(self._request, self._privileged_services, believed_for)
        if why is not None:
            raise CannotMap(Reason.HOME_FILE_NOT_BELIEVED, f"cannot believe {path!r} in the home: {why}")
        if self._reader is None:
            raise MapperError(f"cannot read {path!r} in the home: no home reader runs for this login")
        return self._reader.read(account, path)


class HomeReader:
    """One home reader, as the verifier sees it. Deadlines are on time.monotonic."""

    def __init__(self, sock: socket.socket, order: HomeOrder, deadline: Callable[[], float]) -> None:
        """Tell the home reader what it may read. To be made while we still have the privilege that it reads with."""
        # before it is told: the kernel notes the sender of what is written while an end of the channel asks for it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel = Channel(sock, _PAYLOAD_MAX)
        self._paths = order.paths
        self._deadline = deadline
        self._read_s = SCAN_READ_S if order.everybody else READ_S
        self._lost: str | None = None
        try:
            self._channel.send(order_frame(order), deadline())
        except (ChannelClosed, DeadlineExceeded) as error:
            self._lost = str(error)

    def read(self, account: str, path: str) -> bytes | None:
        """Return the content of a file in this account's home; None where account, home or file do not exist."""
        if path not in self._paths:
            raise MapperError(f"cannot read {path!r} in the home: it is not what the home reader was told")
        if self._lost is None:
            try:
                return self._ask(account, path)
            except (ProtocolError, DeadlineExceeded) as error:
                self._lost = str(error)
        raise MapperError(f"cannot read {path!r} in the home: the home reader is lost: {self._lost}")

    def _ask(self, account: str, path: str) -> bytes | None:
        end = min(self._deadline(), time.monotonic() + self._read_s)
        limit_ms = max(1, int((end - time.monotonic()) * 1000))
        fields = (bytes([self._paths.index(path)]), _U32.pack(limit_ms), account.encode())
        self._channel.send(Frame(Kind.READ, fields), end)
        answer = self._channel.receive(end + _ANSWER_S)
        match answer:
            case Frame(type=Kind.FILE, fields=(content,)) if len(content) <= FILE_MAX:
                return content
            case Frame(type=Kind.NOT_READ, fields=(code,)) if len(code) == 2:
                _require_absence(path, code[0], code[1])
                return None
        raise ProtocolError(f"unexpected message of type {answer.type:#x} with {len(answer.fields)} fields")

    def close(self) -> None:
        """Close the channel, which ends the home reader."""
        self._channel.close()


@contextmanager
def started_home_reader(worker_path: str, order: HomeOrder, deadline: Callable[[], float]) -> Iterator[HomeReader]:
    """Start a home reader of one's own, where no supervisor does it; it is dead when the block is left.

    PamScError if it cannot be started.
    """
    from pam_sc.children import end_child, start_child

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            try:
                pid = start_child(worker_path, "homes", (theirs.fileno(),))
            except OSError as error:
                raise PamScError(f"cannot start the home reader: {worker_path}: {error.strerror}") from error
        try:
            yield HomeReader(ours, order, deadline)
        finally:
            end_child(pid)


def _require_absence(path: str, code: int, place: int) -> None:
    """Return where there is nothing to read; raise what the code means otherwise."""
    if code in _NOTHING_THERE:
        return
    if place not in _PLACES or code not in _NOT_BELIEVED | _FAILED:
        raise ProtocolError(f"unknown code {code} or place {place}")
    where = _PLACES[Place(place)]
    if code in _NOT_BELIEVED:
        why = _NOT_BELIEVED[code].format(place=where)
        raise CannotMap(Reason.HOME_FILE_NOT_BELIEVED, f"cannot believe {path!r} in the home: {why}")
    raise MapperError(f"cannot read {path!r} in the home: {_FAILED[code].format(place=where)}")


def order_frame(order: HomeOrder) -> Frame:
    """Return ORDER; ProtocolError for paths that a home reader would not take."""
    if not 1 <= len(order.paths) <= PATHS_MAX or not all(map(is_home_path, order.paths)):
        raise ProtocolError(f"cannot order {len(order.paths)} paths of the home reader, expected 1 to {PATHS_MAX}")
    flags = (_ALLOW_ROOT if order.allow_root else 0) | (_EVERYBODY if order.everybody else 0)
    uid = _NO_UID if order.uid is None else order.uid
    return Frame(Kind.ORDER, (
        bytes([flags]), _U32.pack(uid), (order.account or "").encode(), *(path.encode() for path in order.paths)
    ))  # fmt: skip
