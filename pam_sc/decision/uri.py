# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 URI (RFC 7512) read into a TokenSelector: which tokens, and which certificates on them. Never a PIN.

Strict: an attribute that is unknown, given twice or of no use for choosing a certificate is refused, because a selector
that silently means less than it says would select more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pam_sc.decision.policy import CertificateSelector, TokenSelector
from pam_sc.errors import ConfigError
from pam_sc.record import replace

_SCHEME = "pkcs11:"
_TEXTS = {
    "token": "token",
    "manufacturer": "manufacturer",
    "model": "model",
    "serial": "serial",
    "slot-description": "slot_description",
    "slot-manufacturer": "slot_manufacturer",
    "library-manufacturer": "library_manufacturer",
    "library-description": "library_description",
    "library-version": "library_version",
}
_OTHERS = frozenset({"slot-id", "type", "object", "id"})
_PIN = re.compile(r"[:;?&](pin-value|pin-source)\b")
# RFC 7512, section 2.3: pk11-pchar
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})*")
_SLOT_ID_MAX = 2**64 - 1


def parse_token_uri(text: str) -> TokenSelector:
    """Return the selector that a URI such as `pkcs11:token=login;serial=0123` describes, or ConfigError."""
    if not text.startswith(_SCHEME):
        raise _refused(text, f"expected it to begin with {_SCHEME!r}")
    _require_no_pin(text)
    path, query, named = text.removeprefix(_SCHEME).partition("?")
    if query:  # it could only name a module, which [[token.module]] does
        raise _refused(text, f"query attributes such as {named!r} are not supported")
    given: dict[str, bytes] = {}
    for part in path.split(";") if path else ():
        name, value = _attribute(text, part)
        if name in given:
            raise _refused(text, f"attribute {name!r} stands twice")
        given[name] = value
    texts = {_TEXTS[name]: _text(text, name, value) for name, value in given.items() if name in _TEXTS}
    slot_id = _slot_id(text, given.get("slot-id"))
    return replace(TokenSelector(text=text, slot_id=slot_id, certificate=_certificate(text, given)), **texts)


def _certificate(text: str, given: Mapping[str, bytes]) -> CertificateSelector | None:
    """Return what the object attributes say (RFC 7512, section 2.3): `id` is CKA_ID, `object` is CKA_LABEL."""
    if given.get("type", b"cert") != b"cert":
        raise _refused(text, f"type {given['type'].decode(errors='replace')!r} can be no login; expected 'cert'")
    if "id" not in given and "object" not in given:
        return None
    label = _text(text, "object", given["object"]) if "object" in given else None
    return CertificateSelector(text=text, object_id=given.get("id"), label=label)


def _require_no_pin(text: str) -> None:
    """Refuse a URI with a PIN before any other fault of it is shown together with the PIN."""
    if found := _PIN.search(text):
        raise ConfigError(f"cannot use the PKCS#11 URI in [token] select: {found[1]} is never read; take it out")


def _attribute(text: str, part: str) -> tuple[str, bytes]:
    name, equals, value = part.partition("=")
    if not equals or (name not in _TEXTS and name not in _OTHERS):
        known = ", ".join(sorted((*_TEXTS, *_OTHERS)))
        raise _refused(text, f"unknown attribute {name!r}, expected one of {known}")
    if not _VALUE.fullmatch(value):
        raise _refused(text, f"attribute {name!r} holds a character that must be written as %XX")
    parts = re.split(r"%([0-9A-Fa-f]{2})", value)
    return name, b"".join(bytes.fromhex(part) if at % 2 else part.encode() for at, part in enumerate(parts))


def _text(text: str, name: str, value: bytes) -> str:
    try:
        decoded = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(text, f"attribute {name!r} is no UTF-8") from None
    if not decoded.isprintable():
        raise _refused(text, f"attribute {name!r} holds a control character")
    return decoded


def _slot_id(text: str, value: bytes | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(rb"[0-9]{1,20}", value) or int(value) > _SLOT_ID_MAX:
        raise _refused(text, f"slot-id {value.decode(errors='replace')!r} is no number of a slot")
    return int(value)


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"cannot use the PKCS#11 URI {text!r} in [token] select: {why}")
