# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads what an administrator put into a file or a folder, PEM or DER, as a sorted list of DER values.

Only files that nobody untrusted can change are read (ownership.py); one that could be changed is an error for the whole
set, never passed over. A file that is safe but cannot be parsed is no source, and is reported. Nothing is judged here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Callable

from pam_sc.errors import OwnershipError, TrustError
from pam_sc.ownership import read_trusted_file, resolve_trusted
from pam_sc.record import record

FILES_MAX = 10_000
"""Files of one folder."""

_ARMOUR = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s([^-]*)-----END \1-----")
"""Base64 has no "-": the search ends at the next one, so it is linear whatever a server sends."""


@record(kw_only=True)
class FileKind:
    """What is expected in a file: for messages, in PEM armour, and its greatest size."""

    what: str
    labels: frozenset[bytes]
    max_bytes: int


CERTIFICATES = FileKind(
    what="certificates", labels=frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"}), max_bytes=1 << 20
)
CRLS = FileKind(what="CRLs", labels=frozenset({b"X509 CRL", b"CRL"}), max_bytes=256 << 20)


@record
class FileContent:
    """One file: the DER values in it, in their order, or why it has none that can be used."""

    path: str
    values: tuple[bytes, ...] = ()
    problem: str | None = None


PassOver = Callable[[str, os.stat_result], bool]


def read_files(
    path: str, kind: FileKind, trusted_uids: frozenset[int], pass_over: PassOver = lambda _path, _status: False
) -> tuple[FileContent, ...]:
    """Return the file, or every file of the folder sorted by name; TrustError if any of them is missing or unsafe.

    A file of which `pass_over` says so, by its canonical name, was found safe as all others but is not read.
    """
    try:
        canonical = resolve_trusted(path, trusted_uids)
        names = _names(path, canonical) if os.path.isdir(canonical) else None
        entries = [path] if names is None else [os.path.join(path, name) for name in names]
        contents = (_entry(entry, kind, trusted_uids, pass_over) for entry in entries)
        return tuple(content for content in contents if content is not None)
    except OwnershipError as error:
        raise TrustError(f"cannot load {kind.what} from {path!r}: {error}") from error


def _names(path: str, canonical: str) -> list[str]:
    try:
        names = sorted(os.listdir(canonical))
    except OSError as error:
        raise TrustError(f"cannot read folder {path!r}: {error.strerror}") from error
    if len(names) > FILES_MAX:
        raise TrustError(f"cannot read folder {path!r}: found {len(names)} files, expected at most {FILES_MAX}")
    return names


def _entry(path: str, kind: FileKind, trusted_uids: frozenset[int], pass_over: PassOver) -> FileContent | None:
    canonical = resolve_trusted(path, trusted_uids)
    try:
        status = os.lstat(canonical)
    except OSError as error:
        raise TrustError(f"cannot read {path!r}: {error.strerror}") from error
    if pass_over(canonical, status):
        return None
    if stat.S_ISDIR(status.st_mode):
        return FileContent(path, problem=f"{path!r} is a folder in a folder and was not read")
    return _content(path, kind, trusted_uids)


def _content(path: str, kind: FileKind, trusted_uids: frozenset[int]) -> FileContent:
    content = read_trusted_file(path, trusted_uids, kind.max_bytes)
    try:
        return FileContent(path, values_of(content, kind))
    except ValueError as error:
        return FileContent(path, problem=f"{path!r} holds no {kind.what}: {error}")


def values_of(content: bytes, kind: FileKind) -> tuple[bytes, ...]:
    """Return each DER value; ValueError if there is none or one block is broken. Text around PEM blocks is allowed."""
    if content[:1] == b"\x30":
        return (content,)
    blocks = _ARMOUR.findall(content)
    if len(blocks) != content.count(b"-----BEGIN ") or content.count(b"-----END ") != len(blocks):
        raise ValueError("a PEM block is not complete")
    if not blocks:
        raise ValueError("neither PEM nor DER")
    return tuple(_unarmoured(label, text, kind) for label, text in blocks)


def _unarmoured(label: bytes, text: bytes, kind: FileKind) -> bytes:
    if label not in kind.labels:
        raise ValueError(f"a PEM block is a {label.decode()!r}")
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a PEM block is not base64: {error}") from error
