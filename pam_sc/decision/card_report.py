# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the card process reports: modules, slots, tokens and certificates, as frozen values (steps 2 and 3 of decide.py).

All of it is a claim of a process that is not believed: bounded in size, cleaned of control characters, never identity.
"""

from __future__ import annotations

import enum
from typing import Protocol

from pam_sc.decision.reasons import Reason
from pam_sc.record import record


@record
class TokenRef:
    """Names a token within one report: index of the module in the configuration, PKCS#11 slot id."""

    module: int
    slot_id: int


@record
class CertificateRef:
    """Names a certificate within one report: its token and its place in the order the token listed it."""

    token: TokenRef
    index: int


@record
class Failure:
    """Something could not be read: the reason from the one table, and the detail for the log."""

    reason: Reason
    detail: str


@record(kw_only=True)
class CertificateReport:
    """One CKO_CERTIFICATE object, or why it could not be read. `der` is at most 64 KiB and not parsed yet."""

    ref: CertificateRef
    der: bytes
    object_id: bytes = b""
    label: str = ""
    failure: Failure | None = None


class SessionCard(Protocol):
    """The card that opened a session (pam_sc/session.py). All five must fit: a label is quickly copied."""

    @property
    def label(self) -> str:
        """As in TokenReport."""

    @property
    def serial(self) -> str:
        """As in TokenReport."""

    @property
    def manufacturer(self) -> str:
        """As in TokenReport."""

    @property
    def model(self) -> str:
        """As in TokenReport."""

    @property
    def certificate_sha256(self) -> str:
        """Of the certificate that was accepted then, in lower-case hexadecimal digits."""


class PinState(enum.Enum):
    """CK_TOKEN_INFO.flags about the user PIN (PKCS#11 v2.40, section 3.2). What a token claims, not what is true."""

    OK = "ok"
    COUNT_LOW = "count-low"
    FINAL_TRY = "final-try"
    LOCKED = "locked"
    NOT_SET = "not-set"


@record(kw_only=True)
class TokenReport:
    """One token. Texts are cleaned of padding and control characters; they are never identity."""

    ref: TokenRef
    label: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    login_required: bool = True
    protected_authentication_path: bool = False
    to_be_changed: bool = False
    pin_state: PinState = PinState.OK
    pin_min: int = 0
    pin_max: int = 0
    mechanisms: frozenset[str] = frozenset()
    """Of the mechanisms in challenge.py, those for which the token sets CKF_SIGN."""
    certificates: tuple[CertificateReport, ...] = ()
    failure: Failure | None = None


@record(kw_only=True)
class SlotReport:
    """One slot: empty (token is None), with a token, or unreadable."""

    slot_id: int
    description: str = ""
    manufacturer: str = ""
    removable: bool = False
    """CKF_REMOVABLE_DEVICE: the token can be taken away."""
    occupied: bool = False
    """CKF_TOKEN_PRESENT: something is in it, also where it has no content or cannot be read."""
    token: TokenReport | None = None
    failure: Failure | None = None


@record(kw_only=True)
class ModuleReport:
    """One configured PKCS#11 module."""

    index: int
    path: str
    description: str = ""
    manufacturer: str = ""
    version: str = ""
    slots: tuple[SlotReport, ...] = ()
    failure: Failure | None = None


@record
class CardReport:
    """Everything the card process could read, in configured module, slot and object order."""

    modules: tuple[ModuleReport, ...]

    def tokens(self) -> tuple[tuple[ModuleReport, SlotReport, TokenReport], ...]:
        """Every token that was found, with its slot and module, in order."""
        return tuple(
            (module, slot, slot.token) for module in self.modules for slot in module.slots if slot.token is not None
        )
