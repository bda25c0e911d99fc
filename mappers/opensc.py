# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `opensc`: the certificate itself, byte for byte, stands in the account's list of certificates (PEM)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from pam_sc.decision.identity import Subject
from pam_sc.home_mapper import HomeMapper

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class OpenscMapper(HomeMapper):
    """Compares whole certificates (DER), never names, keys or hashes."""

    FILE = ".eid/authorized_certificates"

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The SHA-256 of the certificate, which stands for all of it."""
        return () if subject.facts is None else (f"SHA-256 {subject.facts.sha256.hex()}",)

    def holds(self, content: bytes, subject: Subject) -> bool:
        """Say whether the list has the certificate."""
        return bool(subject.der) and any(each == subject.der for each in read_list(content))

    def explain(self, content: bytes, subject: Subject) -> tuple[str, ...]:
        """Say which entry of the list is the certificate, and which are none that can be read."""
        found = list(read_list(content))
        told = [f"entry {number} is no certificate in PEM" for number, each in enumerate(found, 1) if each is None]
        same = [f"entry {number} is the certificate" for number, each in enumerate(found, 1) if each == subject.der]
        return tuple(told + (same or [f"none of {len(found)} entries is the certificate"]))


def read_list(content: bytes) -> Iterator[bytes | None]:
    """Return the DER of each certificate in PEM (RFC 7468 section 5), None for an entry that is malformed.

    Text between the entries is passed over. The bytes are not parsed: they are only ever compared.
    """
    for piece in content.split(_BEGIN)[1:]:
        body, end, _text = piece.partition(_END)
        try:
            yield base64.b64decode(b"".join(body.split()), validate=True) if end else None
        except (ValueError, binascii.Error):
            yield None
