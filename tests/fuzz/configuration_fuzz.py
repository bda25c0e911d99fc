# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes that somebody calls a configuration: pam_sc.toml, pam_pkcs11.conf and the rules of an sssd.conf."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pam_sc.certmap.sssd_conf import read_certmap_rules
from pam_sc.config.eventmgr import translate_eventmgr
from pam_sc.config.eventmgr_file import read_table
from pam_sc.config.loading import load
from pam_sc.config.monitoring import monitor_policy
from pam_sc.errors import PamScError
from tests.fuzz.harness import fuzz
from tests.fuzz.seeds import CONFIGURATIONS


def one_input(data: bytes, folder: Path) -> None:
    """Read it as each format."""
    for name in ("pam_sc.toml", "pam_pkcs11.conf"):
        path = folder / name
        path.write_bytes(data)
        path.chmod(0o644)
        try:
            read = load(str(path), frozenset({0, path.stat().st_uid}))
            read.policy()
            monitor_policy(read)
        except PamScError:
            pass
    try:
        text = data.decode("utf-8", "replace")
        found = translate_eventmgr(text, "eventmgr.conf")
        if not found.translation.errors():
            read_table(found, "eventmgr.conf")
    except PamScError:
        pass
    try:
        read_certmap_rules(data.decode("utf-8", "replace"), "sssd.conf")
    except PamScError:
        pass


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        where = Path(folder)
        fuzz(lambda data: one_input(data, where), CONFIGURATIONS)
