# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the revocation store that `pam-sc refresh` fills: indexes of CRLs, and OCSP answers.

A login looks at one listing of the folder, and opens only files whose names fit what it asks for. A file that could be
changed by somebody untrusted, or that is damaged, counts as absent and is told in `problems`; where the damage shows
only when a serial is looked up, that is a StoreError, never "not listed". That a CRL is in the store proves that the
key named in it has signed it, and nothing more: whether that key counts today is for the caller. Writes nothing.
"""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pam_sc.decision.crl import CrlEntry, CrlHeader
from pam_sc.decision.crl_status import REMOVE_FROM_CRL
from pam_sc.decision.names import NameKey
from pam_sc.errors import OwnershipError, StoreError
from pam_sc.ownership import read_trusted_file, resolve_trusted
from pam_sc.record import record
from pam_sc.trust import index_format as layout
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.index_format import FileIdentity, IndexHeader
from pam_sc.trust.sources import Crl, OcspMessage

if TYPE_CHECKING:
    import sqlite3

LARGE_FILE_BYTES = 1 << 20
"""From this size on, `pam-sc refresh` indexes a file of the configured CRLs."""
OCSP_BYTES_MAX = 256 << 10
FILES_MAX = 100_000
"""Names in the folder: far more than any organisation has authorities and cards at one machine."""

_READ_PIECE = "SELECT content FROM piece WHERE number = ?"


class StoredCrl:
    """A CRL of which an index lies in the store (the `Crl` of sources.py). Its file stays open as long as it lives."""

    def __init__(self, path: str) -> None:
        """Open an index whose owner and mode were found safe; StoreError if it is damaged."""
        self.path = path
        self._database = _open_database(path)
        try:
            self.index = _read_index_header(self._database)
        except Exception as error:
            self._database.close()
            raise _damaged(path, error) from error

    def __del__(self) -> None:
        if hasattr(self, "_database"):
            self._database.close()

    @property
    def header(self) -> CrlHeader:
        """Everything but the entries."""
        return self.index.crl

    def is_signed_by(self, signer: PathCertificate) -> bool:
        """Say whether this key made the signature, as verified when the index was made: compares keys, no more."""
        return bool(signer.public_key) and layout.signer_hash(signer.public_key) == self.index.signer

    def entry(self, certificate_issuer: NameKey, serial: int) -> CrlEntry | None:
        """Return the entry about this serial of this issuer, None if it is not listed; StoreError if that is unknown.

        If it is listed twice, an entry that revokes counts before one that takes it off the list.
        """
        wanted = layout.serial_bytes(serial)
        issuer = None if certificate_issuer == self.header.issuer else layout.issuer_digest(certificate_issuer)
        try:
            bucket = self._piece(layout.bucket_of(wanted, self.index.buckets))
            found = list(layout.entries_about(bucket, wanted, issuer))
        except Exception as error:
            raise _damaged(self.path, error) from error
        revoking = [each for each in found if each.reason != REMOVE_FROM_CRL]
        return next(iter(revoking or found), None)

    def check(self) -> None:
        """Read every piece; StoreError if one is damaged. For `pam-sc store`, too slow for a login."""
        try:
            entries = sum(
                layout.count_entries(self._piece(number)) for number in range(self.index.buckets)
            )
            if entries != self.index.entries:
                raise ValueError(f"found {entries} entries, expected {self.index.entries}")
        except Exception as error:
            raise _damaged(self.path, error) from error

    def _piece(self, number: int) -> bytes:
        row = self._database.execute(_READ_PIECE, (number,)).fetchone()
        return layout.unsealed(self.index.digest, number, row and row[0])


def _damaged(path: str, error: Exception) -> StoreError:
    return StoreError(f"cannot use {path!r}: it is damaged: {error}; 'pam-sc refresh' makes it anew")


def _open_database(path: str) -> sqlite3.Connection:
    import sqlite3

    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        return sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open {path!r}: {error}") from error


def _read_index_header(database: sqlite3.Connection) -> IndexHeader:
    found = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if (found, version) != (layout.APPLICATION_ID, layout.VERSION):
        raise ValueError(f"it is no index of version {layout.VERSION}")
    import json

    row = database.execute(_READ_PIECE, (layout.HEADER_PIECE,)).fetchone()
    return layout.read_header(json.loads(layout.unsealed("", layout.HEADER_PIECE, row and row[0])))


@record
class StoredAnswer:
    """One OCSP answer in the store, its file, and what the file says about it: for people, proven by nothing."""

    path: str
    message: OcspMessage
    about: Mapping[str, str]

    @property
    def times(self) -> tuple[datetime.datetime | None, datetime.datetime | None]:
        """thisUpdate and nextUpdate, as far as they are told."""
        return _time(self.about.get("this_update")), _time(self.about.get("next_update"))


class Store:
    """The store as one login or one command sees it: a listing made once, files opened when they are asked for."""

    def __init__(self, folder: str, names: Sequence[str], trusted_uids: frozenset[int]) -> None:
        self.folder = folder
        self.names = frozenset(names)
        self.problems: list[str] = []
        """Files that count as absent, a sentence each; grows as files are opened."""
        self._trusted_uids = trusted_uids

    def of_issuer(self, issuer: NameKey) -> Sequence[Crl]:
        """Return every fetched CRL that carries this issuer name (the `CrlSet` of sources.py)."""
        return self.crls_named(layout.crl_prefix(issuer))

    def crls_named(self, prefix: str) -> list[StoredCrl]:
        """Return every index whose file name begins like this, in the order of their names."""
        fitting = sorted(name for name in self.names if name.startswith(prefix) and name.endswith(layout.INDEX_SUFFIX))
        opened = [self.open_index(name) for name in fitting]
        return [crl for crl in opened if crl is not None]

    def open_index(self, name: str) -> StoredCrl | None:
        """Return one index; None, and a problem, if it is unsafe or damaged."""
        path = os.path.join(self.folder, name)
        try:
            self._require_safe(path)
            return StoredCrl(path)
        except (StoreError, OwnershipError) as error:
            self.problems.append(str(error))
            return None

    def index_of_file(self, path: str, status: os.stat_result) -> Crl | None:
        """Return the index of a file of the administrator; None if there is none of the file as it is now.

        Such an index was made of a file that held exactly one CRL, signed by the key of an authority with a valid path.
        """
        name = layout.file_index_name(path)
        crl = self.open_index(name) if name in self.names else None
        return crl if crl is not None and crl.index.file == identify(path, status) else None

    def about(self, issuer: PathCertificate, serial: int) -> Sequence[OcspMessage]:
        """Return the OCSP answers filed for this serial of this issuer (the `OcspSet` of sources.py)."""
        from pam_sc.trust.ocsp import ocsp_key

        name = layout.ocsp_file_name(ocsp_key(issuer, serial))
        answer = self.read_answer(name) if name in self.names else None
        return () if answer is None else (answer.message,)

    def read_answer(self, name: str) -> StoredAnswer | None:
        """Return one stored OCSP answer, not looked at; None, and a problem, if it is unsafe or malformed."""
        import json

        path = os.path.join(self.folder, name)
        try:
            first, _, der = read_trusted_file(path, self._trusted_uids, OCSP_BYTES_MAX).partition(b"\n")
            about = {name: str(value) for name, value in json.loads(first).items()}
            return StoredAnswer(path, OcspMessage(der=der, source=about["source"]), about)
        except OwnershipError as error:
            self.problems.append(str(error))
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            self.problems.append(f"cannot use {path!r}: it is damaged: {error}")
        return None

    def _require_safe(self, path: str) -> None:
        """Return if it is a regular file that only the trusted can change; its folder was found safe before."""
        try:
            status = os.lstat(path)
        except OSError as error:
            raise StoreError(f"cannot read {path!r}: {error.strerror}") from error
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"cannot trust {path!r}: expected a regular file")
        if status.st_uid not in self._trusted_uids or mode & (stat.S_IWGRP | stat.S_IWOTH):
            owners = " or ".join(str(uid) for uid in sorted(self._trusted_uids))
            raise StoreError(
                f"cannot trust {path!r}: found owner {status.st_uid} and mode {mode:04o}, "
                f"expected owner {owners} and no write permission for group and others"
            )


def _time(text: str | None) -> datetime.datetime | None:
    try:
        at = None if text is None else datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else None


def identify(path: str, status: os.stat_result) -> FileIdentity:
    """Return what changes when the file does."""
    return FileIdentity(
        path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns, inode=status.st_ino
    )


def open_store(folder: str, trusted_uids: frozenset[int]) -> Store:
    """List the store. A missing folder is an empty store; one that cannot be trusted or read is too, with a problem."""
    if not os.path.lexists(folder):
        return Store(folder, (), trusted_uids)
    try:
        canonical = resolve_trusted(folder, trusted_uids)
        names = os.listdir(canonical)
        if len(names) > FILES_MAX:
            raise StoreError(f"cannot use {folder!r}: found {len(names)} files, expected at most {FILES_MAX}")
        return Store(canonical, names, trusted_uids)
    except OSError as error:
        problem = f"cannot read {folder!r}: {error.strerror}"
    except (OwnershipError, StoreError) as error:
        problem = str(error)
    store = Store(folder, (), trusted_uids)
    store.problems.append(problem)
    return store
