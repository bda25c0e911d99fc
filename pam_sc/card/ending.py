# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a card's verification ends, so that nobody else at the reader can use it.

Many modules leave the card verified after C_Logout. OpenSC does; but with our opensc.conf it holds the reader until it
is disconnected, and the disconnection resets the card. So for OpenSC: never C_Logout; C_Finalize where the process
goes on, nothing at all where it is about to be killed. For every other module: C_Logout, and then a reset through PC/SC
where pyscard is installed and the slot is named like a reader. Nothing here fails a login that is decided.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from pam_sc.card import sentences
from pam_sc.card.ckr import TokenError
from pam_sc.card.constants import CKF_HW_SLOT, CKF_REMOVABLE_DEVICE
from pam_sc.card.module import Module
from pam_sc.card.pin import NotPossibleError
from pam_sc.card.session import Session
from pam_sc.decision.possession import CardFailure


def is_opensc(module: Module) -> bool:
    """Say whether the module is OpenSC, by what it says about itself."""
    try:
        info = module.info()
    except TokenError:
        return False
    return b"opensc" in (info.description + info.manufacturer).lower()


def end_session(module: Module, session: Session, slot: int, *, logged_in: bool) -> bool:
    """End a session of an order that failed. True if the module has to be initialized before it is used again."""
    if logged_in and is_opensc(module):
        module.finalize()
        return True
    if logged_in:
        end_verification(module, session, slot)
    else:
        session.close()
    return False


def end_verification(module: Module, session: Session, slot: int) -> None:
    """Log out, close the session and reset the card, as far as each of these works."""
    session.logout()
    session.close()
    with contextlib.suppress(TokenError, ImportError, OSError):
        reset_card(module.slot_info(slot).description.rstrip(b" \0").decode("utf-8", "replace"))


def forget_verification(module: Module, slot: int) -> None:
    """Have the card forget who verified a PIN before, or NotPossibleError: only then may its reader ask for one.

    Where no PIN is given to the module, a card that somebody has verified already would do without one. OpenSC resets the
    card when it lets go of it; for every other module PC/SC does, and where that cannot be done a slot of hardware is
    refused. The module is initialized anew, and what is known of its slots has to be read again.
    """
    opensc, info = is_opensc(module), module.slot_info(slot)
    module.finalize()
    done = opensc or not info.flags & (CKF_HW_SLOT | CKF_REMOVABLE_DEVICE)
    if not opensc:
        with contextlib.suppress(ImportError, OSError):
            done = reset_card(info.description.rstrip(b" \0").decode("utf-8", "replace")) or done
    module.initialize()
    module.slots()  # OpenSC looks for its readers only when it is asked for them
    module.drain_events()
    if not done:
        raise NotPossibleError(CardFailure.LOGIN_FAILED, sentences.NOT_RESET)


def reset_card(reader: str) -> bool:
    """Reset the card in the PC/SC reader of this name; False if there is none. ImportError without pyscard."""
    scard: Any = importlib.import_module("smartcard.scard")
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if result != scard.SCARD_S_SUCCESS:
        return False
    try:
        _result, readers = scard.SCardListReaders(context, [])
        if reader not in readers:
            return False
        either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, _protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, either)
        return bool(result == scard.SCARD_S_SUCCESS and scard.SCardDisconnect(card, scard.SCARD_RESET_CARD) == 0)
    finally:
        scard.SCardReleaseContext(context)
