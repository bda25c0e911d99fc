# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for every test: the package is the installed one, and what needs root says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import pam_sc


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test the checkout in place of what is installed."""
    installed = Path(sys.prefix).resolve() in Path(pam_sc.__file__).resolve().parents
    if os.environ.get("PAM_SC_TEST_INSTALLED") == "1" and not installed:
        raise pytest.UsageError(f"pam_sc comes from {pam_sc.__file__}, not from {sys.prefix}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where we are not."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if "root" in item.keywords:
            item.add_marker(skip)
