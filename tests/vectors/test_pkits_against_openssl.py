# SPDX-License-Identifier: LGPL-2.1-or-later
"""NIST PKITS held against OpenSSL's own CRL checking: where it refuses, we refuse, but for what is explained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.openssl_oracle import OpenSslQuestion, ask_command, ask_library
from tests.vectors.test_pkits import AT, DATA, TABLE, TESTS, each_test, stage, verified

INDIRECT = ("4.14.24", "4.14.25", "4.14.28", "4.14.29", "4.14.33")
"""OpenSSL looks for CRLs in a store by the name of the certificate's issuer, and so finds no indirect one."""
CIRCLE = "4.14.30"
"""The signer of an indirect CRL is covered by that CRL alone, which OpenSSL does not count."""


def asked_about(test: dict[str, Any]) -> OpenSslQuestion:
    def read(kind: str, name: str) -> bytes:
        return (DATA / kind / name).read_bytes()

    return OpenSslQuestion(
        leaf=read("certs", test["cert"]),
        anchor=read("certs", TABLE["anchor"]),
        others=[read("certs", name) for name in test["intermediates"]],
        crls=[read("crls", name) for name in test["crls"]],
        at=AT,
    )


def is_accepted(test: dict[str, Any], folder: Path) -> bool:
    intermediates = stage(folder / "intermediates", "certs", test["intermediates"])
    return verified(test, intermediates, stage(folder / "crls", "crls", test["crls"])).failure is None


@each_test
def test_where_openssl_refuses_we_refuse(test: dict[str, Any], tmp_path: Path) -> None:
    if ask_library(asked_about(test)) is not None and test["id"] not in (*INDIRECT, CIRCLE):
        assert not is_accepted(test, tmp_path)


@pytest.mark.parametrize("name", INDIRECT)
def test_openssl_accepts_indirect_crls_that_are_handed_to_it(name: str, tmp_path: Path) -> None:
    test = by_id(name)
    assert ask_library(asked_about(test)) is not None
    assert ask_command(asked_about(test)) is None
    assert is_accepted(test, tmp_path)


def test_openssl_accepts_the_circle_where_it_asks_about_the_leaf_alone(tmp_path: Path) -> None:
    asked = asked_about(by_id(CIRCLE))
    assert ask_command(asked) is not None
    assert ask_command(replace(asked, check_all=False)) is None
    assert is_accepted(by_id(CIRCLE), tmp_path)


def by_id(name: str) -> dict[str, Any]:
    return next(test for test in TESTS if test["id"] == name)
