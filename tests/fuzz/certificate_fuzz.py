# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes that somebody calls a certificate, through reading and every built-in mapper that needs nobody to ask."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pam_sc.decision.certificate import read_facts
from pam_sc.decision.identity import read_subject
from pam_sc.errors import PamScError
from pam_sc.mapping import LoadedMapper, load_mappers, map_certificate
from tests.fuzz.harness import fuzz
from tests.fuzz.seeds import certificates

MAPFILE = "alice -> alice\n^.*@example\\.test$ -> alice\n"


def tables(mapfile: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Every mapper that works on the certificate alone, in the ways that read it differently."""
    return [
        ("cn", {}),
        ("cn", {"mapfile": mapfile, "ignore_case": True}),
        ("uid", {}),
        ("subject", {"mapfile": mapfile}),
        ("mail", {"domains": ["example.test"]}),
        ("upn", {"domains": ["example.test"]}),
        ("krb", {"realms": ["EXAMPLE.TEST"]}),
        ("digest", {"mapfile": mapfile}),
        ("serial", {"mapfile": mapfile}),
        ("rules", {"rule": [
            {"name": "alice", "match": "<SUBJECT>CN=.*<SAN:Principal>@EXAMPLE<EKU>clientAuth"},
            {"name": "u1", "map": "LDAPU1:({subject_dn_component.cn})"},
            {"name": "sid", "map": "LDAPU1:({sid.rid}{serial_number!hex_cr}{issuer_dn!ad_x500}{cert!sha256_u})"},
        ]}),
    ]  # fmt: skip


def mappers(folder: Path) -> tuple[LoadedMapper, ...]:
    """The mappers, with a mapfile in this folder."""
    path = folder / "mapfile"
    path.write_text(MAPFILE)
    path.chmod(0o644)
    return load_mappers([(name, table, "fuzz") for name, table in tables(str(path))], frozenset({0, path.stat().st_uid}))


def one_input(data: bytes, loaded: tuple[LoadedMapper, ...]) -> None:
    """Read and map it."""
    read_facts(data)
    subject = read_subject(data)
    for each in loaded:
        try:
            for value in each.mapper.sees(subject):
                assert value.isprintable(), each.name
            each.mapper.accounts(subject)
            each.mapper.claims(subject, "alice")
            each.mapper.why(subject, "alice")
        except PamScError:
            pass
    map_certificate(loaded, subject, "alice")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = mappers(Path(folder))
        fuzz(lambda data: one_input(data, made), certificates())
