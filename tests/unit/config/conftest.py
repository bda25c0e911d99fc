# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module that can be trusted, the place of a configuration file, and a configuration without findings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_sc.config.model import (
    Configuration,
    MapperSettings,
    ModuleSettings,
    RevocationSettings,
    TokenSettings,
    TrustSettings,
)
from tests.support.pki import CertificateAuthority
from tests.unit.config.findings import write


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.so"
    path.write_bytes(b"")
    path.chmod(0o644)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pam_sc.toml"


@pytest.fixture(scope="package")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def good(place: Path, authority: CertificateAuthority) -> Configuration:
    """A configuration without findings."""
    for name, content in (("anchors", authority.pem), ("crls", authority.crl())):
        (place / name).mkdir()
        (place / name).chmod(0o755)
        write(place / name / "one.pem", content)
    (place / "store").mkdir()
    (place / "store").chmod(0o755)
    write(place / "map", b"Alice -> alice\n")
    return Configuration(
        source="/etc/pam_sc/pam_sc.toml",
        token=TokenSettings(modules=(ModuleSettings(path="/m.so"),)),
        trust=TrustSettings(anchors=str(place / "anchors")),
        revocation=RevocationSettings(crls=str(place / "crls"), store=str(place / "store")),
        mappers=(MapperSettings(name="cn", table={"mapfile": str(place / "map")}, where=""),),
    )
