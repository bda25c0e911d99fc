# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever stands in a file, the answer is a configuration or a ConfigError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.config.keys import SCHEMA
from pam_sc.config.schema import MismatchError
from pam_sc.config.toml import load
from pam_sc.errors import ConfigError
from tests.unit.config.files import TRUSTED

VOCABULARY = """
card token module path environment allow select run_as trust anchors mapper name account services remote pin mode crls
[ ] [[ ]] = " { } . , true 1 ''' # required \\u0000 1979-05-27 /a/b
"""
WORDS = st.sampled_from(["\n", *VOCABULARY.split()])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=200))
def test_no_text_raises_anything_but_a_configuration_error(file: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load_text_surrogates(file, text)


def load_text_surrogates(file: Path, text: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    file.chmod(0o644)
    load(str(file), TRUSTED)


OUTER = ["card", "token", "trust", "mapper", "account", "zz"]
INNER = ["path", "name", "module", "mode", "anchors", "environment", "x\n"]
JSON_LIKE = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "/x", "cn", "required", "\x1b[2J"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(table=st.dictionaries(st.sampled_from(OUTER), JSON_LIKE, max_size=6))
def test_no_table_gets_through_the_schema_unnoticed_or_breaks_it(table: dict[str, object]) -> None:
    found = ""
    try:
        SCHEMA.read(table, ())
    except MismatchError as mismatch:
        found = mismatch.found
    assert "\x1b" not in found
    assert found or {"token", "trust", "mapper"} <= set(table)
