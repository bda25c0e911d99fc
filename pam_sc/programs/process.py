# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program runner: the only process that runs programs which the configuration names. It has no card and no PIN.

It starts with the privilege of its parent, is told by it which programs there are and as whom they run, and gives its
privilege up for good before it reads anything else. It believes SETUP only from whoever is root then, by the kernel's
word: a verifier that has given root up cannot have the runner become anybody.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable

from pam_sc.errors import DeadlineExceeded, ProtocolError
from pam_sc.frames import HEADER, Channel, Frame, decode_fields, decode_header
from pam_sc.programs.messages import (
    PROGRAMS_PAYLOAD_MAX,
    Ready,
    Setup,
    Unusable,
    answer_frame,
    read_setup,
)

CHANNEL_FD = 3
_SETUP_S = 10.0
_CREDENTIALS = struct.Struct("3i")

Confine = Callable[[int, int, list[int]], None]
DieWith = Callable[[int], None]


def main() -> int:
    """Serve on the descriptor that pam_sc_worker left, confined by it; the exit status."""
    import _pam_sc  # a builtin of pam_sc_worker: exists only there

    return run(CHANNEL_FD, _pam_sc.drop_and_confine_programs, _pam_sc.program_dies_with)


def run(channel: int, confine: Confine, die_with: DieWith) -> int:
    """Serve on this descriptor until the verifier closes the channel; the exit status."""
    sock = socket.socket(fileno=channel)
    try:
        setup = receive_setup(sock, time.monotonic() + _SETUP_S)
        give_up_privilege(setup, confine)
    except (OSError, ValueError, ProtocolError, DeadlineExceeded) as error:
        _say(Channel(sock, PROGRAMS_PAYLOAD_MAX), Unusable(f"the program runner cannot be confined: {error}"))
        return 1
    stream = Channel(sock, PROGRAMS_PAYLOAD_MAX)
    _say(stream, Ready())
    from pam_sc.programs.serve import ProgramServer

    return ProgramServer(stream, setup.programs, die_with, limit_processes=setup.account is not None).run()


def give_up_privilege(setup: Setup, confine: Confine) -> None:
    """Become the account of SETUP if any of our uids is 0, else stay; and enter the sandbox. Never as uid 0."""
    if 0 not in os.getresuid():
        confine(-1, -1, [])
        return
    if setup.account is None:
        raise ValueError("no account was named, and root runs no program")
    confine(setup.account.uid, setup.account.gid, list(setup.account.groups))


def receive_setup(sock: socket.socket, deadline: float) -> Setup:
    """Return SETUP, each byte of it sent by root, or by our own uid if that is not root; else ProtocolError."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    kind, length = decode_header(_exactly(sock, HEADER.size, deadline), PROGRAMS_PAYLOAD_MAX)
    setup = read_setup(Frame(kind, decode_fields(_exactly(sock, length, deadline))))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    return setup


def _exactly(sock: socket.socket, count: int, deadline: float) -> bytes:
    received = b""
    while len(received) < count:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            piece, ancillary, _flags, _address = sock.recvmsg(count - len(received), 256)
        except TimeoutError as error:
            raise DeadlineExceeded("the verifier named no programs in time") from error
        if not piece:
            raise ProtocolError("the verifier named no programs")
        _require_parent(ancillary)
        received += piece
    return received


def _require_parent(ancillary: list[tuple[int, int, bytes]]) -> None:
    senders = [_CREDENTIALS.unpack(text)[1] for level, kind, text in ancillary
               if (level, kind, len(text)) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _CREDENTIALS.size)]
    if senders != [os.getuid()]:
        raise ProtocolError("programs were named by a process without our privilege")


def _say(stream: Channel, what: Ready | Unusable) -> None:
    try:
        stream.send(answer_frame(what), time.monotonic() + 5)
    except (ProtocolError, DeadlineExceeded):
        pass  # nobody listens, and the end of the channel says it as well
