# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which private key on a token belongs to a certificate: by CKA_ID, else by the public key. Uses no key.

A wrong choice is no danger: the verifier checks the signature under the certificate's own key. The public key comes
from the verifier, as SubjectPublicKeyInfo (RFC 5280, section 4.1), and is taken apart here because the cryptography
library stays out of this process.
"""

from __future__ import annotations

from pam_sc.card.constants import (
    CKA_CLASS,
    CKA_EC_POINT,
    CKA_ID,
    CKA_MODULUS,
    CKA_SIGN,
    CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
    MAX_OBJECT_ID,
)
from pam_sc.card.session import Session
from pam_sc.record import record

_MAX_PUBLIC = 4096
_SEQUENCE, _INTEGER, _BIT_STRING, _OCTET_STRING = 0x30, 0x02, 0x03, 0x04
_RSA_OID = bytes.fromhex("06092a864886f70d010101")


@record
class PublicPart:
    """The attribute of a key object that tells its key pair, and the values it may have for this one."""

    attribute: int
    values: frozenset[bytes]


def public_part(spki: bytes) -> PublicPart | None:
    """What key objects of this SubjectPublicKeyInfo carry; None if it is none that we can read."""
    try:
        algorithm, bits = _parts(_content(spki, _SEQUENCE))
        content = _content(bits, _BIT_STRING)
        if content[:1] != b"\0":
            return None
        if algorithm.find(_RSA_OID, 0, 32) >= 0:
            modulus = _content(_parts(_content(content[1:], _SEQUENCE))[0], _INTEGER)
            return PublicPart(CKA_MODULUS, frozenset({modulus.lstrip(b"\0")}))
    except (ValueError, IndexError):
        return None
    point = content[1:]
    return PublicPart(CKA_EC_POINT, frozenset({point, _wrapped(point)}))


def find_private_key(session: Session, object_id: bytes, public: PublicPart | None) -> int | None:
    """The handle of the private key that belongs to a certificate with this CKA_ID and public key, or None."""
    by_id = session.find({CKA_CLASS: CKO_PRIVATE_KEY, CKA_ID: object_id}) if object_id else ()
    if len(by_id) == 1:
        return by_id[0]
    if by_id:
        return _best(session, by_id, public)
    return _by_public_key(session, public) if public is not None else None


def _best(session: Session, handles: tuple[int, ...], public: PublicPart | None) -> int:
    """Of several keys with one id, the one whose public part matches, else the first that may sign."""
    for handle in handles:
        if public is not None and _matches(session, handle, public):
            return handle
    return next((handle for handle in handles if _may_sign(session, handle)), handles[0])


def _by_public_key(session: Session, public: PublicPart) -> int | None:
    for handle in session.find({CKA_CLASS: CKO_PRIVATE_KEY}):
        if _matches(session, handle, public):
            return handle
    for handle in session.find({CKA_CLASS: CKO_PUBLIC_KEY}):
        object_id = session.attribute_or(handle, CKA_ID, MAX_OBJECT_ID)
        if object_id and _matches(session, handle, public):
            for key in session.find({CKA_CLASS: CKO_PRIVATE_KEY, CKA_ID: object_id}):
                return key
    return None


def _matches(session: Session, handle: int, public: PublicPart) -> bool:
    value = session.attribute_or(handle, public.attribute, _MAX_PUBLIC)
    return (value.lstrip(b"\0") if public.attribute == CKA_MODULUS else value) in public.values


def _may_sign(session: Session, handle: int) -> bool:
    return any(session.attribute_or(handle, CKA_SIGN, 1))


def _content(der: bytes, tag: int) -> bytes:
    """The content of a DER value that must have this tag and may have no bytes after it."""
    found, content, rest = _split(der)
    if found != tag or rest:
        raise ValueError("not the expected DER")
    return content


def _parts(content: bytes) -> tuple[bytes, bytes]:
    """The two DER values in a content, whole."""
    _tag, _first, rest = _split(content)
    return content[: len(content) - len(rest)], rest


def _split(der: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first DER value, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("cut off")
    return der[0], der[start : start + length], der[start + length :]


def _wrapped(point: bytes) -> bytes:
    """The point as a DER OCTET STRING, as CKA_EC_POINT has it by the standard."""
    if len(point) < 0x80:
        return bytes((_OCTET_STRING, len(point))) + point
    length = len(point).to_bytes((len(point).bit_length() + 7) // 8, "big")
    return bytes((_OCTET_STRING, 0x80 | len(length))) + length + point
