# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vectors of the mappers, mappers/NAME.toml: a certificate and the mapper's table, and what has to come out.

Each `[[case]]` is one test. Its keys:

    name         a sentence
    certificate  a table of tests/support/certificate_spec.py; absent: a certificate for CN=alice
    options      the mapper's table
    files        {name = "content"}: files; "{name}" in a string of `options` is the path of one
    people       [{name, uid, gecos}]: the accounts that NSS knows
    homes        {"alice/.ssh/authorized_keys" = "content"}: the files that the home reader finds
    program      {accounts = "line", claims = "line"}: what a program answers to each question
    accounts     what the certificate maps to
    claims       {alice = true, bob = false}: whether it maps to this very account
    sees         the values that the mapper looks at
    unusable     for each a part of one sentence about an unusable value; [] means that there is no such sentence
    fails        a part of the MapperError of both directions, in place of accounts and claims
    error        a part of the ConfigError when the mapper is made, in place of all of them

In files, homes, sees and options these stand for facts of the certificate that nobody can know before it is made:
{sha256} {sha1} {sha384} {sha512} (of the certificate), {public_key_sha1} {key_id}, all in small hexadecimal digits; the
same in capitals ({SHA256}) and with a colon before the closing brace ({sha256:}); {pem}, {openssh}.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mapping import BUILT_IN, ENTRY_POINTS, Mapper, load_mappers
from pam_sc.services import Services
from tests.support.certificate_spec import issue
from tests.support.mapper_services import CannedPrograms, ListedHomes, ListedPeople
from tests.support.pki import Issued

FOLDER = Path(__file__).parent / "mappers"
DOCS = Path(__file__).parents[2] / "docs"
EXPECTED = {"accounts", "claims", "sees", "unusable", "fails", "error"}
GIVEN = {"name", "certificate", "options", "files", "people", "homes", "program"}


def cases() -> Iterator[Any]:
    """Every case of every file, under the mapper's name and its own."""
    for path in sorted(FOLDER.glob("*.toml")):
        for case in tomllib.loads(path.read_text())["case"]:
            yield pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_mapper_has_vectors_a_page_and_an_entry_point(name: str) -> None:
    assert (FOLDER / f"{name}.toml").exists()
    assert (DOCS / "mappers" / f"{name}.md").exists()
    assert f"mappers/{name}.md" in (DOCS / "mappers.md").read_text()
    (found,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    assert found.value == BUILT_IN[name]


@pytest.mark.parametrize(("mapper_name", "case"), list(cases()))
def test_vector(mapper_name: str, case: Mapping[str, Any], tmp_path: Path) -> None:
    assert not set(case) - EXPECTED - GIVEN, "the case has unknown keys"
    assert set(case) & EXPECTED, "the case expects nothing"
    issued = issue(case.get("certificate", {}))
    subject = read_subject(issued.der)
    facts = facts_of(issued)
    if "error" in case:
        with pytest.raises(ConfigError) as caught:
            made(mapper_name, case, facts, tmp_path)
        assert case["error"] in str(caught.value)
        return
    mapper = made(mapper_name, case, facts, tmp_path)
    require_unusable(subject, case)
    if "sees" in case:
        assert mapper.sees(subject) == tuple(filled(case["sees"], facts))
    require_answers(mapper, subject, case)


def require_unusable(subject: Subject, case: Mapping[str, Any]) -> None:
    """The sentences about unusable values are the expected ones, in their order, and none more."""
    if "unusable" in case:
        found, expected = subject.unusable, case["unusable"]
        assert len(found) == len(expected), found
        assert all(part in sentence for part, sentence in zip(expected, found, strict=True)), found


def require_answers(mapper: Mapper, subject: Subject, case: Mapping[str, Any]) -> None:
    """Both directions answer as expected."""
    if "fails" in case:
        with pytest.raises(MapperError, match=re.escape(case["fails"])):
            mapper.accounts(subject)
        with pytest.raises(MapperError, match=re.escape(case["fails"])):
            mapper.claims(subject, "alice")
        return
    if "accounts" in case:
        assert mapper.accounts(subject) == tuple(case["accounts"])
        assert all(mapper.claims(subject, each) for each in case["accounts"]), "it does not claim its own account"
    for account, expected in case.get("claims", {}).items():
        assert mapper.claims(subject, account) is expected, account


def made(mapper_name: str, case: Mapping[str, Any], facts: Mapping[str, str], folder: Path) -> Mapper:
    """The mapper as a configuration makes it."""
    paths = {}
    for name, content in case.get("files", {}).items():
        paths[name] = str(folder / name)
        Path(paths[name]).write_bytes(filled(content, facts).encode())
        Path(paths[name]).chmod(0o644)
    homes = {path: filled(content, facts).encode() for path, content in case.get("homes", {}).items()}
    services = Services(
        people=ListedPeople(case.get("people", [])),
        homes=ListedHomes(homes),
        programs=CannedPrograms(case.get("program", {})),
    )
    options = filled(case.get("options", {}), {**facts, **paths})
    trusted = frozenset({0, os.getuid()})
    return load_mappers([(mapper_name, options, "vectors: [[mapper]] 1")], trusted, services)[0].mapper


def facts_of(issued: Issued) -> Mapping[str, str]:
    """What the placeholders stand for."""
    public = issued.certificate.public_key()
    key = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        openssh = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    except ValueError:  # not a kind of key that OpenSSH has
        openssh = ""
    octets = {name: hashlib.new(name, issued.der).digest() for name in ("sha1", "sha256", "sha384", "sha512")}
    octets["public_key_sha1"] = hashlib.sha1(key).digest()
    octets["key_id"] = x509.SubjectKeyIdentifier.from_public_key(public).digest
    plain = {name: each.hex() for name, each in octets.items()}
    colons = {f"{name}:": each.hex(":") for name, each in octets.items()}
    capital = {name.upper(): each.upper() for name, each in {**plain, **colons}.items()}
    return {**plain, **colons, **capital, "pem": issued.pem.decode(), "openssh": openssh}


def filled(value: Any, facts: Mapping[str, str]) -> Any:
    """The value with every placeholder replaced, at whatever depth."""
    if isinstance(value, str):
        for name, text in facts.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(each, facts) for key, each in value.items()}
    return [filled(each, facts) for each in value] if isinstance(value, list) else value
