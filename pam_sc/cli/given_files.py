# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the certificates and CRLs that a person names on the command line, whoever they belong to.

For `pam-sc verify` alone: what a login reads goes through pam_sc/ownership.py. Each certificate and CRL is parsed once,
however many files of a batch hold it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from pam_sc.decision.evidence import Unparsable
from pam_sc.errors import TrustError
from pam_sc.trust.anchors import PathCertificate, Trust, make_trust, read_path_certificate, unique
from pam_sc.trust.crl_file import FileCrl, FileCrls, by_issuer, read_crl
from pam_sc.trust.files import CERTIFICATES, CRLS, FileKind, values_of
from pam_sc.trust.openssl import is_certificate

_PIECE = 1 << 20
"""Bytes read at a time."""

_certificate = cache(read_path_certificate)
_crl = cache(read_crl)


def read_leaf(path: str) -> bytes:
    """Return the one certificate of a file, usable or not; TrustError if it is something else."""
    values = _values(path, CERTIFICATES)
    if isinstance(values, str):
        raise TrustError(values)
    if len(values) != 1 or not is_certificate(values[0]):
        raise TrustError(f"cannot read {path!r}: found no certificate or several, expected one")
    return values[0]


def read_trust(anchors: str, intermediates: str | None, *, partial: bool) -> Trust:
    """Read files or folders of anchors and intermediates; TrustError if one is missing or there is no anchor."""
    problems: list[str] = []
    found = _certificates(anchors, problems)
    others = _certificates(intermediates, problems) if intermediates is not None else ()
    return make_trust(anchors, found, others, problems=tuple(problems), partial=partial)


def _certificates(path: str, problems: list[str]) -> tuple[PathCertificate, ...]:
    found: list[PathCertificate] = []
    for file, der in _all_values(path, CERTIFICATES, problems):
        certificate = _certificate(der)
        if isinstance(certificate, Unparsable):
            problems.append(f"{file!r} holds a certificate that cannot be parsed: {certificate.why}")
        else:
            found.append(certificate)
    return unique(found)


def read_crls(path: str | None) -> FileCrls:
    """Read a file or folder of CRLs; TrustError if it is missing. An empty folder, like None, is no CRLs."""
    found: dict[bytes, FileCrl] = {}
    problems: list[str] = []
    for file, der in _all_values(path, CRLS, problems) if path is not None else ():
        crl = _crl(der, os.path.basename(file))
        if isinstance(crl, Unparsable):
            problems.append(f"{file!r} holds a CRL that cannot be parsed: {crl.why}")
        else:
            found.setdefault(der, crl)
    return FileCrls(by_issuer=by_issuer(list(found.values())), problems=tuple(problems))


def _all_values(path: str, kind: FileKind, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    for file in _files(path):
        values = _values(file, kind)
        if isinstance(values, str):
            problems.append(values)
        else:
            yield from ((file, value) for value in values)


def _files(path: str) -> list[str]:
    """Return the file, or the files of the folder sorted by name."""
    if not os.path.isdir(path):
        os.stat(path)
        return [path]
    return [entry.path for entry in sorted(os.scandir(path), key=lambda each: each.name) if not entry.is_dir()]


def _values(path: str, kind: FileKind) -> tuple[bytes, ...] | str:
    """Return the DER values in a file, or why it has none; OSError if it cannot be read."""
    pieces: list[bytes] = []
    with open(path, "rb", buffering=0) as file:
        while len(pieces) * _PIECE <= kind.max_bytes and (piece := file.read(_PIECE)):
            pieces.append(piece)
    content = b"".join(pieces)
    try:
        return values_of(content, kind) if len(content) <= kind.max_bytes else f"{path!r} is too large"
    except ValueError as error:
        return f"{path!r} holds no {kind.what}: {error}"
