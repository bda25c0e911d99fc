# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an LDAP URL asks of a directory (RFC 4516): one attribute of one object, and nothing that asks for more.

The server is named by the part before, which urls.py takes apart. Nothing here speaks to a directory.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from pam_sc.errors import TransferError
from pam_sc.record import record

BINARY = ";binary"
DEFAULT_ATTRIBUTE = "certificateRevocationList"


@record(kw_only=True)
class LdapQuery:
    """What a URL asks of a directory: one attribute, without ;binary, of one object."""

    name: str
    attribute: str
    search_filter: str


def parse_ldap_query(rest: str) -> LdapQuery:
    """Take /dn?attributes?scope?filter?extensions apart (RFC 4516, section 2); TransferError if it asks for more."""
    name, attributes, scope, search_filter, extensions, *more = (*rest[1:].split("?"), "", "", "", "")
    if any(more):
        raise TransferError("the LDAP URL cannot be used: it has too many parts")
    if scope.lower() not in {"", "base"}:
        raise TransferError("the LDAP URL cannot be used: its scope is not base")
    if any(one.startswith("!") for one in extensions.split(",")):
        raise TransferError("the LDAP URL cannot be used: it has a critical extension")
    if "," in attributes:
        raise TransferError("the LDAP URL cannot be used: it names more than one attribute")
    attribute = _decoded(attributes) or DEFAULT_ATTRIBUTE
    return LdapQuery(
        name=_decoded(name), attribute=attribute.lower().removesuffix(BINARY),
        search_filter=_whole_filter(_decoded(search_filter)),
    )


def _whole_filter(text: str) -> str:
    """Active Directory writes the filter of its CRL URLs without the parentheses that RFC 4515 asks for."""
    if not text:
        return "(objectClass=*)"
    return text if text.startswith("(") else f"({text})"


def _decoded(part: str) -> str:
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise TransferError("the LDAP URL cannot be used: it is not UTF-8") from error
    if "\0" in text:
        raise TransferError("the LDAP URL cannot be used: it holds NUL")
    return text
