# SPDX-License-Identifier: LGPL-2.1-or-later
"""The targets of `make fuzz` that are written in Python, on their seeds and a little noise: they must run to find anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import certificate_fuzz, configuration_fuzz, mapfile_fuzz, seeds

few = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """One of these with a few bytes changed, put in or cut off."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@few
@given(damaged(list(seeds.certificates())))
def test_no_certificate_brings_anything_but_our_own_errors(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    certificate_fuzz.one_input(data, certificate_fuzz.mappers(tmp_path_factory.mktemp("certificate")))


@few
@given(damaged(list(seeds.MAPFILES)))
def test_no_mapfile_brings_anything_but_our_own_errors(tmp_path: Path, data: bytes) -> None:
    mapfile_fuzz.one_input(data, tmp_path / "mapfile")


@few
@given(damaged(list(seeds.CONFIGURATIONS)))
def test_no_configuration_brings_anything_but_our_own_errors(tmp_path: Path, data: bytes) -> None:
    configuration_fuzz.one_input(data, tmp_path)
