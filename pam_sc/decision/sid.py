# SPDX-License-Identifier: LGPL-2.1-or-later
"""The security identifier of an account of Active Directory in a certificate ([MS-WCCE], section 2.2.2.7.7.4). Pure.

The extension's value is a GeneralNames with one otherName, whose value is an OCTET STRING with the SID as text.
"""

from __future__ import annotations

import re

from pam_sc.decision.der import SEQUENCE, body, elements, read_oid

SID_EXTENSION = "1.3.6.1.4.1.311.25.2"
_OBJECT_SID = "1.3.6.1.4.1.311.25.2.1"
_OTHER_NAME, _VALUE, _OCTET_STRING = 0xA0, 0xA0, 0x04
_SID = re.compile(r"S-1-(?:0|[1-9][0-9]{0,14})(?:-(?:0|[1-9][0-9]{0,9})){1,15}")


def read_sid(der: bytes) -> str:
    """Return the SID: S-1-5-21-... ValueError or IndexError for anything else; only inside `read_strictly`."""
    oid, value = _content(_only(_content(der, SEQUENCE)), _OTHER_NAME, count=2)
    if read_oid(oid) != _OBJECT_SID:
        raise ValueError("it is not an object's SID")
    text = body(_checked(_only(elements(body(_checked(value, _VALUE)))), _OCTET_STRING)).decode("ascii")
    if not _SID.fullmatch(text):
        raise ValueError("its text is not a SID")
    return text


def _content(der: bytes, tag: int, count: int = 1) -> list[bytes]:
    found = elements(body(_checked(der, tag)))
    if len(found) != count:
        raise ValueError(f"found {len(found)} elements, expected {count}")
    return found


def _only(found: list[bytes]) -> bytes:
    if len(found) != 1:
        raise ValueError(f"found {len(found)} elements, expected 1")
    return found[0]


def _checked(der: bytes, tag: int) -> bytes:
    if der[0] != tag:
        raise ValueError(f"found tag {der[0]:#04x}, expected {tag:#04x}")
    return der
