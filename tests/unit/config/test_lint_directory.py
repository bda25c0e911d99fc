# SPDX-License-Identifier: LGPL-2.1-or-later
"""A good mapper that asks a directory has no findings; each of these differs from it in one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.record import replace
from tests.unit.config.findings import findings, write


@pytest.fixture
def table(place: Path) -> dict[str, Any]:
    write(place / "ldap-ca.pem", b"CA")
    write(place / "secret", b"secret", 0o600)
    return {"uri": "ldaps://ldap.example.test", "base": "dc=example", "ca": str(place / "ldap-ca.pem"), "bind_dn": "cn=x",
            "password_file": str(place / "secret")}


def found(good: Configuration, table: dict[str, Any], name: str = "ldap") -> list[Finding]:
    """What is found about this mapper."""
    mapper = MapperSettings(name=name, table=table, where="x")
    return [each for each in findings(replace(good, mappers=(mapper,))) if each.where.startswith("mapper[0]")]


def test_verified_directory_and_its_secret_are_no_finding(good: Configuration, table: dict[str, Any]) -> None:
    assert found(good, table) == []
    assert found(good, {"ldap": table}, "rules") == []


def test_directory_that_proves_nothing_is_an_error(good: Configuration, table: dict[str, Any]) -> None:
    (finding,) = found(good, {**table, "tls_verify": "never"})
    assert (finding.severity, finding.where) == (Weight.ERROR, "mapper[0].tls_verify")
    assert finding.text.startswith("never: whoever answers in the directory's place")
    (finding,) = found(good, {"ldap": {**table, "tls_verify": "never"}}, "rules")
    assert finding.where == "mapper[0].ldap.tls_verify"


def test_directory_without_tls_is_an_error_and_worse_with_a_password(good: Configuration, table: dict[str, Any]) -> None:
    plain = {**table, "uri": ["ldap://127.0.0.1", "ldap://localhost.example.test"], "tls": "off"}
    assert [(each.severity, each.where) for each in found(good, plain)] == [
        (Weight.ERROR, "mapper[0].tls"), (Weight.ERROR, "mapper[0].password_file")]
    del plain["password_file"]
    assert [each.where for each in found(good, plain)] == ["mapper[0].tls"]


@pytest.mark.parametrize("uri", ["ldap://localhost", "ldap://127.0.0.1:3890", ["ldap://[::1]:3890"]])
def test_directory_of_this_machine_needs_no_tls(good: Configuration, table: dict[str, Any], uri: object) -> None:
    assert found(good, {**table, "uri": uri, "tls": "off"}) == []


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601])
def test_secret_that_others_may_open_is_an_error(good: Configuration, table: dict[str, Any], mode: int) -> None:
    Path(table["password_file"]).chmod(mode)
    (finding,) = found(good, table)
    assert (finding.severity, finding.where) == (Weight.ERROR, "mapper[0].password_file")
    assert "others have a right to" in finding.text and "secret\n" not in finding.text


def test_files_that_are_not_there_are_errors(good: Configuration, table: dict[str, Any], tmp_path: Path) -> None:
    for key in ("password_file", "ca"):
        (finding,) = found(good, {**table, key: str(tmp_path / "nothing")})
        assert (finding.severity, finding.where) == (Weight.ERROR, f"mapper[0].{key}")
    keys = {"client_certificate": table["ca"], "client_key": str(tmp_path / "nothing")}
    (finding,) = found(good, {**table, **keys})
    assert finding.where == "mapper[0].client_key"
    both = {"client_certificate": table["password_file"], "client_key": table["password_file"]}
    assert found(good, {**table, **both}) == [], "one file for both, which root alone reads"


def test_table_of_any_form_is_no_crash(good: Configuration) -> None:
    for table in ({"uri": 1, "ca": 2, "tls": "off", "password_file": []}, {"uri": []}, {}):
        found(good, table)
    assert found(good, {"ldap": "x"}, "rules") == []
