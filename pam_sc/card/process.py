# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card process: the only one that loads PyKCS11 and a vendor's PKCS#11 module, and the only one that sees a PIN.

It starts with the privilege of its parent, gives that up before it loads a module, and from then on nobody believes
what it says. It must never log, print, or write a PIN anywhere but into C_Login.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from pam_sc.errors import DeadlineExceeded, ProtocolError
from pam_sc.frames import CARD_PAYLOAD_MAX, Channel

if TYPE_CHECKING:
    from pam_sc.card.serve import Confine

SECRETS_FD = 3
CHANNEL_FD = 4


def main() -> int:
    """Serve on the descriptors that pam_sc_worker left, confined by it; the exit status."""
    import _pam_sc

    return run(SECRETS_FD, CHANNEL_FD, _pam_sc.drop_and_confine_card)


def run(secrets: int, channel: int, confine: Confine) -> int:
    """Serve on these descriptors until the verifier closes the channel; the exit status."""
    stream = Channel(socket.socket(fileno=channel), CARD_PAYLOAD_MAX)
    try:
        from pam_sc.card.serve import CardServer
    except ImportError as error:
        return _refuse(stream, error)
    try:
        return CardServer(stream, secrets, confine).run()
    except (DeadlineExceeded, OSError):
        return 1


def _refuse(stream: Channel, error: ImportError) -> int:
    """Tell the verifier what is not installed."""
    from pam_sc.card.messages import failed_frame
    from pam_sc.card.text import clean_text

    try:
        stream.send(failed_frame("setup", clean_text(str(error))), time.monotonic() + 5)
    except (ProtocolError, DeadlineExceeded):
        return 1
    return 1
