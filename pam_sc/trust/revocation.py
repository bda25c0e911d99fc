# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known about the revocation of each certificate of a valid path, from CRLs and OCSP responses at hand.

Both kinds of source are asked in the order of the rules of the certificate's CA; the signers of what they say are
looked at in the same way. Nothing is fetched and nothing is decided: what "unknown" means is for
decision/revocation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

from pam_sc.decision.evidence import RevocationFinding, Situation, SourceAnswer, Unparsable, ValidPath
from pam_sc.decision.parsing import name_text
from pam_sc.decision.policy import RevocationMode, RevocationRules, RevocationSource
from pam_sc.record import record, replace
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.crl import Conditions, Members, ask_crls
from pam_sc.trust.locations import crl_urls, names_source, ocsp_urls
from pam_sc.trust.path import find_issuer_paths
from pam_sc.trust.sources import CrlSet, OcspSet

OTHERS_MAX = 8
"""Other certificates of an authority's key that are looked at, and paths of each."""
SIGNERS_DEEP = 4
"""Signers of revocation data about signers of revocation data ...: with more nobody is serious."""
_KEY_IS_LOST = ("keyCompromise", "cACompromise", "aACompromise")
_HOLD = "certificateHold"
"""The only reason that may be taken back (RFC 5280, section 5.3.1)."""
_UNKNOWN_FIRST = (Situation.STALE, Situation.UNKNOWN, Situation.NOT_AT_HAND, Situation.NO_SOURCE)
"""Of several ways not to know, the one that is told: what is nearest to an answer."""


@record(kw_only=True)
class CaRules:
    """How certificates of one CA are looked up."""

    rules: RevocationRules
    responder: PathCertificate | None = None
    """The certificate of a configured OCSP responder."""
    responder_url: str | None = None
    crl_urls: tuple[str, ...] = ()
    """Configured for this CA alone."""
    nonce: bool = True
    """A nonce goes out with a question."""
    nonce_required: bool = False
    fetch_at_login: bool = False
    max_bytes: int = 64 << 20
    loopback: bool = False
    """URLs of certificates may lead to loopback and link-local addresses."""
    proxy: str | None = None
    timeout_s: float = 10.0


@record(kw_only=True)
class RevocationSources:
    """Where revocation is looked up, and by which rules."""

    crls: tuple[CrlSet, ...] = ()
    answers: tuple[OcspSet, ...] = ()
    default: CaRules
    authorities: tuple[tuple[PathCertificate, CaRules], ...] = ()
    """CAs with rules of their own: name and key must be these."""
    problems: Callable[[], Sequence[str]] = tuple
    """Files that are no source because they cannot be used, a sentence each, as far as that is known by now."""

    def rules_for(self, issuer: PathCertificate) -> CaRules:
        """Return the rules for what this CA issued."""
        for authority, rules in self.authorities:
            if authority.subject == issuer.subject and authority.public_key == issuer.public_key:
                return rules
        return self.default


def find_revocation(
    path: ValidPath, sources: RevocationSources, conditions: Conditions
) -> tuple[RevocationFinding, ...]:
    """Return what is known about each certificate of a valid path but the anchor, leaf first.

    Never raises but what `conditions.in_time` raises.
    """
    members = [read_path_certificate(der) for der in path.certificates]
    lookup = _Lookup(sources, conditions)
    found: list[RevocationFinding] = []
    for index, member in enumerate(members[:-1]):
        issuers = tuple(each for each in members[index + 1 :] if isinstance(each, PathCertificate))
        if isinstance(member, Unparsable) or len(issuers) != len(members) - index - 1:
            found.append(RevocationFinding(
                subject=path.subjects[index], situation=Situation.UNKNOWN, detail="it cannot be parsed"
            ))  # fmt: skip
        else:
            found.append(lookup.find(member, issuers) if index == 0 else lookup.find_authority(member, issuers))
    return tuple(found)


def _is_lost(finding: RevocationFinding) -> bool:
    return any(each.situation is Situation.REVOKED and each.reason in _KEY_IS_LOST for each in finding.answers)


class _Asked:
    """Those whose revocation is being looked up at the moment, because they signed what was found about another."""

    def __init__(self) -> None:
        self._stack: list[tuple[bytes, RevocationSource]] = []

    @property
    def depth(self) -> int:
        """How many stand between the certificate of the path and the one that is asked about."""
        return len(self._stack)

    def circle(self, certificate: PathCertificate, kind: RevocationSource) -> Situation | None:
        """Return what a circle of signers comes to, None if there is none.

        A CRL may cover its own signer, and two signers may be covered by each other's: nobody else can speak about
        them, and that counts as good (PKITS 4.14.30). An OCSP responder that vouches for itself does not.
        """
        places = [place for place, (sha256, _kind) in enumerate(self._stack) if sha256 == certificate.sha256]
        if not places:
            return None
        kinds = {kind, *(each for _sha256, each in self._stack[places[0] + 1 :])}
        return Situation.GOOD if kinds == {RevocationSource.CRL} else Situation.UNKNOWN

    @contextmanager
    def while_asked(self, certificate: PathCertificate, kind: RevocationSource) -> Iterator[None]:
        """Inside, the certificate is being asked about because of what it signed."""
        self._stack.append((certificate.sha256, kind))
        try:
            yield
        finally:
            self._stack.pop()


class _Lookup:
    """One lookup, and the signers whose own revocation is being looked up at the moment."""

    def __init__(self, sources: RevocationSources, conditions: Conditions) -> None:
        self._sources = sources
        self._conditions = conditions
        self._asked = _Asked()

    def find(self, certificate: PathCertificate, issuers: Members) -> RevocationFinding:
        """Return what is known about one certificate with this path above it."""
        self._conditions.in_time()
        ca = self._sources.rules_for(issuers[0])
        if ca.rules.mode is RevocationMode.OFF:
            return RevocationFinding(
                subject=certificate.text, situation=Situation.UNKNOWN, detail="not looked at", mode=ca.rules.mode
            )
        answers = self._ask(certificate, issuers, ca)
        situation, detail = combine(answers)
        return RevocationFinding(
            subject=certificate.text, situation=situation, detail=detail, mode=ca.rules.mode, answers=answers
        )

    def find_authority(self, certificate: PathCertificate, issuers: Members) -> RevocationFinding:
        """Return what is known about an authority, whose key may be lost by what is said of another of its certificates.

        A thief of the key chooses the path: he brings the certificate that nobody has revoked yet.
        """
        finding = self.find(certificate, issuers)
        if finding.mode is RevocationMode.OFF or finding.situation is Situation.REVOKED:
            return finding
        around = self._conditions
        at_hand = dict.fromkeys((*around.trust.intermediates, *around.others))
        same_key = (each for each in at_hand if each.public_key == certificate.public_key and each.der != certificate.der)
        for other in islice(same_key, OTHERS_MAX):
            paths = find_issuer_paths(other, around.trust, around.policy, around.at, around.others, around.in_time)
            for path in islice(paths, OTHERS_MAX):
                elsewhere = self.find(other, path[1:]) if len(path) > 1 else finding
                if _is_lost(elsewhere):
                    detail = f"its key is lost, by another certificate of it: {elsewhere.detail}"
                    return replace(elsewhere, subject=finding.subject, mode=finding.mode, detail=detail)
        return finding

    def judge_signer(self, kind: RevocationSource, certificate: PathCertificate, issuers: Members) -> Situation:
        """Say what is known about the certificate of somebody who signed this kind of revocation data."""
        circle = self._asked.circle(certificate, kind)
        if circle is not None:
            return circle
        if self._asked.depth >= SIGNERS_DEEP:
            return Situation.UNKNOWN
        with self._asked.while_asked(certificate, kind):
            return self.find(certificate, issuers).situation

    def _ask(self, certificate: PathCertificate, issuers: Members, ca: CaRules) -> tuple[SourceAnswer, ...]:
        """Ask the kinds of source in their order, until one answers that leaves the others nothing to say.

        What only the other kind could revoke is always looked at. Where CRLs are not asked, a certificate that names
        one names a source all the same.
        """
        answers: list[SourceAnswer] = []
        for kind in ca.rules.sources:
            answers.append(self._ask_kind(kind, certificate, issuers, ca))
            known = answers[-1].situation
            if known is Situation.REVOKED or (not ca.rules.either and known is not Situation.NO_SOURCE):
                break
        if RevocationSource.CRL not in ca.rules.sources and all(_knows_no_source(each) for each in answers):
            answers.append(_nothing(RevocationSource.CRL, certificate, ca, self._sources.problems()))
        return tuple(answers)

    def _ask_kind(
        self, kind: RevocationSource, certificate: PathCertificate, issuers: Members, ca: CaRules
    ) -> SourceAnswer:
        judge_signer = partial(self.judge_signer, kind)
        if kind is RevocationSource.CRL:
            found = ask_crls(
                certificate, issuers, self._sources.crls, self._conditions, ca.rules, judge_signer
            )  # fmt: skip
            return found or _nothing(kind, certificate, ca, self._sources.problems())
        messages = [
            message
            for each in self._sources.answers
            for message in each.about(issuers[0], certificate.parsed.serial_number)
        ]
        if not messages:
            return _nothing(kind, certificate, ca, self._sources.problems())
        from pam_sc.trust.ocsp import ask_ocsp  # only where there is an answer to look at

        return ask_ocsp(
            certificate,
            issuers,
            messages,
            rules=ca.rules,
            policy=self._conditions.policy,
            at=self._conditions.at,
            responder=ca.responder,
            nonce_required=ca.nonce_required,
            judge_signer=judge_signer,
            named=True,
        )


def combine(answers: Sequence[SourceAnswer]) -> tuple[Situation, str]:
    """Return what the answers come to: the first definite one, unless another says "revoked".

    Who is revoked stays so: a responder that says "good" after that does not know it yet, or never will. Only a hold may
    have ended, so it must be at least as recent as the "good".
    """
    definite = [each for each in answers if each.situation in (Situation.GOOD, Situation.REVOKED)]
    if not definite:
        told = min(answers, key=lambda each: _UNKNOWN_FIRST.index(each.situation))
        return told.situation, "; ".join(dict.fromkeys(each.detail for each in answers if each.detail))
    first = definite[0]
    for other in definite[1:]:
        if first.situation is Situation.GOOD and other.situation is Situation.REVOKED and _overrules(other, first):
            return other.situation, other.detail
    return first.situation, first.detail


def _overrules(other: SourceAnswer, first: SourceAnswer) -> bool:
    return other.reason != _HOLD or other.as_of is None or first.as_of is None or other.as_of >= first.as_of


def _knows_no_source(answer: SourceAnswer) -> bool:
    return answer.situation is Situation.NO_SOURCE


def _nothing(
    kind: RevocationSource, certificate: PathCertificate, ca: CaRules, problems: Sequence[str]
) -> SourceAnswer:
    """Nothing of this kind is at hand: because nobody names a source, or because nobody fetched what is named.

    A CRL file that cannot be used may be the one about this certificate: it counts as a source that is not at hand.
    """
    if kind is RevocationSource.CRL:
        urls = (*ca.crl_urls, *crl_urls(certificate.parsed))
        detail = f"no CRL of {name_text(certificate.parsed.issuer)!r} is at hand"
        detail += f" ({problems[0]})" if problems else ""
    else:
        urls = (ca.responder_url,) if ca.responder_url else ocsp_urls(certificate.parsed)
        detail = "no OCSP answer is at hand" if urls else ""
    named = bool(urls) or (kind is RevocationSource.CRL and (bool(problems) or names_source(certificate.parsed)))
    return SourceAnswer(
        kind=kind,
        situation=Situation.NOT_AT_HAND if named else Situation.NO_SOURCE,
        detail=detail + (f" ({urls[0]} was never fetched)" if urls else ""),
        source=urls[0] if urls else None,
    )
