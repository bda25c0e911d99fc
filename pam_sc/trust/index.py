# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the store: makes the index of a CRL whose signer has been found, and keeps OCSP answers. Never for a login.

Whoever calls this has found the signer (`find_crl_signer`): a certificate with a valid path and the right to sign CRLs,
whose key made the signature. A CRL never takes the place of one of the same issuer, key, scope and kind that has a
higher cRLNumber or a later thisUpdate: an old list, though genuine, would take back revocations.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator

from pam_sc.decision.certificate import time_text
from pam_sc.decision.crl import CrlHeader
from pam_sc.decision.digest import sha256
from pam_sc.errors import StoreError
from pam_sc.record import record, replace
from pam_sc.trust import index_format as layout
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.crl_entries import pack_entries
from pam_sc.trust.crl_file import FileCrl
from pam_sc.trust.index_format import FileIdentity, IndexHeader, Origin
from pam_sc.trust.replacing import replacing
from pam_sc.trust.store import Store, StoredCrl

_PAGES = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -4096;"


@record(kw_only=True)
class Provenance:
    """How a CRL came here."""

    origin: Origin | None = None
    file: FileIdentity | None = None
    path: tuple[str, ...] = ()
    """As in IndexHeader."""


class RolledBack(StoreError):
    """A CRL is older than the one at hand, which therefore stays."""


ORIGINS_MAX = 16
_OWN = frozenset({0, os.geteuid()})


def index_crl(
    der: bytes, crl: FileCrl, signer: PathCertificate, folder: str, provenance: Provenance, at: datetime.datetime
) -> IndexHeader:
    """Put the index of a CRL into the store and return its header; StoreError if that fails, and nothing has changed.

    RolledBack if the one at hand is newer. `der` is what `crl` was parsed from, `signer` whose key signed it.
    """
    header = _header(der, crl, signer, provenance, at)
    name = index_name(header)
    if header.file is None:
        _require_progress(header.crl, _at_hand(folder, name))
    _write(folder, name, _packed(der, header))
    return header


def index_name(header: IndexHeader) -> str:
    """Return the name of an index in the store."""
    if header.file is not None:
        return layout.file_index_name(header.file.path)
    return layout.crl_file_name(header.crl, header.signer)


def index_at_hand(folder: str, crl: CrlHeader, signer: PathCertificate) -> IndexHeader | None:
    """Return what has the place of such a CRL in the store; None if nothing that counts has."""
    found = _at_hand(folder, layout.crl_file_name(crl, layout.signer_hash(signer.public_key)))
    return None if found is None else found.index


def touch_index(folder: str, header: IndexHeader, origin: Origin, at: datetime.datetime) -> IndexHeader:
    """Note that a server still has just this CRL, and return the header; StoreError if that cannot be written.

    If another CRL has its place by now, nothing is noted, and that one's header is returned. The index is copied,
    changed and put in place, because a header written half would lose the last good state.
    """
    name = index_name(header)
    known = _at_hand(folder, name)
    if known is None:
        raise StoreError(f"cannot use {os.path.join(folder, name)!r}: it was removed or damaged just now")
    if known.index.digest != header.digest:
        return known.index
    others = tuple(each for each in known.index.origins if each.url != origin.url)
    changed = replace(known.index, checked_at=at, origins=(*others, origin)[-ORIGINS_MAX:])
    with replacing(folder, name) as unfinished:
        _copy(os.path.join(folder, name), unfinished)
        database = _connect(unfinished)
        try:
            database.execute("UPDATE piece SET content = ? WHERE number = ?", _header_piece(changed)[::-1])
            database.commit()
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {os.path.join(folder, name)!r}: {error}") from error
        finally:
            database.close()
    return changed


def _header(
    der: bytes, crl: FileCrl, signer: PathCertificate, provenance: Provenance, at: datetime.datetime
) -> IndexHeader:
    entries = len(crl.parsed)
    return IndexHeader(
        crl=crl.header,
        signer=layout.signer_hash(signer.public_key),
        digest=sha256(der).hex(),
        buckets=entries // layout.ENTRIES_PER_BUCKET + 1,
        entries=entries,
        size=len(der),
        indexed_at=at,
        checked_at=at if provenance.file is None else None,
        origins=(provenance.origin,) if provenance.origin else (),
        file=provenance.file,
        path=provenance.path,
    )


def _at_hand(folder: str, name: str) -> StoredCrl | None:
    """Return what would be replaced; None if nothing is there that counts."""
    return Store(folder, (name,) if os.path.lexists(os.path.join(folder, name)) else (), _OWN).open_index(name)


def _require_progress(new: CrlHeader, old: StoredCrl | None) -> None:
    if old is None:
        return
    known = old.header
    if known.number is not None and (new.number is None or new.number < known.number):
        raise RolledBack(f"the CRL is older than the one at hand: found cRLNumber {new.number}, expected at least {known.number}")
    if new.this_update < known.this_update:
        raise RolledBack(
            f"the CRL is older than the one at hand: found thisUpdate {time_text(new.this_update)}, "
            f"expected at least {time_text(known.this_update)}"
        )


def _packed(der: bytes, header: IndexHeader) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces; each bucket is given up when it was yielded."""
    buckets = pack_entries(der, header.entries, header.crl.issuer, indirect=header.crl.scope.indirect)
    yield _header_piece(header)
    buckets.reverse()
    for number in range(header.buckets):
        yield number, layout.sealed(header.digest, number, bytes(buckets.pop()))


def _header_piece(header: IndexHeader) -> tuple[int, bytes]:
    content = json.dumps(layout.header_values(header)).encode("ascii")
    return layout.HEADER_PIECE, layout.sealed("", layout.HEADER_PIECE, content)


def _write(folder: str, name: str, pieces: Iterator[tuple[int, bytes]]) -> None:
    with replacing(folder, name) as unfinished:
        try:
            _fill(unfinished, pieces)
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {os.path.join(folder, name)!r}: {error}") from error


def _fill(path: str, pieces: Iterator[tuple[int, bytes]]) -> None:
    database = _connect(path)
    try:
        database.executescript(
            f"PRAGMA application_id = {layout.APPLICATION_ID}; PRAGMA user_version = {layout.VERSION};"
            "CREATE TABLE piece (number INTEGER PRIMARY KEY, content BLOB NOT NULL);"
        )
        database.execute("BEGIN")
        database.executemany("INSERT INTO piece VALUES (?, ?)", pieces)
        database.commit()
    finally:
        database.close()


def _connect(path: str) -> sqlite3.Connection:
    """Open a database that nobody else knows: no journal and no syncing of its own, `replacing` sees to that."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(_PAGES)
    return database


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target, follow_symlinks=False)
