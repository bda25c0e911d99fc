# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each side of the card channel brings into its process."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("module", "absent"), [
    ("pam_sc.card.client", {"PyKCS11", "pam_sc.card.module", "pam_sc.card.serve"}),
    ("pam_sc.card.serve", {"cryptography", "OpenSSL", "smartcard", "pam_sc.card.client", "pam_sc.trust", "pam_sc.config"}),
])
def test_a_side_does_not_import_what_belongs_to_the_other(module: str, absent: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert module in loaded
    assert not absent & set(loaded)
