# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names as Active Directory writes them in altSecurityIdentities: `DC=test,DC=example,CN=Issuing CA`. Pure.

In the order of the encoding (the least specific first), with Windows' names of the attribute types, a value that holds
a special character in double quotes. Two names that differ never share a text; one with a relative name of several
attributes has none, because Windows and the directory's tools write it differently.
"""

from __future__ import annotations

import re

from pam_sc.decision.distinguished_name import DistinguishedName

_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "S",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.13": "Description",
    "2.5.4.17": "PostalCode", "2.5.4.18": "POBox", "2.5.4.20": "Phone", "2.5.4.42": "G", "2.5.4.43": "I",
    "2.5.4.46": "dnQualifier", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "E",
}
_QUOTED = re.compile(r'[,+="<>#;]|^ | \Z')


def windows_name(name: DistinguishedName) -> str | None:
    """Return the text of a name, None if it is empty, holds an unusable value or a relative name of several attributes."""
    attributes = name.attributes
    if name.rfc4514 is None or len(attributes) != len(name.relative_names):
        return None
    return ",".join(f"{_NAMES.get(each.oid, f'OID.{each.oid}')}={_value(each.value)}" for each in attributes)


def _value(value: str) -> str:
    if not _QUOTED.search(value):
        return value
    doubled = value.replace('"', '""')
    return f'"{doubled}"'
