# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lint says of a configuration, in tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint import lint
from pam_sc.config.model import Configuration
from tests.support.pki import now

UIDS = {"pam_sc": 990, "pam_sc_card": 991}
NAMES = {each: each for each in ("alice", "bob", "@admins", "@staff")} | {"Alice": "alice", "@Staff": "@staff"}
"""What the name service calls them; it does not mind upper case."""
OWNERS = frozenset({0, os.getuid()})


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def findings(
    configuration: Configuration, uids: Mapping[str, int] = UIDS, owners: frozenset[int] = OWNERS
) -> list[Finding]:
    return list(lint(configuration, at=now(), find_uid=uids.get, find_name=NAMES.get, owners=owners))


def only(
    configuration: Configuration, uids: Mapping[str, int] = UIDS, owners: frozenset[int] = OWNERS
) -> tuple[Weight, str, str]:
    (finding,) = findings(configuration, uids, owners)
    return finding.severity, finding.where, finding.text
