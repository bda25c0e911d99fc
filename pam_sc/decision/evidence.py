# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known about one login so far: frozen values, gathered by pam_sc/login.py, judged by decide.py.

Nothing here was believed because somebody said so: every field that comes from the card process is a claim, bounded in
size, and only the signature at the end proves anything. A thing that is not known yet is None; a thing that could not
be found out is a value that says why.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping

from pam_sc.decision.card_report import CardReport, CertificateRef, Failure, SessionCard, TokenRef
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.decision.possession import Answer, Attempt, Chosen, NotSigned, Opened, Signed
from pam_sc.decision.reasons import Reason
from pam_sc.decision.request import AccountLookup, Locality, Request
from pam_sc.record import field, record, replace

# ---------------------------------------------------------------- steps 4 to 7: one certificate


class KeyKind(enum.Enum):
    """The kinds of public key that a login knows."""

    RSA = "RSA"
    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    ED25519 = "Ed25519"
    ED448 = "Ed448"


@record(kw_only=True)
class CertificateFacts:
    """What a certificate says about itself (RFC 5280, section 4). Extracted by certificate.py, not judged.

    `key_kind` is None for any key a login does not know; `key_usage` and `extended_key_usage` are None where the
    extension is absent. `signature_hash` is the lower-case name of the hash in the certificate's own signature, or None
    for algorithms without a separate hash (Ed25519, Ed448).
    """

    subject: str
    issuer: str
    serial_number: int
    not_before: datetime.datetime
    not_after: datetime.datetime
    key_kind: KeyKind | None
    key_bits: int
    key_text: str
    signature_hash: str | None
    key_usage: frozenset[str] | None
    """RFC 5280 names: digitalSignature, nonRepudiation, keyEncipherment, ..."""
    extended_key_usage: frozenset[str] | None
    """Dotted object identifiers."""
    is_ca: bool = False  # basicConstraints
    sha256: bytes
    public_key_der: bytes
    """SubjectPublicKeyInfo."""


@record
class Unparsable:
    """The bytes are no certificate that can be used."""

    why: str


@record(kw_only=True)
class ValidPath:
    """A path that validates: leaf first, trust anchor last, each DER. `subjects` names them for people."""

    certificates: tuple[bytes, ...]
    subjects: tuple[str, ...]


@record
class NoPath:
    """No path validates; the reason is UNTRUSTED, PATH_INVALID or PATH_TOO_WEAK."""

    reason: Reason
    detail: str


PathFinding = ValidPath | NoPath


class RevocationStatus(enum.Enum):
    """RFC 5280, section 6.3 and RFC 6960, section 2.2. Unknown is its own answer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Situation(enum.Enum):
    """What looking for a certificate's revocation came to: good, revoked, or one of four ways not to know.

    NO_SOURCE: it names no source, none is configured, and no CRL with its issuer's name is at hand. NOT_AT_HAND: a source
    is named or configured, but what it says was never fetched or cannot be reached. STALE: what is at hand is too old.
    UNKNOWN: what is at hand does not answer: another scope, a bad signature, an untrusted signer, "unknown".
    """

    NO_SOURCE = "no source"
    NOT_AT_HAND = "not at hand"
    STALE = "stale"
    UNKNOWN = "unknown"
    GOOD = "good"
    REVOKED = "revoked"

    @property
    def status(self) -> RevocationStatus:
        """The same without the cause."""
        match self:
            case Situation.GOOD:
                return RevocationStatus.GOOD
            case Situation.REVOKED:
                return RevocationStatus.REVOKED
            case _:
                return RevocationStatus.UNKNOWN


@record(kw_only=True)
class SourceAnswer:
    """What one kind of source says about one certificate."""

    kind: RevocationSource
    situation: Situation
    detail: str
    """A clause for people: which CRL or responder, and what was made of it."""
    source: str | None = None
    """The file or URL that answered."""
    as_of: datetime.datetime | None = None
    """thisUpdate of what answered."""
    next_update: datetime.datetime | None = None
    reason: str | None = None
    """Of a revocation, its CRLReason by its name in RFC 5280; None where none is given."""


@record(kw_only=True)
class RevocationFinding:
    """What is known about the revocation of one certificate on the path."""

    subject: str
    situation: Situation
    detail: str
    """Which source answered, or why none could."""
    mode: RevocationMode | None = None
    """How strictly it must be known where its CA has a rule of its own; None: as everywhere."""
    answers: tuple[SourceAnswer, ...] = ()
    """Each source that was asked, in the order in which they were asked."""

    @property
    def status(self) -> RevocationStatus:
        """Good, revoked or unknown."""
        return self.situation.status


@record
class MappedAccounts:
    """The accounts that the mappers give for a certificate, in mapper order without repetition."""

    accounts: tuple[str, ...]
    detail: str = ""
    """Which mapper saw what; for `pam-sc explain`."""


@record
class MappingFailed:
    """A mapper could not answer, and no other had mapped the certificate. `reason`: that of the first that could not."""

    why: str
    reason: Reason = Reason.MAPPER_FAILED


MappingFinding = MappedAccounts | MappingFailed


@record(kw_only=True)
class CertificateEvidence:
    """What has been found out about one certificate so far."""

    facts: CertificateFacts | Unparsable | None = None
    path: PathFinding | None = None
    revocation: tuple[RevocationFinding, ...] | None = None
    """One for each certificate of the path but the anchor, leaf first."""
    mapping: MappingFinding | None = None


# ---------------------------------------------------------------- all of it


@record(kw_only=True)
class Evidence:
    """Everything known about one login. `with_certificate` and `with_account` give the next, richer one."""

    request: Request
    locality: Locality | None = None
    requested: AccountLookup | None = None
    """The account of PAM_USER; where that is empty and real_uid is not 0, the account of real_uid."""
    session_cards: tuple[SessionCard, ...] | None = None
    """The cards that opened the account's own sessions; only where a session is unlocked with the same card."""
    card: CardReport | Failure | None = None
    waited: Answer | None = None
    """How the last waiting for a card ended."""
    certificates: Mapping[CertificateRef, CertificateEvidence] = field(default_factory=dict)
    accounts: Mapping[str, AccountLookup] = field(default_factory=dict)
    """Accounts that the card named, looked up."""
    chosen_account: Chosen | None = None
    chosen_token: Chosen | None = None
    attempts: tuple[Attempt, ...] = ()
    """In the order in which they were made, all with one token."""
    tries_refused: Mapping[TokenRef, Failure] = field(default_factory=dict)
    """Tokens whose PIN is not tried any more, because too many wrong ones were counted on this machine, or none can be."""
    challenges: Mapping[CertificateRef, bytes] = field(default_factory=dict)
    """The only challenges whose signature counts in this login: built by the verifier, one for each candidate."""

    @property
    def asked(self) -> bool:
        """Somebody was asked for something, be it a PIN or a choice."""
        return bool(self.attempts) or self.chosen_account is not None or self.chosen_token is not None

    def about(self, ref: CertificateRef) -> CertificateEvidence:
        """What is known about one certificate."""
        return self.certificates.get(ref, CertificateEvidence())

    def with_certificate(self, ref: CertificateRef, **found: object) -> Evidence:
        """The same evidence, with more known about one certificate."""
        return replace(self, certificates={**self.certificates, ref: replace(self.about(ref), **found)})

    def with_attempt(self, attempt: Attempt) -> Evidence:
        """The same evidence, with one more attempt."""
        return replace(self, attempts=(*self.attempts, attempt))

    def with_outcome(self, outcome: Signed | NotSigned | Opened) -> Evidence:
        """The same evidence, with what became of the last attempt."""
        return replace(self, attempts=(*self.attempts[:-1], replace(self.attempts[-1], outcome=outcome)))

    def with_refused_tries(self, token: TokenRef, why: Failure) -> Evidence:
        """The same evidence, with a token that is not to be tried any more."""
        return replace(self, tries_refused={**self.tries_refused, token: why})

    def with_account(self, name: str, lookup: AccountLookup) -> Evidence:
        """The same evidence, with one more account looked up."""
        return replace(self, accounts={**self.accounts, name: lookup})
