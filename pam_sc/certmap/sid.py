# SPDX-License-Identifier: LGPL-2.1-or-later
"""The SID of an account in a certificate: Microsoft's extension 1.3.6.1.4.1.311.25.2 (MS-WCCE, section 2.2.2.7.7.4).

The extension is GeneralNames with one otherName 1.3.6.1.4.1.311.25.2.1, whose value is an OCTET STRING with the text of
the SID (MS-DTYP, section 2.4.2.1). What is not exactly that is no SID. Pure.
"""

from __future__ import annotations

import re

from pam_sc.decision.der import OBJECT_IDENTIFIER, SEQUENCE, body, children, elements, read_oid
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.identity import Subject
from pam_sc.decision.parsing import read_strictly

SID_EXTENSION = "1.3.6.1.4.1.311.25.2"
_SID_NAME = "1.3.6.1.4.1.311.25.2.1"
_OTHER_NAME, _EXPLICIT, _OCTET_STRING = 0xA0, 0xA0, 0x04
_SID = re.compile(r"S-1-(0|[1-9][0-9]{0,14})(-(0|[1-9][0-9]{0,9})){1,15}")


def read_sid(subject: Subject) -> str | None:
    """Return the SID, None where the extension is absent or is anything else."""
    extensions = subject.extension_values(SID_EXTENSION)
    if len(extensions) != 1:
        return None
    found = read_strictly(lambda: _sid(extensions[0]))
    return None if isinstance(found, Unparsable) else found


def _sid(der: bytes) -> str | None:
    (names,) = elements(der)
    (name,) = _within(names, SEQUENCE)
    oid, explicit = _within(name, _OTHER_NAME)
    (value,) = _within(explicit, _EXPLICIT)
    if oid[0] != OBJECT_IDENTIFIER or read_oid(oid) != _SID_NAME or value[0] != _OCTET_STRING:
        return None
    text = body(value).decode("ascii")
    return text if _SID.fullmatch(text) else None


def _within(der: bytes, tag: int) -> list[bytes]:
    if der[0] != tag:
        raise ValueError(f"found tag {der[0]:#04x}, expected {tag:#04x}")
    return children(der)
