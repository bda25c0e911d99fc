# SPDX-License-Identifier: LGPL-2.1-or-later
"""Generated public-key infrastructures: what is on the path, which CRLs lie about, and what is true of them.

The truth is never read from the CRLs: an authority lists whatever the plan says it revoked in each CRL that it signs
for the present, and only what is forged, out of date or unusable may leave it out. Keys are shared, for speed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.keys import PrivateKey, shared_key
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.pki_plan import (
    REASONS,
    CrlPlan,
    Flaw,
    Plan,
    Renewal,
    Scope,
    Signer,
    Time,
    Twin,
    is_about,
    reasons_of,
)

ROOT_KEY, OTHER_ROOT_KEY, RENEWED_KEY, TWIN_KEY, STRANGER_KEY, INDIRECT_KEY, LEAF_KEY, CA_KEY = range(8)
POINT, OTHER_POINT = "http://example.test/1.crl", "http://example.test/2.crl"
INDIRECT_NAME = "CRL Issuer"
UNKNOWN_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
_R = x509.ReasonFlags


@dataclass(frozen=True, slots=True)
class BuiltCrl:
    """A CRL, what it was planned to be, and whether a relying party may believe it."""

    der: bytes = field(repr=False)
    plan: CrlPlan
    is_delta: bool
    counts: bool
    holds: bool = False
    """It lists certificates as held which only a delta that may not be believed takes off."""

    @property
    def parsed(self) -> x509.CertificateRevocationList:
        """The CRL, parsed."""
        return x509.load_der_x509_crl(self.der)

    @property
    def number(self) -> int:
        """Its cRLNumber."""
        return self.parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@dataclass(frozen=True, slots=True)
class Pki:
    """What is built of a plan. `path` is the leaf and its authorities up to the first root, as DER."""

    plan: Plan
    path: tuple[bytes, ...] = field(repr=False)
    others: tuple[bytes, ...] = field(repr=False)
    """Further certificates that are at hand and no anchors."""
    other_anchors: tuple[bytes, ...] = field(repr=False)
    crls: tuple[BuiltCrl, ...]
    at: datetime.datetime

    @property
    def anchors(self) -> tuple[bytes, ...]:
        """All trusted roots."""
        return self.path[-1], *self.other_anchors

    def is_covered(self, place: int) -> bool:
        """Say whether CRLs that may be believed speak about this certificate for every reason."""
        covered: set[_R] = set()
        for crl in self.crls:
            if crl.counts and not crl.is_delta and is_about(self.plan, crl.plan, place):
                covered |= set(reasons_of(crl.plan))
        return covered == REASONS[0] | REASONS[1]

    def is_good(self, place: int) -> bool:
        """Say whether it is known by rights, and true, that the certificate at this place is not revoked."""
        return place not in self.plan.revoked_places and self.is_covered(place) and not self._is_held(place)

    def _is_held(self, place: int) -> bool:
        """Say whether all that may be believed holds the certificate, and no delta that lets it go may be."""
        speaking = [each for each in self.crls if each.counts and not each.is_delta]
        about = [each for each in speaking if is_about(self.plan, each.plan, place)]
        return place in self.plan.held and bool(about) and all(each.holds for each in about)


class _Builder:
    """Builds one plan. Serial numbers count up, so that nothing but keys differs between two builds."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.at = now()
        self.serial = 100
        self.number = 0
        """cRLNumber; each complete CRL has its own, and its delta the one after it."""
        self.root = self._authority("Root", ROOT_KEY)
        self.other_root = self._authority("Other Root", OTHER_ROOT_KEY)
        self.authorities = [self.root]
        for level in range(plan.depth):
            is_last = level == plan.depth - 1
            usage = ("keyCertSign", "cRLSign") if plan.crl_sign or not is_last else ("keyCertSign",)
            self.authorities.insert(
                0, self._below(self.authorities[0], f"CA {level}", CA_KEY + level, key_usage=usage)
            )
        self.issuer = self.authorities[0]

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _authority(self, name: str, key: int) -> CertificateAuthority:
        return CertificateAuthority(name, shared_key("p256", key))

    def _below(self, parent: CertificateAuthority, name: str, key: int, **wishes: object) -> CertificateAuthority:
        return parent.subordinate(name, shared_key("p256", key), serial=self._next(), **wishes)

    def pki(self) -> Pki:
        leaf = self.issuer.issue(key=shared_key("p256", LEAF_KEY), serial=self._next(), extensions=self._points())
        path = (leaf, *(Issued(each.private_key, each.der) for each in self.authorities))
        serials = [each.serial for each in path]
        crls = tuple(crl for plan in self.plan.crls if plan.of <= self.plan.depth for crl in self._crls(plan, serials))
        anchors, others = self._others()
        return Pki(self.plan, tuple(each.der for each in path), tuple(others), tuple(anchors), crls, self.at)

    def _points(self) -> list[tuple[x509.ExtensionType, bool]]:
        if not self.plan.point and not self.plan.indirect:
            return []
        full = [x509.UniformResourceIdentifier(POINT)] if self.plan.point else None
        issuer = [x509.DirectoryName(self._indirect().subject)] if self.plan.indirect else None
        return [(x509.CRLDistributionPoints([x509.DistributionPoint(full, None, None, issuer)]), False)]

    def _indirect(self) -> CertificateAuthority:
        return CertificateAuthority(INDIRECT_NAME, shared_key("p256", INDIRECT_KEY), self.root, der=b"none")

    def _others(self) -> tuple[list[bytes], list[bytes]]:
        anchors, others = [], []
        plan, name = self.plan, self.issuer.name
        if plan.renewal is Renewal.ROLLOVER:
            others.append(self._below(self.issuer, name, RENEWED_KEY).der)
        elif plan.renewal is Renewal.SAME_PARENT and plan.depth:
            others.append(self._below(self.authorities[1], name, RENEWED_KEY).der)
        if plan.twin is Twin.OTHER_ANCHOR:
            anchors.append(self.other_root.der)
            others.append(self._below(self.other_root, name, TWIN_KEY).der)
        elif plan.twin is Twin.ANCHOR:
            anchors.append(self._authority(name, TWIN_KEY).der)
        elif plan.twin is Twin.SQUATTER:
            parent = self._below(self.root, "Squatter", STRANGER_KEY)
            others += [parent.der, self._below(parent, name, TWIN_KEY).der]
        if plan.cross and plan.depth:
            anchors.append(self.other_root.der)
            below = self.authorities[-2]
            others.append(self.other_root.subordinate(below.name, below.key, serial=self._next()).der)
        if plan.indirect:
            others.append(self._below(self.root, INDIRECT_NAME, INDIRECT_KEY).der)
        return list(dict.fromkeys(anchors)), others

    # ---------------------------------------------------------------- CRLs

    def _crls(self, plan: CrlPlan, serials: Sequence[int]) -> Iterator[BuiltCrl]:
        self.number += 10
        plan = replace(plan, of=0) if plan.indirect else plan
        complete = self._counts(plan, plan.signer, plan.time)
        delta = plan.delta is not None and complete and self._counts(plan, plan.delta, plan.delta_time)
        delta = delta and plan.delta == plan.signer
        news = plan.delta_news and delta
        listed = self._listed(plan, counts=complete)
        held = self._held(plan) if plan.delta is not None else []
        first = [] if news else listed
        holds = complete and not delta and bool(held)
        yield self._built(plan, plan.signer, plan.time, first, held, serials, counts=complete, holds=holds)
        if plan.delta is not None:
            yield self._built(
                plan, plan.delta, plan.delta_time, self._listed(plan, counts=delta), held, serials, counts=delta,
                is_delta=True,
            )  # fmt: skip

    def _listed(self, plan: CrlPlan, *, counts: bool) -> list[int]:
        """The places that a CRL lists: all of its scope in truth; what does not count may be silent."""
        if plan.silent and not counts:
            return []
        reasons = reasons_of(plan)
        about = [place for place in self.plan.revoked_places if is_about(self.plan, plan, place)]
        return about if self.plan.reason is None or self.plan.reason in reasons else []

    def _held(self, plan: CrlPlan) -> list[int]:
        """The places that a complete CRL lists as held, and its delta takes off."""
        if _R.certificate_hold not in reasons_of(plan):
            return []
        free = [place for place in self.plan.held if place not in self.plan.revoked_places]
        return [place for place in free if is_about(self.plan, plan, place)]

    def _counts(self, plan: CrlPlan, signer: Signer, time: Time) -> bool:
        """Say whether a CRL by this signer may be believed: current, without flaw, by the authority that it names."""
        if time is not Time.PRESENT or plan.flaw is not Flaw.NONE:
            return False
        if plan.indirect:
            return signer is Signer.OWN and plan.of == 0
        if signer is Signer.OWN:
            return plan.of > 0 or self.plan.crl_sign or not self.plan.depth
        below_a_parent = self.plan.renewal is Renewal.SAME_PARENT and self.plan.depth > 0
        certified = self.plan.renewal is Renewal.ROLLOVER or below_a_parent
        return signer is Signer.RENEWED and plan.of == 0 and certified

    def _key(self, plan: CrlPlan, signer: Signer) -> PrivateKey:
        match signer:
            case Signer.OWN if plan.indirect:
                return shared_key("p256", INDIRECT_KEY)
            case Signer.OWN:
                return self.authorities[plan.of].private_key
            case Signer.RENEWED:
                return shared_key("p256", RENEWED_KEY)
            case Signer.TWIN:
                return shared_key("p256", TWIN_KEY)
            case Signer.STRANGER:
                return shared_key("p256", STRANGER_KEY)

    def _built(
        self,
        plan: CrlPlan,
        signer: Signer,
        time: Time,
        listed: Sequence[int],
        held: Sequence[int],
        serials: Sequence[int],
        *,
        counts: bool,
        is_delta: bool = False,
        holds: bool = False,
    ) -> BuiltCrl:
        key = self._key(plan, signer)
        named = self._key(plan, Signer.OWN) if signer is Signer.STRANGER else key  # who forges copies the identifier too
        authority = self._indirect() if plan.indirect else self.authorities[plan.of]
        first, last = {Time.PRESENT: (-1, 9), Time.STALE: (-9, -1), Time.FUTURE: (1, 9)}[time]
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        builder = builder.last_update(self.at + first * DAY).next_update(self.at + last * DAY)
        for extension, critical in _crl_extensions(plan, named, self.number, is_delta=is_delta):
            builder = builder.add_extension(extension, critical)
        hold = _R.remove_from_crl if is_delta else _R.certificate_hold
        for place, reason in [(each, self.plan.reason) for each in listed] + [(each, hold) for each in held]:
            builder = builder.add_revoked_certificate(self._entry(plan, serials[place], reason))
        if plan.flaw is Flaw.ENTRY_EXTENSION:
            builder = builder.add_revoked_certificate(self._entry(plan, 99, None, flawed=True))
        der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return BuiltCrl(der, plan, is_delta, counts, holds)

    def _entry(self, plan: CrlPlan, serial: int, reason: _R | None, *, flawed: bool = False) -> x509.RevokedCertificate:
        builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.at - 2 * DAY)
        if reason is not None:
            builder = builder.add_extension(x509.CRLReason(reason), critical=False)
        if plan.indirect:
            issuer = [x509.DirectoryName(self.issuer.subject)]
            builder = builder.add_extension(x509.CertificateIssuer(issuer), critical=True)
        if flawed:
            builder = builder.add_extension(x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00"), critical=True)
        return builder.build()


def _crl_extensions(
    plan: CrlPlan, key: PrivateKey, number: int, *, is_delta: bool
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False
    yield x509.CRLNumber(number + is_delta), False
    if is_delta:
        yield x509.DeltaCRLIndicator(number), True
    elif plan.delta is not None and plan.announced:
        yield x509.FreshestCRL([x509.DistributionPoint([x509.UniformResourceIdentifier(POINT)], None, None, None)]), False
    if plan.scope is not Scope.ALL or plan.reasons is not None or plan.indirect:
        yield _issuing_distribution_point(plan), True
    if plan.flaw is Flaw.EXTENSION:
        yield x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00"), True


def _issuing_distribution_point(plan: CrlPlan) -> x509.IssuingDistributionPoint:
    point = {Scope.POINT: POINT, Scope.OTHER_POINT: OTHER_POINT}.get(plan.scope)
    return x509.IssuingDistributionPoint(
        full_name=None if point is None else [x509.UniformResourceIdentifier(point)],
        relative_name=None,
        only_contains_user_certs=plan.scope is Scope.USER,
        only_contains_ca_certs=plan.scope is Scope.CA,
        only_contains_attribute_certs=plan.scope is Scope.ATTRIBUTE,
        only_some_reasons=None if plan.reasons is None else REASONS[plan.reasons],
        indirect_crl=plan.indirect,
    )


def build(plan: Plan) -> Pki:
    """Make the certificates and CRLs of a plan."""
    return _Builder(plan).pki()
