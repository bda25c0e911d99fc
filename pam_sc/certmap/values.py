# SPDX-License-Identifier: LGPL-2.1-or-later
"""The alternative names of a certificate as certmap's rules see them: each as one text that no other name can have. Pure."""

from __future__ import annotations

from pam_sc.certmap.grammar import SanElement, SanType
from pam_sc.certmap.names import render_name
from pam_sc.decision.alternative_names import AlternativeName, NameKind

KINDS = {
    SanType.PRINCIPAL: frozenset({NameKind.UPN, NameKind.KERBEROS}),
    SanType.NT_PRINCIPAL: frozenset({NameKind.UPN}),
    SanType.PKINIT: frozenset({NameKind.KERBEROS}),
    SanType.MAIL: frozenset({NameKind.MAIL}),
    SanType.DNS: frozenset({NameKind.DNS}),
    SanType.DIRECTORY: frozenset({NameKind.DIRECTORY}),
    SanType.URI: frozenset({NameKind.URI}),
    SanType.IP: frozenset({NameKind.IP}),
    SanType.REGISTERED_ID: frozenset({NameKind.REGISTERED_ID}),
    SanType.OTHER: frozenset({NameKind.UPN, NameKind.KERBEROS, NameKind.OTHER}),
    SanType.OTHER_OID: frozenset({NameKind.UPN, NameKind.KERBEROS, NameKind.OTHER}),
}
"""Which names each type means. x400Address and ediPartyName: none, because no certificate with one gets this far."""


def concerns(element: SanElement, name: AlternativeName) -> bool:
    """Say whether a name is of the type that an element asks for."""
    return name.kind in KINDS.get(element.type, ()) and (not element.oid or name.oid == element.oid)


def text_of(name: AlternativeName) -> str | None:
    """Return the text of a name; None if it has none, or none that is certain."""
    if name.problem is not None or name.kind is NameKind.OTHER:
        return None
    if name.kind is NameKind.DIRECTORY:
        return None if name.directory is None else render_name(name.directory)
    if name.kind is NameKind.KERBEROS and "\\" in name.value:
        return None  # a component with @ or / in it: SSSD would write it as if it were two
    return name.value


def fits(element: SanElement, name: AlternativeName) -> bool:
    """Say whether an element's pattern or octets are in a name."""
    if element.pattern is None:
        return name.problem is None and element.octets in name.der
    text = _raw_text(name.der) if element.type is SanType.OTHER_OID and name.problem is None else text_of(name)
    return text is not None and element.pattern.search(text)


def _raw_text(der: bytes) -> str | None:
    """The whole DER taken for text, which is what SSSD looks at: tag and length come first."""
    return None if b"\0" in der else der.decode("utf-8", "surrogateescape")
