# SPDX-License-Identifier: LGPL-2.1-or-later
"""Searches for tests, and a directory of people whose entries are shown to whom they are meant for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pam_sc.services import DirectorySearch, DirectoryServers
from tests.support.pki import CertificateAuthority, Issued
from tests.support.server_tls import server_certificate
from tests.support.slapd import PEOPLE, Directory, directory, people, person

ASKER = f"cn=asker,{PEOPLE}"
PASSWORD = b"correct horse"
ALICE = f"cn=alice,{PEOPLE}"


@contextlib.contextmanager
def people_directory(folder: Path, authority: CertificateAuthority, leaf: Issued) -> Iterator[Directory]:
    """A directory that shows mail addresses to `asker` alone, to others the rest."""
    entries = people(
        person("alice", certificates=[authority.issue().der, leaf.der], mails=["alice@example.test"]),
        person("twice", name="one"), person("twice", name="two"), person("bob"),
        person("asker", password=PASSWORD.decode()),
        person("heavy", certificates=[authority.issue(common_name=["x" * 60] * 40).der for _ in range(40)]),
    )
    database = f"""limits anonymous size.soft=3 size.hard=3
access to attrs=userPassword by anonymous auth
access to attrs=mail by dn.exact="{ASKER}" read by * none
access to * by * read"""
    with directory(folder, entries, tls=server_certificate(authority, "localhost"), client_ca=authority.pem,
                   options=f'authz-regexp "cn=asker.*" "{ASKER}"', database=database) as running:
        yield running


def search(*urls: str, wanted: str = "(uid=alice)", base: str = PEOPLE, attributes: tuple[str, ...] = ("uid", "mail"),
           entries_max: int = 1, **servers: Any) -> DirectorySearch:
    return DirectorySearch(servers=DirectoryServers(urls=urls, **servers), base=base, filter=wanted, attributes=attributes,
                           entries_max=entries_max)


def ldaps(slapd: Directory, host: str = "localhost") -> str:
    return slapd.url("", scheme="ldaps", host=host)


def plain(slapd: Directory, host: str = "localhost") -> str:
    return slapd.url("", host=host)
