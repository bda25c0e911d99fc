# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page of the mapper `ldap`: its examples load, every option and every reason has its line."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from pam_sc.decision.reasons import Reason
from pam_sc.directory import DIRECTORY_KEYS
from pam_sc.directory_match import ITEMS
from pam_sc.mappers.ldap import OWN_KEYS
from pam_sc.mapping import load_mappers
from tests.support.pki import CertificateAuthority

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "mappers" / "ldap.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_loads(example: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CertificateAuthority().pem)
    (table,) = tomllib.loads(example)["mapper"]
    table["ca"] = str(tmp_path / "ca.pem")
    load_mappers([(table.pop("name"), table, "here")], frozenset({0, os.getuid()}))


def test_every_option_has_its_line_and_no_other_has() -> None:
    tables = re.findall(r"^\| option \| default \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for table in tables for line in table.splitlines()[2:] if line]
    described = [each for line in lines for each in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(described) == sorted({"uri", *DIRECTORY_KEYS, *OWN_KEYS})


def test_every_item_and_every_reason_is_named() -> None:
    assert all(f"`{item}`" in PAGE for item in (*ITEMS, "cert"))
    assert all(f"| `{each.value}` |" in PAGE for each in Reason if each.value.startswith("directory-"))
