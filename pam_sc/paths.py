# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the parts of this installation lie. Reads no file and no configuration: `pam-sc paths` works when nothing else does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pam_sc.config.model import DEFAULT_PATH

STORE = "/var/lib/pam_sc/revocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPaths:
    """Absolute paths of the PAM module, the worker, the configuration and the revocation store."""

    module: str
    worker: str
    config: str = DEFAULT_PATH
    store: str = STORE


def install_paths() -> InstallPaths:
    """Return where this installation is: the native parts lie in the package itself."""
    native = Path(__file__).resolve().parent / "native"
    return InstallPaths(module=str(native / "pam_sc.so"), worker=str(native / "pam_sc_worker"))
