# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 URI (RFC 7512) read into a TokenSelector. It selects tokens; it never carries a PIN.

Strict: an attribute that is unknown, given twice or of no use for choosing a token is refused, because a selector that
silently means less than it says would select more.
"""

from __future__ import annotations

import re

from pam_sc.decision.policy import TokenSelector
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
_OBJECTS = frozenset({"type", "object", "id"})
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
    given: dict[str, str] = {}
    for part in path.split(";") if path else ():
        name, value = _attribute(text, part)
        if name in given:
            raise _refused(text, f"attribute {name!r} stands twice")
        given[name] = value
    slot_id = _slot_id(text, given.pop("slot-id", None))
    texts = {_TEXTS[name]: value for name, value in given.items()}
    return replace(TokenSelector(text=text, slot_id=slot_id), **texts)


def _require_no_pin(text: str) -> None:
    """Refuse a URI with a PIN before any other fault of it is shown together with the PIN."""
    if found := _PIN.search(text):
        raise ConfigError(f"cannot use the PKCS#11 URI in [token] select: {found[1]} is never read; take it out")


def _attribute(text: str, part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if name in _OBJECTS:
        raise _refused(text, f"{name!r} selects objects; only tokens can be selected")
    if not equals or (name not in _TEXTS and name != "slot-id"):
        known = ", ".join(sorted((*_TEXTS, "slot-id")))
        raise _refused(text, f"unknown attribute {name!r}, expected one of {known}")
    return name, _decoded(text, name, value)


def _decoded(text: str, name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise _refused(text, f"attribute {name!r} holds a character that must be written as %XX")
    parts = re.split(r"%([0-9A-Fa-f]{2})", value)
    raw = b"".join(bytes.fromhex(part) if at % 2 else part.encode() for at, part in enumerate(parts))
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(text, f"attribute {name!r} is no UTF-8") from None
    if not decoded.isprintable():
        raise _refused(text, f"attribute {name!r} holds a control character")
    return decoded


def _slot_id(text: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", value) or int(value) > _SLOT_ID_MAX:
        raise _refused(text, f"slot-id {value!r} is no number of a slot")
    return int(value)


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"cannot use the PKCS#11 URI {text!r} in [token] select: {why}")
