# SPDX-License-Identifier: LGPL-2.1-or-later
"""Distinguished names as certmap's rules see them: in NSS's or Active Directory's attribute names, in both orders. Pure.

The text is that of RFC 4514 but keeps characters beyond ASCII as they are, and is None where a value cannot be used, so
that two names never share a text. An attribute without a name in the tables is written as its object identifier.
"""

from __future__ import annotations

from pam_sc.decision.distinguished_name import NAME_MAX, Attribute, DistinguishedName

DEFAULT_FORM = "nss"
FORMS = {
    "nss": (False, False), "nss_ldap": (False, False), "nss_x500": (False, True),
    "ad": (True, True), "ad_x500": (True, True), "ad_ldap": (True, False),
}  # fmt: skip
"""Form -> whether the attributes have Active Directory's names, whether the most specific comes last."""

_NSS = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "OID.2.5.4.13",
    "2.5.4.14": "searchGuide", "2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress", "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox", "2.5.4.19": "physicalDeliveryOfficeName", "2.5.4.20": "telephoneNumber",
    "2.5.4.21": "telexNumber", "2.5.4.22": "teletexTerminalIdentifier", "2.5.4.23": "facsimileTelephoneNumber",
    "2.5.4.24": "x121Address", "2.5.4.25": "internationaliSDNNumber", "2.5.4.26": "registeredAddress",
    "2.5.4.27": "destinationIndicator", "2.5.4.28": "preferredDeliveryMethod", "2.5.4.29": "presentationAddress",
    "2.5.4.30": "supportedApplicationContext", "2.5.4.31": "member", "2.5.4.32": "owner", "2.5.4.33": "roleOccupant",
    "2.5.4.34": "seeAlso", "2.5.4.41": "name", "2.5.4.42": "givenName", "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier",
    "2.5.4.49": "distinguishedName", "2.5.4.50": "uniqueMember", "2.5.4.51": "houseIdentifier", "2.5.4.54": "dmdName",
    "2.5.4.65": "pseudonym", "2.5.4.72": "role", "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "MAIL", "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.37": "associatedDomain", "1.2.840.113549.1.9.1": "E",
    "1.2.840.113549.1.9.2": "unstructuredName", "1.2.840.113549.1.9.8": "unstructuredAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}  # fmt: skip
_AD = {
    "2.5.4.5": "SERIALNUMBER", "2.5.4.8": "S", "2.5.4.12": "T", "2.5.4.13": "Description", "2.5.4.17": "PostalCode",
    "2.5.4.18": "POBox", "2.5.4.42": "G", "2.5.4.43": "I",
}  # fmt: skip
"""Where they differ from NSS's."""
_AD_WITHOUT_NAME = frozenset({
    "2.5.4.15", "2.5.4.16", "2.5.4.41", "2.5.4.44", "2.5.4.51", "2.5.4.65", "0.9.2342.19200300.100.1.1",
    "0.9.2342.19200300.100.1.3",
})  # fmt: skip
_ESCAPED = str.maketrans({character: "\\" + character for character in ',+"<>;\\'})


def render_name(name: DistinguishedName, form: str = DEFAULT_FORM) -> str | None:
    """Return the name as text; None if it is empty, or holds a value that cannot be used, or is too long."""
    directory, root_first = FORMS[form]
    if not name.attributes or any(each.problem is not None for each in name.attributes):
        return None
    relative_names = name.relative_names if root_first else name.relative_names[::-1]
    text = ",".join("+".join(_assertion(each, directory) for each in relative) for relative in relative_names)
    return text if len(text) <= NAME_MAX else None


def component(name: DistinguishedName, attribute: str, index: int) -> str | None:
    """Return the value of one attribute; None if there is none, or more than one in the same place.

    `index` counts from the most specific relative name (1), or from the root (-1); 0: the most specific one that has the
    attribute. An empty `attribute` is any.
    """
    places = name.relative_names[::-1]
    if index:
        places = places[index - 1 : index] if index > 0 else places[index : index + 1 or None]
    for relative in places if attribute or index else places[:1]:
        found = [each for each in relative if not attribute or _name(each.oid, False).lower() == attribute.lower()]
        if found:
            return found[0].value if len(found) == 1 and found[0].problem is None else None
    return None


def _assertion(attribute: Attribute, directory: bool) -> str:
    value = attribute.value.translate(_ESCAPED)
    if value[0] in " #" and value != "#":  # OpenSSL, and so SSSD, leaves a lone # as it is
        value = "\\" + value
    if value[-1] == " " and len(attribute.value) > 1:
        value = value[:-1] + "\\ "
    return f"{_name(attribute.oid, directory)}={value}"


def _name(oid: str, directory: bool) -> str:
    if not directory:
        return _NSS.get(oid, oid)
    if oid in _AD_WITHOUT_NAME or oid not in _NSS:
        return f"OID.{oid}"
    return _AD.get(oid) or _NSS[oid]
