# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configuration files for tests: the smallest, the whole, and what loading one says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.config.model import Configuration
from pam_sc.config.toml import load
from pam_sc.errors import ConfigError

MINIMAL = """\
[[token.module]]
path = "{module}"
[trust]
anchors = "/etc/pam_sc/anchors"
[[mapper]]
name = "cn"
"""

WHOLE = """\
card = "required"
[[token.module]]
path = "{module}"
environment = {{ SOFTHSM2_CONF = "/etc/softhsm/softhsm2.conf" }}
allow = ["getpeername"]
[token]
select = "pkcs11:token=login"
run_as = "readers"
[trust]
anchors = "/etc/pam_sc/anchors"
intermediates = "/etc/pam_sc/intermediates"
[revocation]
mode = "require"
crls = "/etc/pam_sc/crls"
[account]
allow_root = true
card_names_user = ["login"]
services = ["login", "sudo"]
remote = "allow"
[pin]
allow_last_try = true
[[mapper]]
name = "cn"
mapfile = "/etc/pam_sc/cn_map"
ignore_case = true
"""

TRUSTED = frozenset({0, os.getuid()})


def load_text(file: Path, text: str) -> Configuration:
    file.write_text(text)
    file.chmod(0o644)
    return load(str(file), TRUSTED)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(file, text)
    return str(caught.value).replace(str(file), "FILE")
