# SPDX-License-Identifier: LGPL-2.1-or-later
"""The trust anchors and the intermediates that the administrator configured, parsed.

A set without one usable anchor is an error: a login must never find out late that nobody is trusted. A certificate is
an anchor because of the folder it lies in and for no other reason; the system's own certificate store is never read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from cryptography import x509

from pam_sc.decision.certificate import read_key
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import CanonicalName, canonical_name
from pam_sc.decision.parsing import name_text, parse_certificate, read_extension, read_strictly
from pam_sc.errors import TrustError
from pam_sc.record import field, record
from pam_sc.trust.files import CERTIFICATES, read_files


@record(kw_only=True)
class PathCertificate:
    """A certificate that may stand on a path, with what finding paths needs to know of it."""

    der: bytes
    parsed: x509.Certificate = field(compare=False, repr=False)
    text: str
    """The subject, for people."""
    subject: CanonicalName
    issuer: CanonicalName
    key_identifier: bytes | None
    issuer_key_identifier: bytes | None
    extended_key_usage: frozenset[str] | None
    """Dotted object identifiers; None where the extension is absent."""
    not_before: datetime.datetime
    not_after: datetime.datetime
    is_authority: bool
    """basicConstraints says so."""
    sha256: bytes
    public_key: bytes
    """SubjectPublicKeyInfo; empty if the key is of a kind that nothing here can use."""


@record(kw_only=True)
class Trust:
    """The configured anchors and intermediates, each once, in an order that no file name can change."""

    anchors: tuple[PathCertificate, ...]
    intermediates: tuple[PathCertificate, ...] = ()
    problems: tuple[str, ...] = ()
    """Files that cannot be parsed and certificates that are no anchors though they lie there, a sentence each."""


def load_trust(
    anchors: str, intermediates: str | None, trusted_uids: frozenset[int], *, partial: bool = False
) -> Trust:
    """Read the anchors and intermediates; TrustError if a path is missing or unsafe, or there is no anchor at all.

    A certificate among the anchors that is not self-issued ends a path only if `partial`; else it is an intermediate.
    """
    found, problems = _load(anchors, trusted_uids)
    others, more = _load(intermediates, trusted_uids) if intermediates is not None else ((), ())
    return make_trust(anchors, found, others, problems=problems + more, partial=partial)


def make_trust(
    where: str,
    anchors: Sequence[PathCertificate],
    intermediates: Sequence[PathCertificate],
    *,
    problems: tuple[str, ...] = (),
    partial: bool = False,
) -> Trust:
    """Sort out which of the certificates in the anchors' place, called `where`, may end a path; TrustError if none."""
    ending = [each for each in anchors if partial or each.subject == each.issuer]
    demoted = [each for each in anchors if not (partial or each.subject == each.issuer)]
    problems = (*problems, *(_demotion(each, where) for each in demoted))
    if not ending:
        found = "no certificate" if not anchors else "none that may end a path"
        raise TrustError(f"cannot load anchors from {where!r}: found {found}" + _because(problems))
    return Trust(anchors=unique(ending), intermediates=unique([*intermediates, *demoted]), problems=problems)


def _demotion(certificate: PathCertificate, where: str) -> str:
    return (
        f"{certificate.text!r} in {where!r} is issued by another authority and counts as an intermediate only: "
        "to let paths end there, set [trust] partial_paths = true"
    )


def read_certificates(path: str, trusted_uids: frozenset[int]) -> tuple[PathCertificate, ...]:
    """Read a file of certificates that are no anchors; TrustError if it has none or something in it is broken."""
    found, problems = _load(path, trusted_uids)
    if not found or problems:
        raise TrustError(f"cannot load certificates from {path!r}: found {len(found)} certificates" + _because(problems))
    return found


def read_authority(path: str, trusted_uids: frozenset[int]) -> tuple[PathCertificate, ...]:
    """Read the certificates of one CA, of whatever keys; TrustError too if there are other names among them.

    What holds for one CA must not come to hold for its root, because somebody put the whole path into the file.
    """
    found = read_certificates(path, trusted_uids)
    other = next((each for each in found if each.subject != found[0].subject), None)
    if other is not None:
        raise TrustError(
            f"cannot load the certificates of one CA from {path!r}: found {found[0].text!r} and {other.text!r}, "
            "expected one name"
        )
    return found


def _because(problems: tuple[str, ...]) -> str:
    return f" ({'; '.join(problems[:3])})" if problems else ""


def _load(path: str, trusted_uids: frozenset[int]) -> tuple[tuple[PathCertificate, ...], tuple[str, ...]]:
    found: list[PathCertificate] = []
    problems: list[str] = []
    for content in read_files(path, CERTIFICATES, trusted_uids):
        certificates = [read_path_certificate(der) for der in content.values]
        broken = [each.why for each in certificates if isinstance(each, Unparsable)]
        if content.problem is not None:
            problems.append(content.problem)
        elif broken:
            problems.append(f"{content.path!r} holds a certificate that cannot be parsed: {broken[0]}")
        else:
            found += [each for each in certificates if isinstance(each, PathCertificate)]
    return unique(found), tuple(problems)


def unique(certificates: Iterable[PathCertificate]) -> tuple[PathCertificate, ...]:
    """Return each certificate once, ordered by its hash."""
    return tuple(sorted({each.der: each for each in certificates}.values(), key=lambda each: each.sha256))


def read_path_certificate(der: bytes) -> PathCertificate | Unparsable:
    """Return the certificate as one that may stand on a path. Never raises."""
    return read_strictly(lambda: _path_certificate(der))


def _path_certificate(der: bytes) -> PathCertificate:
    parsed = parse_certificate(der)
    own = read_extension(parsed, x509.SubjectKeyIdentifier)
    authority = read_extension(parsed, x509.AuthorityKeyIdentifier)
    purposes = read_extension(parsed, x509.ExtendedKeyUsage)
    constraints = read_extension(parsed, x509.BasicConstraints)
    return PathCertificate(
        der=der,
        parsed=parsed,
        text=name_text(parsed.subject),
        subject=canonical_name(parsed.subject),
        issuer=canonical_name(parsed.issuer),
        key_identifier=own.digest if own else None,
        issuer_key_identifier=authority.key_identifier if authority else None,
        extended_key_usage=None if purposes is None else frozenset(oid.dotted_string for oid in purposes),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        is_authority=constraints is not None and constraints.ca,
        sha256=sha256(der),
        public_key=read_key(parsed)[3],
    )
