# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the index of one CRL is laid out, for those who write it (index.py) and those who read it (store.py).

An index is an SQLite database of one table, `piece(number INTEGER PRIMARY KEY, content BLOB)`. Piece -1 is the header,
JSON; the pieces from 0 on are the buckets. Every serial has exactly one bucket, and every bucket exists, even an empty
one. Each piece begins with a seal over its number, its content and what the whole index was made of. So a damaged or
missing piece is found by whoever reads that piece: damage never looks like "not listed", and nobody has to read a
million entries to know it. The seals are against accidents, not against root. Nothing here opens a file.

A bucket is a row of entries: one byte with the length of the serial number, the serial number (the contents of its
DER INTEGER), the revocation date (a whole DER UTCTime or GeneralizedTime), one byte with the CRLReason (NO_REASON:
none), one byte that says whether the digest of a certificate issuer other than the CRL's follows, and that digest.
"""

from __future__ import annotations

import datetime
from binascii import crc32
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pam_sc.decision.crl import CrlEntry, CrlHeader, CrlScope
from pam_sc.decision.digest import sha256
from pam_sc.decision.names import NameKey
from pam_sc.record import record, replace

APPLICATION_ID: Final = 0x70735363
VERSION: Final = 1
HEADER_PIECE: Final = -1
ENTRIES_PER_BUCKET: Final = 24
SEAL_BYTES: Final = 16
ISSUER_BYTES: Final = 16
NO_REASON: Final = 0xFF
OWN_ISSUER: Final = b"\x00"
OTHER_ISSUER: Final = b"\x01"

CRL_PREFIX: Final = "crl-"
FILE_PREFIX: Final = "file-"
OCSP_PREFIX: Final = "ocsp-"
INDEX_SUFFIX: Final = ".sqlite"
OCSP_SUFFIX: Final = ".answer"

REASONS: Final[Mapping[int, str]] = {
    0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
    5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
}  # fmt: skip
"""CRLReason (RFC 5280, section 5.3.1). Another number is kept as no reason: the entry lists its serial all the same."""


@record(kw_only=True)
class FileIdentity:
    """The very content of a file without reading it: any change to the file changes one of these."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@record(kw_only=True)
class Origin:
    """A URL that has this CRL, and what its server wants to hear when it is asked whether that is still so."""

    url: str
    etag: str | None = None
    last_modified: str | None = None


@record(kw_only=True)
class IndexHeader:
    """The header piece of an index: of the CRL, of its signer, and of how it came here."""

    crl: CrlHeader
    signer: str
    """SHA-256 of the SubjectPublicKeyInfo whose signature was verified when the index was made, hexadecimal."""
    digest: str
    """SHA-256 of the CRL, hexadecimal: what every seal is bound to."""
    buckets: int
    entries: int
    size: int
    """Bytes of the CRL."""
    indexed_at: datetime.datetime
    origins: tuple[Origin, ...] = ()
    """Where just this CRL was fetched, the first one first; none for a file."""
    checked_at: datetime.datetime | None = None
    """When the server last said that this is what it has. None for a file."""
    file: FileIdentity | None = None
    """The file of the administrator that was indexed; None for what was fetched."""
    path: tuple[str, ...] = ()
    """The signer's certificate and those above it but the anchor, DER in hexadecimal: where to begin when its path is
    looked for again, because a card that brought them may never come back. Nobody believes them for being here."""

    @property
    def url(self) -> str | None:
        """Where it was fetched first; None for a file."""
        return self.origins[0].url if self.origins else None

    def origin(self, url: str) -> Origin | None:
        """Return what this URL said of it, if it was fetched there."""
        return next((each for each in self.origins if each.url == url), None)


# ---------------------------------------------------------------- names of files


def key_hash(*parts: str) -> str:
    """Return 32 hexadecimal digits for a file name."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hex()[:32]


def crl_prefix(issuer: NameKey) -> str:
    """Return how the name of every index of this issuer's CRLs begins."""
    return f"{CRL_PREFIX}{key_hash(issuer)}-"


def crl_file_name(crl: CrlHeader, signer: str) -> str:
    """Return the name of the index of a fetched CRL: one for each issuer, signer's key, scope, and base or delta."""
    kind = "delta" if crl.is_delta else "base"
    return crl_prefix(crl.issuer) + key_hash(crl.issuer, signer, kind, repr(_scope_values(crl.scope))) + INDEX_SUFFIX


def file_index_name(path: str) -> str:
    """Return the name of the index of a file."""
    return FILE_PREFIX + key_hash(path) + INDEX_SUFFIX


def ocsp_file_name(key: str) -> str:
    """Return the name of the stored OCSP answer with this key (`ocsp_key`)."""
    return f"{OCSP_PREFIX}{key_hash(key)}{OCSP_SUFFIX}"


def signer_hash(public_key: bytes) -> str:
    """Return how a signer's key is named in an index: the SHA-256 of its SubjectPublicKeyInfo."""
    return sha256(public_key).hex()


# ---------------------------------------------------------------- pieces


def sealed(digest: str, number: int, content: bytes) -> bytes:
    """Return a piece: the seal, then the content."""
    return _seal(digest, number, content) + content


def unsealed(digest: str, number: int, piece: object) -> bytes:
    """Return the content of a piece; ValueError if it is missing or damaged."""
    if not isinstance(piece, bytes) or len(piece) < SEAL_BYTES:
        raise ValueError(f"piece {number} is missing")
    if piece[:SEAL_BYTES] != _seal(digest, number, piece[SEAL_BYTES:]):
        raise ValueError(f"piece {number} is damaged")
    return piece[SEAL_BYTES:]


def _seal(digest: str, number: int, content: bytes) -> bytes:
    return sha256(f"{VERSION} {digest} {number} ".encode(), content)[:SEAL_BYTES]


def serial_bytes(serial: int) -> bytes:
    """Return the contents of the DER INTEGER."""
    return serial.to_bytes((serial if serial >= 0 else ~serial).bit_length() // 8 + 1, "big", signed=True)


def bucket_of(serial: bytes, buckets: int) -> int:
    """Return the number of the bucket in which this serial stands, if it is listed."""
    return crc32(serial) % buckets


def issuer_digest(issuer: NameKey) -> bytes:
    """Return how a certificate issuer is named in an entry."""
    return sha256(issuer.encode("utf-8", "surrogatepass"))[:ISSUER_BYTES]


def entries_about(bucket: bytes, serial: bytes, issuer: bytes | None) -> Iterator[CrlEntry]:
    """Yield the entries of a bucket about this serial of this issuer (None: the CRL's own); ValueError if malformed."""
    at = 0
    while at < len(bucket):
        serial_end = at + 1 + bucket[at]
        date_end = serial_end + 2 + bucket[serial_end + 1]
        other = bucket[date_end + 1 : date_end + 2] == OTHER_ISSUER
        after = date_end + 2 + (ISSUER_BYTES if other else 0)
        if after > len(bucket):
            raise ValueError("an entry is cut off")
        if bucket[at + 1 : serial_end] == serial and (bucket[date_end + 2 : after] if other else None) == issuer:
            yield CrlEntry(
                reason=REASONS.get(bucket[date_end]), revoked_at=read_time(bucket[serial_end:date_end])
            )
        at = after


def count_entries(bucket: bytes) -> int:
    """Return how many entries are in a bucket; ValueError or IndexError if it is malformed."""
    at = found = 0
    while at < len(bucket):
        at += 1 + bucket[at]
        at += 3 + bucket[at + 1]
        at += 1 + (ISSUER_BYTES if bucket[at : at + 1] == OTHER_ISSUER else 0)
        found += 1
    if at > len(bucket):
        raise ValueError("an entry is cut off")
    return found


def read_time(der: bytes) -> datetime.datetime:
    """Return the time of a DER UTCTime or GeneralizedTime as RFC 5280, section 4.1.2.5 writes them; else ValueError."""
    text = der[2:].decode("ascii")
    if der[:1] == b"\x17":
        text = ("19" if text[:2] >= "50" else "20") + text
    if len(text) != 15 or not text[:14].isdecimal() or text[14] != "Z":
        raise ValueError("a revocation date is malformed")
    parts = [int(text[at : at + 2]) for at in range(4, 14, 2)]
    return datetime.datetime(int(text[:4]), *parts, tzinfo=datetime.UTC)  # type: ignore[misc, arg-type]


# ---------------------------------------------------------------- the header as JSON


def header_values(header: IndexHeader) -> dict[str, Any]:
    """Return the header as what JSON can hold."""
    crl = header.crl
    values = {**vars(header), "version": VERSION, "file": vars(header.file) if header.file else None}
    values["origins"] = [vars(each) for each in header.origins]
    values |= {name: _time_text(values[name]) for name in ("indexed_at", "checked_at")}
    values["crl"] = {
        **vars(crl),
        "authority_key_identifier": crl.authority_key_identifier.hex() if crl.authority_key_identifier else None,
        "this_update": _time_text(crl.this_update),
        "next_update": _time_text(crl.next_update),
        "scope": _scope_values(crl.scope),
    }
    return values


def _scope_values(scope: CrlScope) -> dict[str, Any]:
    names, reasons = scope.names, scope.reasons
    values = {**vars(scope), "names": None if names is None else sorted(names)}
    return values | {"reasons": None if reasons is None else sorted(reasons)}


def read_header(values: object) -> IndexHeader:
    """Return the header; ValueError, KeyError or TypeError if it is not one of this version."""
    if not isinstance(values, dict) or values.pop("version", None) != VERSION:
        raise ValueError(f"found another version, expected {VERSION}")
    crl, scope = values["crl"], values["crl"]["scope"]
    scope |= {name: None if scope[name] is None else frozenset(scope[name]) for name in ("names", "reasons")}
    crl |= {name: _time(crl[name]) for name in ("this_update", "next_update")}
    identifier = crl["authority_key_identifier"]
    crl["delta_urls"] = tuple(crl["delta_urls"])
    crl |= {"authority_key_identifier": bytes.fromhex(identifier) if identifier else None, "scope": CrlScope(**scope)}
    values |= {name: _time(values[name]) for name in ("indexed_at", "checked_at")}
    values |= {"path": tuple(values["path"]), "origins": tuple(Origin(**each) for each in values["origins"])}
    header = IndexHeader(**values | {"crl": CrlHeader(**crl)})
    if header.file is not None:
        header = replace(header, file=FileIdentity(**values["file"]))
    if header.buckets < 1:
        raise ValueError("found no bucket")
    return header


def _time_text(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)
