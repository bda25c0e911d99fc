# SPDX-License-Identifier: LGPL-2.1-or-later
"""For `pam-sc check-config`: do the certificates that [revocation] and its CAs name hold what they should.

Reads them as a login would. Whether anything chains to them is not judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography import x509

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import Configuration
from pam_sc.decision.evidence import Unparsable
from pam_sc.errors import PamScError
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.files import CERTIFICATES, read_files


def check_authorities(configuration: Configuration, trusted_uids: frozenset[int]) -> Iterator[Finding]:
    """Yield a finding for each certificate file of a CA or a responder that is unsafe, empty, or no such certificate."""
    revocation = configuration.revocation
    whole = revocation.lookup.ocsp_responder
    responders = [("revocation", whole)]
    for index, authority in enumerate(revocation.authorities):
        key = f"revocation.ca[{index}]"
        yield from _check(f"{key}.certificate", authority.certificate, trusted_uids, _authority_problem)
        if authority.lookup.ocsp_responder != whole:
            responders.append((key, authority.lookup.ocsp_responder))
    for key, responder in responders:
        if responder is not None and responder.certificate is not None:
            where = f"{key}.ocsp_responder.certificate"
            yield from _check(where, responder.certificate, trusted_uids, lambda _certificate: None)


def _check(
    where: str, path: str, trusted_uids: frozenset[int], problem_of: Callable[[PathCertificate], str | None]
) -> Iterator[Finding]:
    try:
        contents = read_files(path, CERTIFICATES, trusted_uids)
    except PamScError as error:
        yield Finding(Weight.ERROR, where, str(error))
        return
    for content in contents:
        if content.problem is not None:
            yield Finding(Weight.ERROR, where, content.problem)
        for der in content.values:
            read = read_path_certificate(der)
            if isinstance(read, Unparsable):
                yield Finding(Weight.ERROR, where, f"{content.path!r} holds a certificate that cannot be parsed: {read.why}")
            elif (problem := problem_of(read)) is not None:
                yield Finding(Weight.ERROR, where, f"{content.path!r} {problem}")


def _authority_problem(certificate: PathCertificate) -> str | None:
    try:
        is_ca = certificate.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = certificate.parsed.version is x509.Version.v1  # an old root: it cannot say what it is
    if is_ca:
        return None
    return f"is not the certificate of a CA: {certificate.text!r}; name the CA that issues the cards"
