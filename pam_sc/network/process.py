# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process: the only one that speaks to a network. It has no card, no PIN, no frames channel and no files.

It starts with the privilege of its parent and gives that up, for the account pam_sc and a filter, before it reads a
byte of anybody's and before it imports what does. It grants nothing. What it fetches is signed, and checked by who
asked; what a directory says is not, so a login has directories asked by a second process of this kind, which fetches
nothing.
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable

from pam_sc.errors import DeadlineExceeded, ProtocolError
from pam_sc.frames import Channel
from pam_sc.network.account import NETWORK_ACCOUNT
from pam_sc.network.messages import NETWORK_PAYLOAD_MAX, Unusable, answer_frame

CHANNEL_FD = 3
_SAY_S = 5.0

Confine = Callable[[int, int, list[int]], None]


def main() -> int:
    """Serve on the descriptor that pam_sc_worker left, confined by it; the exit status."""
    import _pam_sc  # a builtin of pam_sc_worker: exists only there

    return run(CHANNEL_FD, _pam_sc.drop_and_confine_network)


def run(channel: int, confine: Confine) -> int:
    """Serve on this descriptor until the verifier closes the channel; the exit status."""
    stream = Channel(socket.socket(fileno=channel), NETWORK_PAYLOAD_MAX)
    try:
        give_up_privilege(confine)
    except (OSError, ValueError, KeyError) as error:
        return _refuse(stream, f"the network process cannot be confined: {_words(error)}")
    try:
        from pam_sc.network.serve import NetworkServer
    except ImportError as error:
        return _refuse(stream, f"the network process cannot work: {error}")
    return NetworkServer(stream).run()


def give_up_privilege(confine: Confine) -> None:
    """Become the account pam_sc if any of our uids is 0, else stay; and enter the sandbox. Never as uid 0."""
    if 0 not in os.getresuid():
        confine(-1, -1, [])
        return
    entry = pwd.getpwnam(NETWORK_ACCOUNT)
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise ValueError(f"account {NETWORK_ACCOUNT!r} has uid {entry.pw_uid} and gid {entry.pw_gid}")
    groups = [gid for gid in os.getgrouplist(NETWORK_ACCOUNT, entry.pw_gid) if gid != 0]
    confine(entry.pw_uid, entry.pw_gid, groups)


def _words(error: Exception) -> str:
    return f"account {NETWORK_ACCOUNT!r} does not exist" if isinstance(error, KeyError) else str(error)


def _refuse(stream: Channel, why: str) -> int:
    try:
        stream.send(answer_frame(Unusable(why)), time.monotonic() + _SAY_S)
    except (ProtocolError, DeadlineExceeded):
        pass  # nobody listens, and the exit status says it as well
    return 1
