# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login would have to fetch to know more about revocation, and what becomes of it once it is there.

Only for certificates whose path is valid, only where the rules of their CA let a login use the network, and only what
is not known yet. Nothing is fetched here; what comes back is looked at exactly as what lies on the disk, and is kept for
this login alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pam_sc.decision.evidence import RevocationFinding, Situation, Unparsable, ValidPath
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.record import record, replace
from pam_sc.transfer import Outcome, Transfer, Transferred
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.crl_file import FileCrls, by_issuer, read_crl
from pam_sc.trust.files import CRLS, values_of
from pam_sc.trust.locations import crl_urls, ocsp_urls
from pam_sc.trust.requests import Request, leave_request
from pam_sc.trust.revocation import CaRules, RevocationSources
from pam_sc.trust.sources import Crl, OcspMessage

WANTED_MAX = 32
"""Things that one login fetches."""
OCSP_BYTES_MAX = 256 << 10
OCSP_REQUEST_TYPE = "application/ocsp-request"
NONCE_BYTES = 32


@record(kw_only=True)
class Wanted:
    """One thing to fetch, and what it is for."""

    transfer: Transfer
    ca: CaRules
    kind: RevocationSource
    issuer: PathCertificate
    serial: int
    nonce: bytes | None = None


@record(kw_only=True)
class FetchedAnswers:
    """OCSP responses that this login has fetched."""

    by_key: dict[tuple[bytes, int], tuple[OcspMessage, ...]]

    def about(self, issuer: PathCertificate, serial: int) -> Sequence[OcspMessage]:
        """Return the responses to what was asked about this serial of this issuer."""
        return self.by_key.get((issuer.sha256, serial), ())


def plan_fetches(
    path: ValidPath,
    findings: Sequence[RevocationFinding],
    sources: RevocationSources,
    random: Callable[[int], bytes],
) -> tuple[Wanted, ...]:
    """Return what to fetch for the certificates of the path about which nothing definite is known, at most WANTED_MAX."""
    members = [read_path_certificate(der) for der in path.certificates]
    found: list[Wanted] = []
    for finding, certificate, issuer in zip(findings, members, members[1:], strict=False):
        if isinstance(certificate, Unparsable) or isinstance(issuer, Unparsable):
            continue
        ca = sources.rules_for(issuer)
        if ca.fetch_at_login and _is_open(finding, ca):
            found += _for_certificate(certificate, issuer, ca, random)
    return tuple({each.transfer.url + str(each.serial): each for each in found}.values())[:WANTED_MAX]


def _is_open(finding: RevocationFinding, ca: CaRules) -> bool:
    return ca.rules.mode is not RevocationMode.OFF and finding.situation not in (Situation.GOOD, Situation.REVOKED)


def _for_certificate(
    certificate: PathCertificate, issuer: PathCertificate, ca: CaRules, random: Callable[[int], bytes]
) -> Iterator[Wanted]:
    serial = certificate.parsed.serial_number
    for kind in ca.rules.sources:
        if kind is RevocationSource.CRL:
            urls = [(url, True) for url in ca.crl_urls] + [(url, False) for url in crl_urls(certificate.parsed)]
            for url, configured in urls:
                transfer = Transfer(url=url, max_bytes=ca.max_bytes, configured=configured or ca.loopback)
                yield Wanted(transfer=transfer, ca=ca, kind=kind, issuer=issuer, serial=serial)
        else:
            yield from _questions(certificate, issuer, ca, random)


def _questions(
    certificate: PathCertificate, issuer: PathCertificate, ca: CaRules, random: Callable[[int], bytes]
) -> Iterator[Wanted]:
    from pam_sc.trust.ocsp import build_ocsp_request  # only where a question is asked

    urls = [(ca.responder_url, True)] if ca.responder_url else [(url, False) for url in ocsp_urls(certificate.parsed)]
    for url, configured in urls:
        nonce = random(NONCE_BYTES) if ca.nonce else None
        transfer = Transfer(
            url=url,
            body=build_ocsp_request(certificate, issuer, nonce),
            content_type=OCSP_REQUEST_TYPE,
            max_bytes=min(OCSP_BYTES_MAX, ca.max_bytes),
            configured=configured or ca.loopback,
        )
        yield Wanted(
            transfer=transfer, ca=ca, kind=RevocationSource.OCSP, issuer=issuer,
            serial=certificate.parsed.serial_number, nonce=nonce,
        )  # fmt: skip


def with_fetched(
    sources: RevocationSources,
    wanted: Sequence[Wanted],
    outcomes: Sequence[Outcome],
    in_time: Callable[[], None] = lambda: None,
) -> RevocationSources:
    """Return the sources with what came back beside what was there. What cannot be parsed is no source.

    Nobody's signature has been looked at when a server's bytes are parsed: `in_time` is called before each piece of work,
    and what it raises comes through.
    """
    crls: list[Crl] = []
    answers: dict[tuple[bytes, int], tuple[OcspMessage, ...]] = {}
    for each, outcome in zip(wanted, outcomes, strict=True):
        if not isinstance(outcome, Transferred):
            continue
        if each.kind is RevocationSource.CRL:
            crls += _crls(outcome.body, each.transfer.url, in_time)
        else:
            key = each.issuer.sha256, each.serial
            message = OcspMessage(der=outcome.body, source=each.transfer.url, nonce=each.nonce, fetched=True)
            answers[key] = (*answers.get(key, ()), message)
    return replace(
        sources,
        crls=(*sources.crls, FileCrls(by_issuer=by_issuer(crls))),
        answers=(*sources.answers, FetchedAnswers(by_key=answers)),
    )


def why_not_fetched(
    findings: Sequence[RevocationFinding], wanted: Sequence[Wanted], outcomes: Sequence[Outcome]
) -> tuple[RevocationFinding, ...]:
    """Return the findings, where they are still open with what the network said added to their detail."""
    failed = [
        f"{each.transfer.url}: {outcome.why}"
        for each, outcome in zip(wanted, outcomes, strict=True)
        if not isinstance(outcome, Transferred)
    ]
    if not failed:
        return tuple(findings)
    told = f"could not be fetched: {'; '.join(failed[:4])}"
    return tuple(
        replace(each, detail=f"{each.detail}; {told}" if each.detail else told)
        if each.situation in (Situation.NOT_AT_HAND, Situation.STALE)
        else each
        for each in findings
    )


def _crls(body: bytes, source: str, in_time: Callable[[], None]) -> Sequence[Crl]:
    """Return the one CRL that was fetched: DER as RFC 5280 has it, or PEM as some servers do. More than one is none."""
    in_time()
    try:
        (der,) = values_of(body, CRLS)
    except ValueError:
        return ()
    crl = read_crl(der, source, in_time)
    in_time()
    return () if isinstance(crl, Unparsable) else (crl,)


def leave_requests(store: str, sources: RevocationSources, path: ValidPath) -> None:
    """Leave word in the store's folder of requests of where the certificates of a trusted path say they can be looked up.

    Also where the answer is known by now: a card that is used keeps its OCSP answers fresh. Nothing is left where the
    CA is not looked up at all; where the store takes no requests, nothing happens.
    """
    members = [read_path_certificate(der) for der in path.certificates]
    for index, certificate in enumerate(members[:-1]):
        issuers = tuple(each for each in members[index + 1 :] if isinstance(each, PathCertificate))
        if isinstance(certificate, Unparsable) or len(issuers) != len(members) - index - 1:
            continue
        ca = sources.rules_for(issuers[0])
        crls, responders = crl_urls(certificate.parsed), ocsp_urls(certificate.parsed)
        if ca.rules.mode is not RevocationMode.OFF and (crls or responders or ca.responder_url):
            leave_request(store, Request(
                issuers=issuers, serial=certificate.parsed.serial_number, crl_urls=crls, ocsp_urls=responders
            ))  # fmt: skip
