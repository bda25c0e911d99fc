# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pam-sc paths prints."""

from __future__ import annotations

from pathlib import Path

import pam_sc
from pam_sc.paths import install_paths


def test_native_parts_lie_in_the_installed_package() -> None:
    native = Path(pam_sc.__file__).resolve().parent / "native"
    paths = install_paths()
    assert list(paths) == ["module", "worker", "config", "store"]
    assert (paths["module"], paths["worker"]) == (str(native / "pam_sc.so"), str(native / "pam_sc_worker"))


def test_configuration_and_store_have_their_fixed_places() -> None:
    paths = install_paths()
    assert (paths["config"], paths["store"]) == ("/etc/pam_sc/pam_sc.toml", "/var/lib/pam_sc/revocation")
