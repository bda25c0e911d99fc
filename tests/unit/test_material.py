# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the configuration names as rules for one CA holds for that CA, once, and for no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.config.model import CaSettings, LookupSettings, RevocationSettings
from pam_sc.decision.policy import RevocationMode
from pam_sc.errors import TrustError
from pam_sc.material import load_revocation
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.revocation import RevocationSources
from tests.support.pki import CertificateAuthority

ROOT = CertificateAuthority("Root")
ISSUING, OTHER = ROOT.subordinate("Issuing"), ROOT.subordinate("Other")
RENEWED, NAMESAKE = ROOT.subordinate("Issuing"), ROOT.subordinate("Issuing")
OFF, REQUIRE, NAMED = RevocationMode.OFF, RevocationMode.REQUIRE, RevocationMode.NAMED


def loaded(folder: Path, *files: tuple[RevocationMode, tuple[CertificateAuthority, ...]]) -> RevocationSources:
    """Load a configuration with one [[revocation.ca]] for each file."""
    authorities = []
    for index, (mode, inside) in enumerate(files):
        path = folder / f"{index}.pem"
        path.write_bytes(b"".join(each.pem for each in inside))
        authorities.append(CaSettings(
            name=str(index), certificate=str(path), lookup=LookupSettings(mode=mode), where=f"revocation.ca[{index}]"
        ))  # fmt: skip
    settings = RevocationSettings(store=str(folder / "store"), authorities=tuple(authorities))
    return load_revocation(settings, frozenset({0, os.getuid()}))


def mode_of(sources: RevocationSources, issuer: CertificateAuthority) -> RevocationMode:
    found = read_path_certificate(issuer.der)
    assert isinstance(found, PathCertificate)
    return sources.rules_for(found).rules.mode


def test_rules_of_a_ca_hold_for_its_name_with_the_keys_of_the_file_alone(tmp_path: Path) -> None:
    sources = loaded(tmp_path, (OFF, (ISSUING, RENEWED)), (REQUIRE, (OTHER,)))
    assert [mode_of(sources, each) for each in (ISSUING, RENEWED, OTHER)] == [OFF, OFF, REQUIRE]
    assert [mode_of(sources, each) for each in (NAMESAKE, ROOT)] == [NAMED, NAMED]


def test_a_ca_with_two_sets_of_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=r"revocation\.ca\[1\]: .*Issuing.* has rules of another \[\[revocation\.ca\]\]"):
        loaded(tmp_path, (OFF, (ISSUING,)), (REQUIRE, (RENEWED, ISSUING)))


def test_the_whole_path_in_the_file_of_one_ca_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=r"revocation\.ca\[0\]: .* expected one name"):
        loaded(tmp_path, (OFF, (ISSUING, ROOT)))
