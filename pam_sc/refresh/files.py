# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes indexes of the large files among the administrator's CRLs, so that no login has to parse them.

The file itself stays what counts: an index is used only while the file is unchanged. A file that nobody with a valid
path has signed, or that holds not exactly one CRL, gets none; then each login parses it. No file is changed.
"""

from __future__ import annotations

import datetime
import os
import stat

from pam_sc.decision.evidence import Unparsable
from pam_sc.errors import OwnershipError, StoreError, TrustError
from pam_sc.record import replace
from pam_sc.refresh.model import Kind, Scene, SourceReport, State, Tell, report_of_index
from pam_sc.trust.crl import find_crl_signer
from pam_sc.trust.crl_file import read_crl
from pam_sc.trust.files import CRLS, read_files
from pam_sc.trust.index import Provenance, index_crl
from pam_sc.trust.index_format import FILE_PREFIX, FileIdentity, IndexHeader
from pam_sc.trust.store import LARGE_FILE_BYTES, StoredCrl, identify, open_store


def index_files(crls: str | None, scene: Scene, skew: datetime.timedelta, tell: Tell) -> int:
    """Index every large file of the configured CRLs that has no index or was changed; return how many large ones are there.

    Indexes of files that are there no longer are removed.
    """
    files: list[tuple[str, os.stat_result]] = []

    def note(path: str, status: os.stat_result) -> bool:
        if stat.S_ISREG(status.st_mode) and status.st_size >= LARGE_FILE_BYTES:
            files.append((path, status))
        return True

    if crls is not None:
        read_files(crls, CRLS, scene.trusted_uids, note)
    for path, status in files:
        tell(_index_file(path, status, scene, skew))
    _remove_lost(frozenset(path for path, _ in files), scene)
    return len(files)


def _index_file(path: str, status: os.stat_result, scene: Scene, skew: datetime.timedelta) -> SourceReport:
    known = open_store(scene.folder, scene.trusted_uids).index_of_file(path, status)
    if isinstance(known, StoredCrl):
        return report_of_index(Kind.FILE, path, known.index, State.UNCHANGED, scene, skew)
    failed = SourceReport(kind=Kind.FILE, source=path, state=State.FAILED, size=status.st_size)
    try:
        header = _make_index(path, identify(path, status), scene)
    except StoreError as error:
        return replace(failed, why=str(error), broken=True)
    except (TrustError, OwnershipError) as error:
        return replace(failed, why=str(error))
    return report_of_index(Kind.FILE, path, header, State.FRESH, scene, skew)


def _make_index(path: str, identity: FileIdentity, scene: Scene) -> IndexHeader:
    (content,) = read_files(path, CRLS, scene.trusted_uids)
    if len(content.values) != 1:
        raise TrustError(content.problem or f"{path!r} holds {len(content.values)} CRLs, expected one; a login parses it")
    crl = read_crl(content.values[0], path)
    if isinstance(crl, Unparsable):
        raise TrustError(f"{path!r} holds a CRL that cannot be parsed: {crl.why}")
    signer = find_crl_signer(crl, scene.trust, scene.policy, scene.at, scene.others)
    if isinstance(signer, str):
        raise TrustError(f"the CRL does not count: {signer}")
    if identify(path, os.stat(path)) != identity:
        raise TrustError(f"{path!r} was changed while it was read; the next run indexes it")
    return index_crl(content.values[0], crl, signer, scene.folder, Provenance(file=identity), scene.at)


def _remove_lost(paths: frozenset[str], scene: Scene) -> None:
    store = open_store(scene.folder, scene.trusted_uids)
    for crl in store.crls_named(FILE_PREFIX):
        if crl.index.file is None or crl.index.file.path not in paths:
            os.unlink(crl.path)
