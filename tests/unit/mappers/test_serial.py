# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `serial` beyond its vectors: every line that it sees maps, and lines that must not be there are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.errors import ConfigError
from tests.support.certificate_spec import issue
from tests.support.mappers import made, mapfile


@given(serial=st.integers(1, 2**159 - 2))
@settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_that_it_sees_maps_this_certificate_and_no_other(tmp_path: Path, serial: int) -> None:
    subject = read_subject(issue({"serial": serial}).der)
    others = [read_subject(issue({"serial": serial + 1}).der), read_subject(issue({"serial": serial, "issuer": "X"}).der)]
    empty = made("serial", mapfile=mapfile(tmp_path, ""))
    for line in empty.sees(subject):
        mapper = made("serial", mapfile=mapfile(tmp_path, f"{line} -> alice\n"))
        assert mapper.accounts(subject) == ("alice",)
        by_key = line.startswith("X509:<SKI>")  # all test certificates have one key
        assert [mapper.accounts(each) for each in others] == ([("alice",)] if by_key else [()]) * 2


def test_unreadable_certificate_has_no_line(tmp_path: Path) -> None:
    mapper = made("serial", mapfile=mapfile(tmp_path, "^.*$ -> alice\n"), weak=True)
    assert mapper.sees(Subject()) == ()
    assert mapper.accounts(read_subject(b"\x30\x00")) == ()


def test_malformed_key_identifier_has_no_line(tmp_path: Path) -> None:
    from pam_sc.decision.identity import Extension

    mapper = made("serial", mapfile=mapfile(tmp_path, "^.*$ -> alice\n"))
    for der in (b"", b"\x04", b"\x04\x00", b"\x04\x03ab", b"\x04\x01ab", b"\x0c\x02ab"):
        assert mapper.sees(Subject(extensions=(Extension("2.5.29.14", der),))) == ()
    assert mapper.sees(Subject(extensions=(Extension("2.5.29.14", b"\x04\x02ab"),))) == ("X509:<SKI>6162",)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("4a0f -> alice", "is a serial number without its issuer"),
        ("4A:0F->alice", "is a serial number without its issuer"),
        ("X509:<SR>0f4a -> alice", "is no form of altSecurityIdentities that is known here"),
        ("X509:<I>CN=x -> alice", "is no form of altSecurityIdentities that is known here"),
        ("X509:<I>CN=x<SR>-> alice", "is no form of altSecurityIdentities that is known here"),
        ("X509:<SKI> -> alice", "is no form of altSecurityIdentities that is known here"),
        ("X509:<SHA1-PUKEY>0g -> alice", "is no form of altSecurityIdentities that is known here"),
        ("x509:<pn>alice@example.test -> alice", "is no form of altSecurityIdentities that is known here"),
        ("X509:<S>CN=x -> alice", "names a person, not a certificate"),
        ("X509:<I>CN=x<S>CN=y -> alice", "names a person, not a certificate"),
        ("X509:<RFC822>alice@example.test -> alice", "names a person, not a certificate"),
    ],
)
def test_line_that_could_never_or_must_not_map_is_told_with_its_number(tmp_path: Path, line: str, why: str) -> None:
    content = f"# numbers\r\n4a0f CN=x -> alice\r\n  {line}\r\nX509:<SKI>00 -> bob\r\n"
    with pytest.raises(ConfigError) as caught:
        made("serial", mapfile=mapfile(tmp_path, content))
    assert f"map:3: {line!r} {why}" in str(caught.value)


@pytest.mark.parametrize("line", ["# 4a0f -> alice", "#X509:<S>CN=x -> alice", "4a0f CN=x -> alice", "^X509:.*$ -> alice", ""])
def test_line_that_may_be_there_is_accepted(tmp_path: Path, line: str) -> None:
    made("serial", mapfile=mapfile(tmp_path, f"{line}\n"))


def test_weak_line_that_is_not_looked_at_in_a_large_mapfile_maps_nothing(tmp_path: Path) -> None:
    content = "# a line to fill the file with\n" * 100_000 + "X509:<S>O=Example,CN=alice -> alice\n"
    subject = read_subject(issue({"cn": "alice"}).der)
    mapper = made("serial", mapfile=mapfile(tmp_path, content))
    assert mapper.accounts(subject) == ()
    assert made("serial", mapfile=mapfile(tmp_path, content), weak=True).accounts(subject) == ("alice",)


def test_mapfile_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = mapfile(tmp_path, "")
    Path(path).chmod(0o646)
    with pytest.raises(ConfigError, match="mode 0646"):
        made("serial", mapfile=path)
