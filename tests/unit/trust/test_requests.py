# SPDX-License-Identifier: LGPL-2.1-or-later
"""What logins leave for `pam-sc refresh`: bounded, idempotent, and read as if an enemy had written it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pam_sc.trust.requests import (
    REQUEST_BYTES_MAX,
    REQUESTS_MAX,
    LeftRequests,
    Request,
    leave_request,
    read_requests,
    remove_request,
)
from tests.support.pki import CertificateAuthority
from tests.support.stores import path_certificate

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
ISSUERS = (path_certificate(ISSUING.der), path_certificate(ROOT.der))
URL = "http://crl.example.test/issuing.crl"
ASKED = Request(issuers=ISSUERS, serial=4711, crl_urls=(URL,), ocsp_urls=("http://ocsp.example.test/",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of requests."""
    found = tmp_path / "requests"
    found.mkdir(mode=0o700)
    return found


def found_in(store: Path) -> list[Request]:
    left = read_requests(str(store))
    assert left.problems == ()
    return [each.request for each in left.requests]


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Leave the request, then change what is written in it; its name stays."""
    leave_request(str(folder.parent), ASKED)
    path = folder / ASKED.name
    values = json.loads(path.read_bytes())
    change(values)
    path.write_text(json.dumps(values))
    return path


# ---------------------------------------------------------------- leaving


def test_what_is_left_is_what_is_read(folder: Path) -> None:
    leave_request(str(folder.parent), ASKED)
    assert found_in(folder.parent) == [ASKED]
    assert (folder / ASKED.name).stat().st_mode & 0o7777 == 0o600


def test_the_certificate_itself_is_not_kept(folder: Path) -> None:
    leave_request(str(folder.parent), ASKED)
    assert set(json.loads((folder / ASKED.name).read_bytes())) == {"issuers", "serial", "crl_urls", "ocsp_urls"}


def test_leaving_it_again_changes_nothing_but_renews_its_time(folder: Path) -> None:
    leave_request(str(folder.parent), ASKED)
    path = folder / ASKED.name
    os.utime(path, (time.time() - 86_400,) * 2)
    leave_request(str(folder.parent), ASKED)
    assert os.listdir(folder) == [ASKED.name]
    assert time.time() - path.stat().st_mtime < 3_600
    assert found_in(folder.parent) == [ASKED]


def test_another_serial_and_another_issuer_key_are_other_requests(folder: Path) -> None:
    names = {ASKED.name, Request(issuers=ISSUERS, serial=4712).name, Request(issuers=ISSUERS[1:], serial=4711).name}
    assert len(names) == 3


def test_without_a_folder_a_login_leaves_nothing_and_says_nothing(tmp_path: Path) -> None:
    leave_request(str(tmp_path), ASKED)
    leave_request(str(tmp_path / "none"), ASKED)
    assert os.listdir(tmp_path) == []
    assert read_requests(str(tmp_path)) == LeftRequests()


@pytest.mark.root
def test_a_folder_of_somebody_else_is_not_written(folder: Path) -> None:
    os.chown(folder, 1234, 1234)
    leave_request(str(folder.parent), ASKED)
    assert os.listdir(folder) == []


def test_a_link_in_place_of_the_folder_or_the_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "requests").symlink_to(elsewhere)
    leave_request(str(tmp_path), ASKED)
    assert os.listdir(elsewhere) == []
    (tmp_path / "requests").unlink()
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests" / ASKED.name).symlink_to(elsewhere / "target")
    leave_request(str(tmp_path), ASKED)
    assert os.listdir(elsewhere) == []


def test_at_most_so_many_requests_are_left(folder: Path) -> None:
    for number in range(REQUESTS_MAX):
        (folder / f"{number:064x}.json").touch()
    leave_request(str(folder.parent), ASKED)
    assert len(os.listdir(folder)) == REQUESTS_MAX


def test_a_request_that_is_too_large_is_not_left(folder: Path) -> None:
    issuers = ISSUERS * 100
    leave_request(str(folder.parent), Request(issuers=issuers, serial=1))
    assert os.listdir(folder) == []


# ---------------------------------------------------------------- reading what an enemy wrote

CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a key more": (lambda values: values.update(more=1), "keys"),
    "a key less": (lambda values: values.pop("serial"), "keys"),
    "a serial that is a number": (lambda values: values.update(serial=5), "serial"),
    "a negative serial": (lambda values: values.update(serial="-5"), "serial"),
    "a serial of 21 octets": (lambda values: values.update(serial="f" * 42), "serial"),
    "no issuer": (lambda values: values.update(issuers=[]), "issuer"),
    "an issuer that is no certificate": (lambda values: values.update(issuers=["MAA="]), "issuer"),
    "an issuer that is no base64": (lambda values: values.update(issuers=["!"]), "cannot be read"),
    "eleven issuers": (lambda values: values.update(issuers=values["issuers"] * 6), "cannot be read"),
    "seventeen URLs": (lambda values: values.update(crl_urls=[URL] * 17), "cannot be read"),
    "a URL of a file": (lambda values: values.update(crl_urls=["file:///etc/shadow"]), "cannot be read"),
    "a URL with a newline": (lambda values: values.update(ocsp_urls=["http://a/\r\nHost: b"]), "cannot be read"),
    "a URL that is a list": (lambda values: values.update(ocsp_urls=[[URL]]), "cannot be read"),
    "another serial than its name": (lambda values: values.update(serial="1268"), "name"),
    "another issuer than its name": (lambda values: values.update(issuers=values["issuers"][1:]), "name"),
}


@pytest.mark.parametrize(("change", "why"), CHANGES.values(), ids=CHANGES)
def test_a_request_with_one_thing_wrong_does_not_count(
    folder: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    path = rewritten(folder, change)
    left = read_requests(str(folder.parent))
    assert left.requests == ()
    (problem,) = left.problems
    assert why in problem.split("does not count: ")[1]
    assert path.exists(), "it may still be being written"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff" * 10, b"[" * 60_000, b" " * (REQUEST_BYTES_MAX + 1)])
def test_what_is_no_request_does_not_count_and_goes_when_it_is_old(folder: Path, content: bytes) -> None:
    path = folder / ASKED.name
    path.write_bytes(content)
    assert len(read_requests(str(folder.parent)).problems) == 1
    assert path.exists()
    os.utime(path, (time.time() - 7_200,) * 2)
    read_requests(str(folder.parent))
    assert not path.exists()


def test_links_pipes_folders_and_hard_links_do_not_count_and_hold_nobody_up(folder: Path) -> None:
    leave_request(str(folder.parent), ASKED)
    whole = (folder / ASKED.name).read_bytes()
    (folder / ASKED.name).rename(folder.parent / "elsewhere")
    (folder / f"{1:064x}.json").symlink_to(folder.parent / "elsewhere")
    os.mkfifo(folder / f"{2:064x}.json")
    (folder / f"{3:064x}.json").mkdir()
    os.link(folder.parent / "elsewhere", folder / ASKED.name)
    (folder / "another-name").write_bytes(whole)
    left = read_requests(str(folder.parent))
    assert left.requests == ()
    assert len(left.problems) == 5


def test_a_flood_of_files_is_read_up_to_the_bound(folder: Path) -> None:
    for number in range(REQUESTS_MAX + 5):
        (folder / f"{number:064x}.json").touch()
    left = read_requests(str(folder.parent))
    assert f"found {REQUESTS_MAX + 5} requests, read the first {REQUESTS_MAX}" in left.problems
    assert len(left.problems) == REQUESTS_MAX + 1


def test_a_request_that_is_removed_is_gone_and_removing_it_again_is_nothing(folder: Path) -> None:
    leave_request(str(folder.parent), ASKED)
    remove_request(str(folder.parent), ASKED)
    remove_request(str(folder.parent), ASKED)
    assert os.listdir(folder) == []
