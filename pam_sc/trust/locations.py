# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a certificate says that its revocation can be looked up (RFC 5280, sections 4.2.1.13, 4.2.2.1 and 5.2.6).

Reads what is written there and fetches nothing. A certificate is asked only after its path was found valid: before
that, these are a stranger's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from pam_sc.decision.crl import DistributionPoint
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import general_name_keys, name_key, relative_name_key
from pam_sc.decision.parsing import hidden_characters, read_strictly

URLS_MAX = 16
URL_BYTES_MAX = 2048

_REASONS = {
    x509.ReasonFlags.key_compromise: "keyCompromise",
    x509.ReasonFlags.ca_compromise: "cACompromise",
    x509.ReasonFlags.affiliation_changed: "affiliationChanged",
    x509.ReasonFlags.superseded: "superseded",
    x509.ReasonFlags.cessation_of_operation: "cessationOfOperation",
    x509.ReasonFlags.certificate_hold: "certificateHold",
    x509.ReasonFlags.privilege_withdrawn: "privilegeWithdrawn",
    x509.ReasonFlags.aa_compromise: "aACompromise",
    x509.ReasonFlags.remove_from_crl: "removeFromCRL",
    x509.ReasonFlags.unspecified: "unspecified",
}
_SCHEMES = ("http://", "https://", "ldap://", "ldaps://")


def reason_name(flag: x509.ReasonFlags) -> str:
    """Return a CRLReason or ReasonFlags by its name in RFC 5280."""
    return _REASONS[flag]


def reason_names(flags: Iterable[x509.ReasonFlags] | None) -> frozenset[str] | None:
    """Return the names of ReasonFlags; None stays None."""
    return None if flags is None else frozenset(_REASONS[flag] for flag in flags)


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of the distribution points, those of freshestCRL included, in their order; at most URLS_MAX."""
    return _fetchable(name for point in _all_points(certificate) for name in point.full_name or ())


def delta_urls(crl: x509.CertificateRevocationList) -> tuple[str, ...]:
    """Return the URLs of the deltas that a CRL names in freshestCRL, in their order; at most URLS_MAX."""
    return _fetchable(name for point in _points(crl, x509.FreshestCRL) for name in point.full_name or ())


def ocsp_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URLs of the OCSP responders (authorityInfoAccess), in their order; at most URLS_MAX."""
    return _fetchable(_responders(certificate))


def names_source(certificate: x509.Certificate) -> bool:
    """Say whether it names a distribution point or a responder, of whatever kind; one that cannot be read is one."""
    found = read_strictly(lambda: bool(_all_points(certificate) or list(_responders(certificate))))
    return True if isinstance(found, Unparsable) else found


def distribution_points(certificate: x509.Certificate) -> tuple[DistributionPoint, ...]:
    """Return the certificate's own distribution points for judging the scope of CRLs. Raises what the parser raises."""
    return tuple(_point(point, certificate.issuer) for point in _points(certificate, x509.CRLDistributionPoints))


def _point(point: x509.DistributionPoint, issuer: x509.Name) -> DistributionPoint:
    names = general_name_keys(point.full_name) if point.full_name else None
    if point.relative_name is not None:
        base = _first_directory_name(point.crl_issuer) or issuer
        names = frozenset({relative_name_key(base, point.relative_name)})
    issuers = None
    if point.crl_issuer:
        issuers = frozenset(name_key(each.value) for each in point.crl_issuer if isinstance(each, x509.DirectoryName))
    return DistributionPoint(names=names, crl_issuers=issuers, reasons=reason_names(point.reasons))


def _first_directory_name(names: Iterable[x509.GeneralName] | None) -> x509.Name | None:
    return next((each.value for each in names or () if isinstance(each, x509.DirectoryName)), None)


def _all_points(certificate: x509.Certificate) -> list[x509.DistributionPoint]:
    return [*_points(certificate, x509.CRLDistributionPoints), *_points(certificate, x509.FreshestCRL)]


def _points(
    named: x509.Certificate | x509.CertificateRevocationList,
    kind: type[x509.CRLDistributionPoints] | type[x509.FreshestCRL],
) -> Iterator[x509.DistributionPoint]:
    for extension in named.extensions:
        if isinstance(extension.value, kind):
            yield from extension.value


def _responders(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            for way in extension.value:
                if way.access_method == AuthorityInformationAccessOID.OCSP:
                    yield way.access_location


def _fetchable(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    found = read_strictly(lambda: [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)])
    if isinstance(found, Unparsable):
        return ()
    return tuple(dict.fromkeys(url for url in found if is_fetchable(url)))[:URLS_MAX]


def is_fetchable(url: str) -> bool:
    """Say whether it is a URL of a kind, a length and a spelling that may be handed to the network process."""
    return url.lower().startswith(_SCHEMES) and len(url) <= URL_BYTES_MAX and not hidden_characters(url) and " " not in url
