# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 module that can be trusted, and the place of a configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.so"
    path.write_bytes(b"")
    path.chmod(0o644)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pam_sc.toml"
