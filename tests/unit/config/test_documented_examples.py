# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every example configuration in the documentation is one that a login would accept."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pam_sc.config.toml import load
from tests.unit.config.files import MINIMAL, TRUSTED, load_text

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = ("README.md", "docs/monitor.md", "docs/trust.md")
_BLOCK = re.compile(r"^( *)```toml\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_SHIPPED_MODULE = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

EXAMPLES = [
    pytest.param(found[2].replace("\n" + found[1], "\n"), id=f"{page}-{index}")
    for page in PAGES
    for index, found in enumerate(_BLOCK.finditer((REPOSITORY / page).read_text()))
]


def completed(example: str, module: Path) -> str:
    """The example, and what it leaves out because the page is not about it."""
    given = tomllib.loads(example)
    pieces = {
        "token": f'[[token.module]]\npath = "{module}"\n',
        "trust": '[trust]\nanchors = "/etc/pam_sc/anchors"\n',
        "mapper": '[[mapper]]\nname = "cn"\n',
    }
    return example.replace(_SHIPPED_MODULE, str(module)) + "\n" + "".join(
        piece for table, piece in pieces.items() if table not in given
    )


def test_each_page_has_examples() -> None:
    pages = {str(example.id).rpartition("-")[0] for example in EXAMPLES}
    assert pages == set(PAGES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_loads(file: Path, module: Path, example: str) -> None:
    assert load_text(file, completed(example, module)).source == str(file)


def test_an_example_is_completed_only_where_it_says_nothing(file: Path, module: Path) -> None:
    assert completed("", module).count("[") == MINIMAL.count("[")
    file.write_text(completed("[revocation]\nmoed = 'named'\n", module))
    file.chmod(0o644)
    with pytest.raises(Exception, match="moed"):
        load(str(file), TRUSTED)


def test_every_setting_of_trust_and_revocation_is_on_the_page() -> None:
    from pam_sc.config.keys import LOOKUP, TRUST

    page = (REPOSITORY / "docs/trust.md").read_text()
    assert [name for name in (*LOOKUP, *TRUST.keys) if name not in page] == []
