# SPDX-License-Identifier: LGPL-2.1-or-later
"""authorized_keys as sshd reads it (sshd(8), AUTHORIZED_KEYS FILE FORMAT): lines of options, key type, key, comment.

Pure: no file is read here. A key is the very bytes that sshd compares (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4), so it is
this key or not. A line that is not wholly understood gives no key, and says why. What an option means to a login is not
decided here.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator

from pam_sc.record import record

KEY_TYPES = (
    "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-ed25519",
)  # fmt: skip
"""The types that a certificate on a card can have."""
OTHER_TYPES = (
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss", "ssh-xmss@openssh.com", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
)  # fmt: skip
"""Types of OpenSSH that no card certificate has: security keys, OpenSSH's own certificates, what is out of use."""
_SPACE = " \t"
_U32 = struct.Struct(">I")


@record
class Option:
    """One option of a line: its name in small letters, and its value where it has one."""

    name: str
    value: str | None = None


@record
class AuthorizedKey:
    """A line with a key of one of KEY_TYPES. Lines are counted from 1."""

    line: int
    type: str
    blob: bytes
    options: tuple[Option, ...]


@record
class UnusableLine:
    """A line that gives no key, and why."""

    line: int
    why: str


def key_blob(public_key_der: bytes) -> tuple[str, bytes] | None:
    """Return type and bytes of a public key (SubjectPublicKeyInfo) as sshd has them; None if sshd has no such key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    try:
        key = load_der_public_key(public_key_der)
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            return None
        kind, text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii").split(" ")
    except (ValueError, UnsupportedAlgorithm):
        return None
    return (kind, base64.b64decode(text, validate=True)) if kind in KEY_TYPES else None


def find_key(content: bytes, blob: bytes) -> tuple[AuthorizedKey, ...]:
    """Return every line that has this very key, whatever its options; lines without it are not looked at."""
    text = base64.b64encode(blob)
    lines = (each for each in read_authorized_keys(content, holding=text) if isinstance(each, AuthorizedKey))
    return tuple(each for each in lines if each.blob == blob)


def read_authorized_keys(content: bytes, holding: bytes = b"") -> Iterator[AuthorizedKey | UnusableLine]:
    """Return what each line is, comments and empty lines apart; with `holding`, only of lines that hold these bytes."""
    if holding not in content:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if holding in line:
            text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape").lstrip(_SPACE)
            if text and not text.startswith("#"):
                yield _read_line(number, text)


def _read_line(number: int, text: str) -> AuthorizedKey | UnusableLine:
    if "\0" in text:
        return UnusableLine(number, "it holds a NUL")
    options: tuple[Option, ...] | str = ()
    kind, rest = _cut(text)
    if kind not in KEY_TYPES + OTHER_TYPES:
        end = _end_of_options(text)
        options = _read_options(text[:end])
        kind, rest = _cut(text[end:].lstrip(_SPACE))
    if isinstance(options, str):
        return UnusableLine(number, options)
    if kind in OTHER_TYPES:
        return UnusableLine(number, f"a key of type {kind} is none that a certificate on a card has")
    if kind not in KEY_TYPES:
        return UnusableLine(number, "it has no type of key that is known")
    blob = _decode(_cut(rest)[0])
    if blob is None or _type_in(blob) != kind:
        return UnusableLine(number, f"what follows {kind} is no key of that type")
    return AuthorizedKey(number, kind, blob, options)


def _cut(text: str) -> tuple[str, str]:
    """Return the first word and what follows it."""
    for at, character in enumerate(text):
        if character in _SPACE:
            return text[:at], text[at:].lstrip(_SPACE)
    return text, ""


def _decode(text: str) -> bytes | None:
    """Decode base64 that is written in the one way there is (RFC 4648 section 4, with padding); None otherwise."""
    try:
        blob = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return blob if base64.b64encode(blob).decode("ascii") == text else None


def _type_in(blob: bytes) -> str | None:
    """Return the type that a key itself names: its first field (RFC 4251 section 5)."""
    if len(blob) < _U32.size:
        return None
    (length,) = _U32.unpack_from(blob)
    return blob[_U32.size : _U32.size + length].decode("ascii", "replace") if length <= len(blob) - _U32.size else None


def _end_of_options(text: str) -> int:
    """Return where the first space outside of quotes is; inside, \\" is no end of a quote, and nor is it outside."""
    quoted, at = False, 0
    while at < len(text) and (quoted or text[at] not in _SPACE):
        if text.startswith('\\"', at):
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        at += 1
    return at


def _read_options(text: str) -> tuple[Option, ...] | str:
    """Return the options, or why they are none: name or name="value", between commas."""
    found: list[Option] = []
    at = 0
    while True:
        start = at
        while at < len(text) and (text[at].isascii() and (text[at].isalnum() or text[at] in "-_@.")):
            at += 1
        name = text[start:at].lower()
        if not name:
            return "its options are malformed: a name is missing"
        value: str | None = None
        if text.startswith("=", at):
            read = _read_value(text, at + 1)
            if read is None:
                return f"its options are malformed: {name} has no value in quotes"
            value, at = read
        found.append(Option(name, value))
        if at == len(text):
            return tuple(found)
        if text[at] != ",":
            return f"its options are malformed: {name} is not followed by a comma"
        at += 1


def _read_value(text: str, at: int) -> tuple[str, int] | None:
    """Return the value in the quotes that begin here, \\" being a quote in it, and where it ends; None if there is none."""
    if not text.startswith('"', at):
        return None
    value, at = "", at + 1
    pieces: list[str] = []
    while at < len(text) and text[at] != '"':
        at += 1 if text.startswith('\\"', at) else 0
        pieces.append(text[at])
        at += 1
    value = "".join(pieces)
    return (value, at + 1) if at < len(text) else None
