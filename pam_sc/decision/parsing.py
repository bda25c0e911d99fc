# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one place where bytes of a stranger meet a parser, and the cleaning of what it read for people. Pure.

Whatever the parser throws becomes `Unparsable`; nothing it throws may escape, and no text from a certificate goes on to
a log or a terminal before `clean` has seen it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

from cryptography import x509

from pam_sc.decision.evidence import Unparsable

T = TypeVar("T")
E = TypeVar("E", bound=x509.ExtensionType)

SERIAL_BITS_MAX = 160
"""RFC 5280, section 4.1.2.2: at most 20 octets, of which the first bit is the sign. Real ones use that bit too."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0").union(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)

_WHY_MAX = 200
_TEXT_MAX = 512


def read_strictly(read: Callable[[], T]) -> T | Unparsable:
    """Return what `read` returns, or Unparsable with what it threw: the parser's panics are no `Exception`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - hostile input, foreign parser
            return Unparsable(clean(str(error) or type(error).__name__, _WHY_MAX))


def parse_certificate(der: bytes) -> x509.Certificate:
    """Return the certificate; raises what the parser raises, and ValueError for what RFC 5280 forbids and it lets pass.

    Only to be called inside `read_strictly`.
    """
    certificate = x509.load_der_x509_certificate(der)
    serial = certificate.serial_number
    if serial <= 0 or serial.bit_length() > SERIAL_BITS_MAX:
        raise ValueError("the serial number is not positive or has more than 20 octets")
    if certificate.version is x509.Version.v1 and len(certificate.extensions):
        raise ValueError("a certificate of version 1 has extensions")
    return certificate


def read_extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Return the value of an extension, None where it is absent; raises what the parser raises."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def name_text(name: x509.Name) -> str:
    """The name as RFC 4514 writes it, cleaned."""
    return clean(name.rfc4514_string())


def clean(text: str, longest: int = _TEXT_MAX) -> str:
    """The text with every character escaped that could steer a terminal or a log, and cut where it is too long."""
    escaped = "".join(_escape(each) if hidden_characters(each) else each for each in text[:longest])
    return escaped if len(text) <= longest else escaped + "..."


def hidden_characters(text: str) -> bool:
    """Say whether any character is not plainly visible: controls, bidi and other format, odd spaces, surrogates, fillers.

    The fillers: what Unicode lets a reader leave out (Default_Ignorable_Code_Point) though it is no control character.
    """
    return not text.isprintable() or (not text.isascii() and not _FILLERS.isdisjoint(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
