# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known about the questions, the PIN and the proof (steps 8 to 11 of decide.py): answers, attempts, outcomes.

An answer to a prompt for a secret is never here, only how it went; what the card process says of a try is a claim.
"""

from __future__ import annotations

import enum

from pam_sc.decision.card_report import CertificateRef, TokenRef
from pam_sc.record import record


class Answer(enum.Enum):
    """What the verifier learns of the answer to a PIN prompt; never the answer itself."""

    ANSWERED = "answered"
    EMPTY = "empty"
    NOT_GIVEN = "not-given"
    FAILED = "failed"
    AGAIN = "again"
    TOO_LONG = "too-long"
    NOT_STACKED = "not-stacked"
    TIMEOUT = "timeout"
    WAITED = "waited"
    """What was waited for has come."""
    NOT_NEEDED = "not-needed"
    """No PIN was asked for: the token needs none, or it is typed on the reader."""


class PinWay(enum.Enum):
    """How the PIN comes to the token. The value is its name in the card protocol."""

    TYPED = "typed"
    """A person's answer to a prompt."""
    STACKED = "stacked"
    """PAM_AUTHTOK of an earlier module: never for the last try."""
    PINPAD = "pinpad"
    """On the reader (CKF_PROTECTED_AUTHENTICATION_PATH)."""
    NONE = "none"
    """The token does not set CKF_LOGIN_REQUIRED, and the configuration allows that."""
    OPENED = "opened"
    """It has come already: the card process is logged in (`[token] login_first`)."""


class PinPrompt(enum.Enum):
    """What the question for a PIN has to say beside the name of the token."""

    FIRST = "first"
    AGAIN = "again"
    """The attempt before was wrong."""
    FEW_LEFT = "few-left"
    LAST_TRY = "last-try"


class CardFailure(enum.Enum):
    """Why the card process did not sign, open a token or change a PIN. The value is its name in the card protocol."""

    PIN_FORM = "pin-form"
    TOKEN_REMOVED = "token-removed"
    TOKEN_CHANGED = "token-changed"
    PIN_WRONG = "pin-wrong"
    PIN_WRONG_FEW_LEFT = "pin-wrong-few-left"
    PIN_WRONG_ONE_LEFT = "pin-wrong-one-left"
    PIN_REPEATED = "pin-repeated"
    LAST_TRY_STACKED = "last-try-stacked"
    PINPAD_CANCELLED = "pinpad-cancelled"
    PINPAD_TIMEOUT = "pinpad-timeout"
    PIN_WRONG_NOW_LOCKED = "pin-wrong-now-locked"
    PIN_LOCKED = "pin-locked"
    PIN_EXPIRED = "pin-expired"
    LOGIN_FAILED = "login-failed"
    NO_PRIVATE_KEY = "no-private-key"
    MECHANISM_REFUSED = "mechanism-refused"
    SIGNING_FAILED = "signing-failed"
    NEW_PIN_UNFIT = "new-pin-unfit"
    NEW_PIN_REPEAT_DIFFERS = "new-pin-repeat-differs"
    NEW_PIN_SAME = "new-pin-same"
    PUK_WRONG = "puk-wrong"
    PUK_LOCKED = "puk-locked"
    PIN_CHANGE_FAILED = "pin-change-failed"
    PIN_CHANGE_UNSUPPORTED = "pin-change-unsupported"
    PROCESS_LOST = "process-lost"
    PROCESS_LOST_AFTER_PIN = "process-lost-after-pin"
    TIMEOUT = "timeout"
    TIMEOUT_AFTER_PIN = "timeout-after-pin"


@record
class NotSigned:
    """The card did not sign. `detail` names the PKCS#11 return value, never a PIN."""

    failure: CardFailure
    detail: str = ""


@record
class Signed:
    """The card signed for one of the candidates: with which mechanism of proof.py, giving which bytes (at most 1 KiB).

    Which challenge was signed is not for the card to say: it is the one in `Evidence.challenges`.
    """

    certificate: CertificateRef
    mechanism: str
    signature: bytes


@record
class Chosen:
    """The answer to the one question between tokens or between accounts; what it named, if that was in the list.

    The text itself is nowhere: it may be a PIN that was typed too early.
    """

    answer: Answer
    token: TokenRef | None = None
    account: str | None = None


@record
class Opened:
    """The PIN opened the token ([token] login_first); what it shows now is in the report. It proves nothing yet."""


@record
class Attempt:
    """One try with the PIN of one token: how it was got and, if it was, what the card did with it."""

    token: TokenRef
    answer: Answer
    outcome: Signed | NotSigned | Opened | None = None
    way: PinWay = PinWay.TYPED
