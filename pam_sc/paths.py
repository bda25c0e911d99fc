# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the parts of this installation lie. Reads no file and no configuration: `pam-sc paths` works when nothing else does."""

from __future__ import annotations

from pathlib import Path

from pam_sc.config.model import DEFAULT_PATH, DEFAULT_STORE


def install_paths() -> dict[str, str]:
    """Return name and absolute path of the PAM module, the worker, the configuration and the revocation store."""
    native = Path(__file__).resolve().parent / "native"
    return {
        "module": str(native / "pam_sc.so"),
        "worker": str(native / "pam_sc_worker"),
        "config": DEFAULT_PATH,
        "store": DEFAULT_STORE,
    }
