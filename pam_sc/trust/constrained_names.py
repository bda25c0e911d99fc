# SPDX-License-Identifier: LGPL-2.1-or-later
"""Refuses names that are malformed where name constraints apply to them (RFC 5280, section 4.2.1.10). Pure.

OpenSSL compares names with constraints as bytes: a name that is no name of its kind ("evil.test." or
"http://evil.test?.good.test") slips by an excluded or into a permitted subtree. So each name of a constrained kind must
keep to the grammar of its kind, here in its plainest form. Whether a name lies in a subtree is left to OpenSSL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import canonical_name
from pam_sc.decision.parsing import name_text, read_strictly

_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_TEXT_MAX = 253
"""Of a host (RFC 1035)."""

_GRAMMAR = {
    x509.DNSName: rf"(?:\*\.)?{_HOST}",
    x509.RFC822Name: rf"{_ATOM}(?:\.{_ATOM})*@{_HOST}",
    x509.UniformResourceIdentifier: rf"[A-Za-z][A-Za-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?(?:/[!-~]*)?",
}
"""Compiled where they are used: most paths have no name constraints."""
_CALLED = {
    x509.DNSName: "dNSName",
    x509.RFC822Name: "rfc822Name",
    x509.UniformResourceIdentifier: "uniformResourceIdentifier",
    x509.OtherName: "otherName",
}
_URI_MAX = 2048
_SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"
"""Constrained as an rfc822Name (RFC 9598)."""

_Kind = type[x509.GeneralName]


def names_problem(path: Sequence[x509.Certificate]) -> str | None:
    """Return which certificate of a path (leaf first, anchor last) has a malformed constrained name, None if none does.

    Never raises. Self-issued authorities are exempt, as they are from name constraints.
    """
    found = read_strictly(lambda: _problem(path))
    return f"its names cannot be read: {found.why}" if isinstance(found, Unparsable) else found


def _problem(path: Sequence[x509.Certificate]) -> str | None:
    constrained: set[_Kind] = set()
    for index in reversed(range(len(path))):
        certificate = path[index]
        if constrained and (index == 0 or not _is_self_issued(certificate)):
            for kind in _malformed(certificate, constrained):
                return f"{name_text(certificate.subject)!r} has a malformed {_CALLED[kind]} to which constraints apply"
        constrained |= _constrained_by(certificate)
    return None


def _constrained_by(certificate: x509.Certificate) -> set[_Kind]:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.NameConstraints):
            subtrees = (*(extension.value.permitted_subtrees or ()), *(extension.value.excluded_subtrees or ()))
            return {type(each) for each in subtrees}
    return set()


def _malformed(certificate: x509.Certificate, constrained: set[_Kind]) -> Iterator[_Kind]:
    for name in _alternative_names(certificate):
        kind = type(name)
        if isinstance(name, x509.OtherName):
            mailbox = name.type_id.dotted_string == _SMTP_UTF8_MAILBOX and x509.RFC822Name in constrained
            if (mailbox or x509.OtherName in constrained) and not _is_text(name.value):
                yield kind
        elif kind in constrained and kind in _GRAMMAR and not _keeps_to_grammar(kind, str(name.value)):
            yield kind
    if x509.RFC822Name in constrained:
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            if not _keeps_to_grammar(x509.RFC822Name, str(attribute.value)):
                yield x509.RFC822Name


def _alternative_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            yield from extension.value


def _keeps_to_grammar(kind: _Kind, text: str) -> bool:
    if len(text) > _URI_MAX or re.fullmatch(_GRAMMAR[kind], text) is None:
        return False
    host = text.removeprefix("*.") if kind is x509.DNSName else re.split(r"@|://", text, maxsplit=1)[1]
    return len(host.partition("/")[0].partition(":")[0]) <= _TEXT_MAX


def _is_text(value: bytes) -> bool:
    """Say whether it is one DER UTF8String, the type of userPrincipalName and SmtpUTF8Mailbox, with plain characters."""
    if len(value) < 2 or value[0] != 0x0C:
        return False
    size, start = value[1], 2
    if size in (0x81, 0x82):
        start = 2 + size - 0x80
        size = int.from_bytes(value[2:start], "big")
    return 0 < size == len(value) - start and value[start:].decode("utf-8").isprintable()


def _is_self_issued(certificate: x509.Certificate) -> bool:
    return canonical_name(certificate.subject) == canonical_name(certificate.issuer)
