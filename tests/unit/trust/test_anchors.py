# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which certificates in a file or folder become anchors and intermediates, and what makes the whole set unusable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.errors import TrustError
from pam_sc.trust.anchors import Trust, load_trust
from tests.support.pki import CertificateAuthority

TRUSTED = frozenset({0, os.getuid()})
ROOT = CertificateAuthority("Root")
OTHER = CertificateAuthority("Other Root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for anchors."""
    found = tmp_path / "anchors"
    found.mkdir(mode=0o755)
    return found


def load(path: Path, intermediates: Path | None = None) -> Trust:
    return load_trust(str(path), None if intermediates is None else str(intermediates), TRUSTED)


def names(trust: Trust) -> set[str]:
    return {anchor.text for anchor in trust.anchors}


@pytest.mark.parametrize("content", [ROOT.pem, ROOT.der, b"Root, valid to 2040\n" + ROOT.pem.replace(b"\n", b"\r\n")])
def test_one_certificate_in_pem_or_der_is_an_anchor(folder: Path, content: bytes) -> None:
    (folder / "root").write_bytes(content)
    assert names(load(folder / "root")) == {"CN=Root,O=Example"}


def test_every_certificate_of_a_bundle_is_an_anchor(folder: Path) -> None:
    (folder / "bundle.pem").write_bytes(ROOT.pem + OTHER.pem)
    assert names(load(folder / "bundle.pem")) == {"CN=Root,O=Example", "CN=Other Root,O=Example"}


def test_every_file_of_a_folder_is_read_and_each_certificate_kept_once(folder: Path) -> None:
    (folder / "a.pem").write_bytes(ROOT.pem)
    (folder / "b.der").write_bytes(ROOT.der)
    (folder / "c.0").symlink_to("a.pem")
    (folder / "d").write_bytes(OTHER.der)
    found = load(folder)
    assert len(found.anchors) == 2
    assert found.problems == ()


def test_order_of_anchors_does_not_depend_on_file_names(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for index, authority in enumerate((ROOT, OTHER)):
        (folder / f"{index}").write_bytes(authority.pem)
        (other / f"{9 - index}").write_bytes(authority.pem)
    assert load(folder).anchors == load(other).anchors


def test_intermediates_are_no_anchors(folder: Path, tmp_path: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    (tmp_path / "issuing").write_bytes(OTHER.pem)
    found = load(folder, tmp_path / "issuing")
    assert names(found) == {"CN=Root,O=Example"}
    assert [each.text for each in found.intermediates] == ["CN=Other Root,O=Example"]


def test_empty_folder_of_intermediates_is_accepted(folder: Path, tmp_path: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    (tmp_path / "none").mkdir()
    assert load(folder, tmp_path / "none").intermediates == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither PEM nor DER"),
        (b"a note for the administrator", "neither PEM nor DER"),
        (ROOT.der[:-1], "cannot be parsed"),
        (ROOT.der + b"\0", "cannot be parsed"),
        (ROOT.pem[:-10], "a PEM block is not complete"),
        (ROOT.pem.replace(b"CERTIFICATE", b"PRIVATE KEY"), "a PEM block is a 'PRIVATE KEY'"),
        (ROOT.pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "a PEM block is a 'TRUSTED CERTIFICATE'"),
        (ROOT.pem.replace(b"\nMII", b"\n\x00\xff?"), "a PEM block is not base64"),
        (OTHER.pem + ROOT.pem.replace(b"\nMII", b"\nAAA"), "cannot be parsed"),
    ],
)
def test_file_that_cannot_be_parsed_is_no_source_and_is_reported(folder: Path, content: bytes, why: str) -> None:
    (folder / "good").write_bytes(ROOT.pem)
    (folder / "odd").write_bytes(content)
    found = load(folder)
    assert names(found) == {"CN=Root,O=Example"}
    assert len(found.problems) == 1
    assert "/odd'" in found.problems[0]
    assert why in found.problems[0]


def test_folder_in_the_folder_is_reported(folder: Path) -> None:
    (folder / "good").write_bytes(ROOT.pem)
    (folder / "more").mkdir()
    assert "is a folder in a folder" in load(folder).problems[0]


# ---------------------------------------------------------------- no trust at all


def test_empty_folder_of_anchors_is_an_error(folder: Path) -> None:
    with pytest.raises(TrustError, match="found no certificate"):
        load(folder)


def test_folder_without_a_readable_anchor_is_an_error_that_says_why(folder: Path) -> None:
    (folder / "odd").write_bytes(b"junk")
    with pytest.raises(TrustError, match=r"found no certificate \(.*odd' holds no certificates"):
        load(folder)


def test_missing_path_of_anchors_is_an_error(folder: Path) -> None:
    with pytest.raises(TrustError, match="nothing': No such file"):
        load(folder / "nothing")


def test_missing_path_of_intermediates_is_an_error(folder: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    with pytest.raises(TrustError, match="nothing': No such file"):
        load(folder, folder / "nothing")


def test_link_to_nothing_is_an_error(folder: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    (folder / "lost").symlink_to("nothing")
    with pytest.raises(TrustError, match="No such file"):
        load(folder)


def test_one_anchor_that_others_can_write_is_an_error_for_all(folder: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    (folder / "loose").write_bytes(OTHER.pem)
    (folder / "loose").chmod(0o666)
    with pytest.raises(TrustError, match=r"loose': found owner .* mode 0666"):
        load(folder)


def test_folder_that_others_can_write_is_an_error(folder: Path) -> None:
    (folder / "root").write_bytes(ROOT.pem)
    folder.chmod(0o777)
    with pytest.raises(TrustError, match=r"anchors': found owner .* mode 0777"):
        load(folder)


def test_link_to_a_file_that_others_can_write_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loose").write_bytes(OTHER.pem)
    (tmp_path / "loose").chmod(0o666)
    (folder / "link").symlink_to(tmp_path / "loose")
    with pytest.raises(TrustError, match=r"loose': found owner .* mode 0666"):
        load(folder)


def test_pipe_in_the_folder_is_an_error_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    with pytest.raises(TrustError, match="found a pipe"):
        load(folder)


def test_file_larger_than_any_certificate_is_an_error(folder: Path) -> None:
    (folder / "big").write_bytes(ROOT.pem + b" " * (1 << 20))
    with pytest.raises(TrustError, match="larger than 1048576 bytes"):
        load(folder)
