# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the card process can say about an order that failed: a closed set of sentences and names.

By then it holds the PIN, and what it says is logged. Whoever got code into it must not be able to log the PIN, so the
verifier keeps only what is listed here: one of the sentences, or names of PKCS#11 functions, mechanisms and return
values.
"""

from __future__ import annotations

import re
from typing import Final

from pam_sc.card.ckr import CKR
from pam_sc.card.mechanisms import MECHANISMS

NOT_SENT: Final = "the answer was not sent to the token"
MODULE_NOT_LOADED: Final = "the module is not loaded"
NO_TOKEN: Final = "no token in the slot"  # noqa: S105 - a token of PKCS#11
OTHER_TOKEN: Final = "a token left or came in the slot"  # noqa: S105
LOCKED_MEANWHILE: Final = "the PIN was locked after the token was read; no PIN was sent"
TRIES_USED_MEANWHILE: Final = "PIN tries were used after the token was read"
CERTIFICATE_GONE: Final = "a certificate is not on the token any more"
NO_KEY: Final = "no key has the certificate's id or public key"
NOT_FOR_SIGNATURES: Final = "the key wants a PIN for each signature, and its certificate is not for signatures"
WANTS_A_PIN: Final = "the token wants a PIN now, and none was asked for"
NO_KEYPAD: Final = "the token takes no PIN from the reader's keypad now"
NOT_RESET: Final = "the card could not be reset, so somebody else's PIN might still count; nothing was sent"
NOT_TYPED: Final = "the reader said that the PIN is right sooner than anybody can type one"
NOT_OPEN: Final = "the token is not open"
REFUSED_BEFORE: Final = "the token refused this answer before, so it was not sent again"

SENTENCES: Final = frozenset({
    NOT_SENT, MODULE_NOT_LOADED, NO_TOKEN, OTHER_TOKEN, LOCKED_MEANWHILE, TRIES_USED_MEANWHILE, CERTIFICATE_GONE, NO_KEY,
    NOT_FOR_SIGNATURES, WANTS_A_PIN, NO_KEYPAD, NOT_RESET, NOT_TYPED, NOT_OPEN, REFUSED_BEFORE,
})
_FUNCTIONS: Final = frozenset({
    "C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_OpenSession", "C_FindObjectsInit",
    "C_FindObjects", "C_GetAttributeValue", "C_Login", "C_Logout", "C_SignInit", "C_Sign", "C_SetPIN", "C_InitPIN",
})
_NAMES: Final = _FUNCTIONS | frozenset(MECHANISMS) | frozenset(name for name, _meaning in CKR.values())
_NAME: Final = re.compile(r"\b(?:C|CKM|CKR)_\w+")


def closed(detail: str) -> str:
    """Return what of a detail is in the closed set, with the meaning of each return value."""
    if detail in SENTENCES:
        return detail
    meanings = dict(CKR.values())
    names = [name for name in _NAME.findall(detail) if name in _NAMES]
    return ", ".join(f"{name} ({meanings[name]})" if name in meanings else name for name in names)
