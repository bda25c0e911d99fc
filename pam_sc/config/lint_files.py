# SPDX-License-Identifier: LGPL-2.1-or-later
"""Look at the files a configuration names, as every login will have to: can they be read, are the anchors still valid.

A login reads them as the account pam_sc or as an ordinary user, so "read" means by everybody. Certificates are parsed
only for their dates; whether anything chains to them is not judged here.
"""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Iterator

from cryptography import x509

from pam_sc.config.finding import Finding, Weight

_CERTIFICATE_FILE_MAX = 1024 * 1024
_FILES_MAX = 4096


def check_readable(key: str, path: str) -> Iterator[Finding]:
    """Yield a finding for the first of the path's parents, and every file, that not everybody may read."""
    blocked = next((parent for parent in _parents(path) if not _mode_has(parent, stat.S_IXOTH)), None)
    if not os.path.exists(path):
        yield Finding(Weight.ERROR, key, f"{path} does not exist")
    elif blocked is not None:
        yield Finding(Weight.ERROR, key, f"{blocked} is closed to other accounts; logins read {path} as pam_sc")
    elif os.path.isdir(path) and not _mode_has(path, stat.S_IXOTH | stat.S_IROTH):
        yield Finding(Weight.ERROR, key, f"the folder {path} is closed to other accounts; logins read it as pam_sc")
    else:
        for file in files_of(path):
            if not _mode_has(file, stat.S_IROTH):
                yield Finding(Weight.ERROR, key, f"{file} is not readable for everybody; logins read it as pam_sc")


def check_folder(key: str, path: str, owners: frozenset[int], *, make_it: str) -> Iterator[Finding]:
    """Yield a finding for a folder of our own that does not exist yet, or that somebody else could fill."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        yield Finding(Weight.NOTE, key, f"{path} does not exist yet; {make_it}")
        return
    except OSError as error:
        yield Finding(Weight.ERROR, key, f"{path} cannot be looked at: {error.strerror}")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(Weight.ERROR, key, f"{path} is not a folder")
    elif found.st_uid not in owners:
        yield Finding(Weight.WARNING, key, f"{path} belongs to uid {found.st_uid}, so nothing in it counts;"
                      f" run: chown -R root:root {path} && pam-sc refresh")
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(Weight.WARNING, key, f"others can write to {path}, so nothing in it counts; run: chmod 755 {path}")
    elif not _mode_has(path, stat.S_IXOTH | stat.S_IROTH):
        yield Finding(Weight.ERROR, key, f"the folder {path} is closed to other accounts; logins read it as pam_sc")


def check_anchors(key: str, path: str, at: datetime.datetime) -> Iterator[Finding]:
    """Yield a finding for every anchor that is not valid at `at`, and for files that hold no certificate.

    That there is none at all is for the one who loads them to say, as a login would.
    """
    for file in files_of(path):
        certificates = _certificates(file)
        if not certificates:
            yield Finding(Weight.WARNING, key, f"{file} holds no certificate that can be parsed")
        for certificate in certificates:
            yield from _check_dates(key, file, certificate, at)


def _check_dates(key: str, file: str, certificate: x509.Certificate, at: datetime.datetime) -> Iterator[Finding]:
    if certificate.not_valid_after_utc < at:
        text = f"the trust anchor in {file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        yield Finding(Weight.WARNING, key, text)
    if certificate.not_valid_before_utc > at:
        text = f"the trust anchor in {file} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
        yield Finding(Weight.WARNING, key, text)


def files_of(path: str) -> list[str]:
    """The file itself, or the files of the folder that do not begin with a dot, by name."""
    if not os.path.isdir(path):
        return [path] if os.path.isfile(path) else []
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))[:_FILES_MAX]
    except OSError:
        return []
    return [file for name in names if os.path.isfile(file := os.path.join(path, name))]


def _certificates(file: str) -> list[x509.Certificate]:
    try:
        with open(file, "rb") as opened:
            content = opened.read(_CERTIFICATE_FILE_MAX)
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_certificates(content)
        return [x509.load_der_x509_certificate(content)]
    except (OSError, ValueError):
        return []


def _parents(path: str) -> list[str]:
    parents = []
    while path != "/" and path:
        path = os.path.dirname(path)
        parents.append(path)
    return parents[::-1]


def _mode_has(path: str, bits: int) -> bool:
    try:
        return os.stat(path).st_mode & bits == bits
    except OSError:
        return False
