# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the whole store for `pam-sc store`: what is in it, how old it is, and what is damaged. Any user may.

Every piece of every index is read, which a login never does. Whether a signer is still trusted is not looked at.
"""

from __future__ import annotations

import os

from pam_sc.errors import StoreError
from pam_sc.record import record
from pam_sc.transfer import REQUESTS_FOLDER
from pam_sc.trust.index_format import CRL_PREFIX, FILE_PREFIX, OCSP_PREFIX, OCSP_SUFFIX, IndexHeader
from pam_sc.trust.replacing import LOCK_NAME, UNFINISHED_PREFIX
from pam_sc.trust.store import Store, StoredAnswer, open_store

_PREFIXES = (CRL_PREFIX, FILE_PREFIX, OCSP_PREFIX, UNFINISHED_PREFIX)


@record(kw_only=True)
class Listing:
    """Everything in the store."""

    folder: str
    crls: tuple[IndexHeader, ...] = ()
    answers: tuple[StoredAnswer, ...] = ()
    requests: int | None = None
    """How many requests of logins wait; None for who may not look."""
    problems: tuple[str, ...] = ()


def list_store(folder: str, trusted_uids: frozenset[int]) -> Listing:
    """Return everything in the store; what is damaged, unsafe or foreign is among the problems."""
    store = open_store(folder, trusted_uids)
    foreign = [name for name in sorted(store.names) if not _is_ours(name)]
    return Listing(
        folder=folder,
        crls=_sound_indexes(store),
        answers=tuple(answer for name in sorted(store.names) if (answer := _answer(store, name)) is not None),
        requests=_count_requests(folder),
        problems=(*store.problems, *(f"{os.path.join(folder, name)!r} is no file of the store" for name in foreign)),
    )


def _is_ours(name: str) -> bool:
    return name.startswith(_PREFIXES) or name in (LOCK_NAME, REQUESTS_FOLDER)


def _sound_indexes(store: Store) -> tuple[IndexHeader, ...]:
    found: list[IndexHeader] = []
    for crl in (*store.crls_named(CRL_PREFIX), *store.crls_named(FILE_PREFIX)):
        try:
            crl.check()
            found.append(crl.index)
        except StoreError as error:
            store.problems.append(str(error))
    return tuple(found)


def _answer(store: Store, name: str) -> StoredAnswer | None:
    return store.read_answer(name) if name.startswith(OCSP_PREFIX) and name.endswith(OCSP_SUFFIX) else None


def _count_requests(folder: str) -> int | None:
    try:
        return len(os.listdir(os.path.join(folder, REQUESTS_FOLDER)))
    except FileNotFoundError:
        return 0
    except OSError:
        return None
