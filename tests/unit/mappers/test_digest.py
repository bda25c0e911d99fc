# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `digest` beyond its vectors: several certificates, and no algorithm but the one that is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pam_sc.decision.identity import Subject, read_subject
from pam_sc.errors import ConfigError
from pam_sc.mappers.digest import ALGORITHMS
from tests.support.certificate_spec import issue
from tests.support.mappers import made, mapfile


def test_several_certificates_belong_to_one_account_and_others_to_nobody(tmp_path: Path) -> None:
    one, two, three = (issue({"cn": "alice"}).der for _ in range(3))
    lines = [f"{hashlib.sha256(each).hexdigest()} -> alice\n" for each in (one, two)]
    mapper = made("digest", mapfile=mapfile(tmp_path, "".join(lines)))
    assert [mapper.accounts(read_subject(each)) for each in (one, two, three)] == [("alice",), ("alice",), ()]
    assert not mapper.claims(read_subject(three), "alice")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_finds_its_own_hash_alone(tmp_path: Path, algorithm: str) -> None:
    subject = read_subject(issue({}).der)
    for other in ALGORITHMS:
        content = f"{hashlib.new(other, subject.der).hexdigest()} -> alice\n"
        mapper = made("digest", mapfile=mapfile(tmp_path, content), algorithm=algorithm)
        assert mapper.claims(subject, "alice") is (other == algorithm)


@pytest.mark.parametrize("algorithm", ["", "md5", "SHA256", "sha3_256", "sha-1", "shake_128", "sha224"])
def test_unknown_algorithm_is_refused(tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(ConfigError, match=f"here: algorithm is '{algorithm}', expected one of sha256, sha384, sha512, sha1"):
        made("digest", mapfile=mapfile(tmp_path, ""), algorithm=algorithm)


def test_unreadable_certificate_has_no_hash(tmp_path: Path) -> None:
    mapper = made("digest", mapfile=mapfile(tmp_path, f"{hashlib.sha256(b'').hexdigest()} -> alice\n^.*$ -> alice\n"))
    assert mapper.sees(Subject()) == ()
    assert mapper.accounts(read_subject(b"\x30\x00")) == ()
