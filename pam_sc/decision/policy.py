# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the administrator demands of a login, as frozen values. The defaults are the strict ones."""

from __future__ import annotations

import datetime
import enum

from pam_sc.decision.card_report import CertificateReport, ModuleReport, SlotReport, TokenReport
from pam_sc.record import field, record

DEFAULT_CARD_NAMES_USER = frozenset({"login", "gdm-smartcard"})
DEFAULT_PRIVILEGED_SERVICES = frozenset({"su", "su-l", "sudo", "sudo-i", "doas", "run0", "polkit-1", "pkexec"})
"""Services that give a person who is logged in another account, and with it perhaps more than they had."""


DEFAULT_UNLOCK_SERVICES = frozenset({
    "swaylock", "hyprlock", "gtklock", "waylock", "i3lock", "xscreensaver", "xsecurelock", "xlock", "light-locker", "vlock",
    "physlock", "kde", "kde-smartcard", "kscreensaver", "gnome-screensaver", "cinnamon-screensaver", "mate-screensaver",
    "xfce4-screensaver", "ukui-screensaver-qt",
})  # fmt: skip
"""Screen lockers: a person is there already, and the account is the one that runs the session."""
GREETERS = frozenset({"gdm-smartcard", "gdm-password", "gdm-switchable-auth"})
"""Services that open sessions, and unlock one where the host names the token that opened it."""


class RevocationMode(enum.Enum):
    """How strictly the revocation status of each certificate on the path must be known (revocation.py has the table).

    REQUIRE: it must be known. NAMED: it must be known where the certificate names a source (a CRL distribution point or
    an OCSP responder), where one is configured, or where a CRL that carries its issuer's name is at hand, even a forged
    or stale one. PREFER: unknown is accepted and logged; what a stale CRL lists is still refused. OFF: not looked at.
    """

    REQUIRE = "require"
    NAMED = "named"
    PREFER = "prefer"
    OFF = "off"


class RevocationSource(enum.Enum):
    """The two kinds of source (RFC 6960 and RFC 5280)."""

    OCSP = "ocsp"
    CRL = "crl"


@record(kw_only=True)
class RevocationRules:
    """How the revocation of certificates of one CA is looked up, or of all CAs without rules of their own."""

    mode: RevocationMode = RevocationMode.NAMED
    sources: tuple[RevocationSource, ...] = (RevocationSource.OCSP, RevocationSource.CRL)
    """Which are asked, in this order. A definite answer ends the asking, except that a "revoked" overrules a "good": for
    good, or where it is a hold and at least as recent."""
    either: bool = True
    """Where the first source does not know, the next may answer."""
    clock_skew: datetime.timedelta = datetime.timedelta(minutes=5)
    """How far thisUpdate may lie ahead and nextUpdate behind."""


class Algorithms(enum.Enum):
    """Which keys, curves and signature algorithms count on a path (algorithms.py has the table)."""

    CURRENT = "current"
    LEGACY = "legacy"
    ANY = "any"


ANY_POLICY = "2.5.29.32.0"


@record(kw_only=True)
class PathInputs:
    """The inputs of path validation (RFC 5280, section 6.1.1) that are for the administrator to choose."""

    policies: frozenset[str] = frozenset({ANY_POLICY})
    """user-initial-policy-set, dotted."""
    explicit_policy: bool = False
    inhibit_policy_mapping: bool = False
    inhibit_any_policy: bool = False
    strict: bool = True
    """OpenSSL's X509_STRICT: every rule of RFC 5280 that OpenSSL knows, key identifiers and keyUsage of CAs included."""
    partial: bool = False
    """A certificate among the anchors that is not self-issued ends a path; else it is an intermediate."""
    purposes: frozenset[str] | None = None
    """Extended key usages of which a leaf needs one where it has the extension; None: those of a login."""
    any_leaf: bool = False
    """A leaf that is an authority's, or has a key of a kind that no login knows, may be trusted. For test vectors."""


@record(kw_only=True)
class CertificateSelector:
    """Which certificates of a token count. None means "any"; comparisons are exact."""

    text: str
    object_id: bytes | None = None
    """CKA_ID."""
    label: str | None = None
    """CKA_LABEL."""
    position: int | None = None
    """Its place in the order in which the token lists its certificates, counted from 1."""

    def selects(self, report: CertificateReport) -> bool:
        """Say whether this certificate is one of the wanted."""
        return (
            self.object_id in (None, report.object_id)
            and self.label in (None, report.label)
            and self.position in (None, report.ref.index + 1)
        )


@record(kw_only=True)
class TokenSelector:
    """Which tokens count: the attributes of a PKCS#11 URI (RFC 7512, section 2.3), and two more. None means "any".

    Comparisons are exact but for the prefix, on the text with the padding of PKCS#11 removed. `text` is as configured.
    """

    text: str
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    slot_description: str | None = None
    slot_manufacturer: str | None = None
    library_manufacturer: str | None = None
    library_description: str | None = None
    library_version: str | None = None
    slot_description_prefix: str | None = None
    """How the slot's description begins."""
    slot_number: int | None = None
    """The slot's place in its module's own list (C_GetSlotList), counted from 1. Not its id."""
    certificate: CertificateSelector | None = None
    """What the URI says of an object: only these certificates of the token count."""

    def selects(self, module: ModuleReport, slot: SlotReport, token: TokenReport) -> bool:
        """Say whether this token is one of the wanted."""
        wanted_and_found = (
            (self.token, token.label),
            (self.manufacturer, token.manufacturer),
            (self.model, token.model),
            (self.serial, token.serial),
            (self.slot_id, slot.slot_id),
            (self.slot_description, slot.description),
            (self.slot_manufacturer, slot.manufacturer),
            (self.library_manufacturer, module.manufacturer),
            (self.library_description, module.description),
            (self.library_version, module.version),
        )
        exactly = all(wanted is None or wanted == found for wanted, found in wanted_and_found)
        return exactly and slot.description.startswith(self.slot_description_prefix or "") and self._numbers(module, slot)

    def _numbers(self, module: ModuleReport, slot: SlotReport) -> bool:
        return self.slot_number is None or slot in module.slots[self.slot_number - 1 : self.slot_number]


class Otherwise(enum.Enum):
    """What holds where a session is unlocked that was not opened with a card, though the same card is demanded."""

    CARD = "card"
    """Any card of the account counts."""
    REFUSE = "refuse"
    IGNORE = "ignore"
    """PAM_IGNORE: the stack goes on as if the line were not there."""


@record(kw_only=True)
class UnlockRules:
    """[unlock]: services in which a session is unlocked rather than opened."""

    services: frozenset[str] = DEFAULT_UNLOCK_SERVICES
    same_card: bool = False
    otherwise: Otherwise = Otherwise.CARD

    def unlocks(self, service: str, login_token: str) -> bool:
        """Say whether a session is unlocked rather than opened. `login_token`: what the host says opened it, or ""."""
        return service in self.services or (service in GREETERS and login_token != "")


@record(kw_only=True)
class Members:
    """Accounts by name, and groups, written as "@group"."""

    accounts: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def has(self, account: str, groups: frozenset[str]) -> bool:
        """Say whether the account, which is in these groups, is meant."""
        return account in self.accounts or not self.groups.isdisjoint(groups)


@record(kw_only=True)
class Policy:
    """The rules that `decide` applies. One for each login; nothing in it changes while a login runs."""

    services: frozenset[str] | None = None
    """The PAM services in which a card may be used; None: every service whose stack names the module."""
    remote_allowed: bool = False
    allow_root: bool = False
    card_names_user: frozenset[str] = DEFAULT_CARD_NAMES_USER
    card_required: bool = False
    select: TokenSelector | None = None
    revocation: RevocationRules = field(default_factory=RevocationRules)
    allow_last_try: bool = False
    prompts: int = 1
    """How many PINs one call may try, a stacked one included."""
    pinpad: bool = False
    allow_no_pin: bool = False
    """Tokens without CKF_LOGIN_REQUIRED count: possession alone is then a login."""
    login_first: bool = False
    """A token that shows no certificate is logged in to before its certificates are judged."""
    must_use: Members = field(default_factory=Members)
    """For these a card is required, whatever `card` says."""
    may_use: Members | None = None
    """Where given, nobody else may use a card."""
    must_not_use: Members = field(default_factory=Members)
    certificate_select: CertificateSelector | None = None
    prefer: tuple[CertificateSelector, ...] = ()
    """The certificates of one token that are tried first, in this order; then the others as the token lists them."""
    choose: bool = False
    """Between tokens and accounts the person is asked, with an echoed prompt."""
    wait_s: int = 0
    """For how long a card is waited for."""
    unlock: UnlockRules = field(default_factory=UnlockRules)
    algorithms: Algorithms = Algorithms.CURRENT
    path: PathInputs = field(default_factory=PathInputs)

    @property
    def groups(self) -> frozenset[str]:
        """Every group that a list names: of these, and no others, an account's own are looked up."""
        may_use = self.may_use.groups if self.may_use is not None else frozenset()
        return self.must_use.groups | may_use | self.must_not_use.groups
