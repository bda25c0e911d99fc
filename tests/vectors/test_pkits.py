# SPDX-License-Identifier: LGPL-2.1-or-later
"""NIST PKITS: each of its 249 paths is trusted or refused as NIST says, and refused for the reason in pkits.json.

Each is judged with its own files, and once more with every certificate and CRL of the suite at hand. 4.1.5 needs DSA
parameters that are inherited from the issuer, which nothing here can verify: it is the one that is refused though valid.
"""

from __future__ import annotations

import collections
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest

from pam_sc.cli.verification import Question, Verification, verify_certificate
from pam_sc.decision.policy import (
    ANY_POLICY,
    Algorithms,
    PathInputs,
    Policy,
    RevocationMode,
    RevocationRules,
    RevocationSource,
)

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
TABLE = json.loads((Path(__file__).parent / "pkits.json").read_text())
TESTS: list[dict[str, Any]] = TABLE["tests"]
AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""The suite is valid from 2010 to 2030."""
WAIVED = "4.1.5"
INPUTS = ("policies", "explicit_policy", "inhibit_policy_mapping", "inhibit_any_policy")

each_test = pytest.mark.parametrize("test", TESTS, ids=lambda test: test["id"])


def stage(folder: Path, kind: str, names: list[str]) -> str:
    """A folder with these files of the suite."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).symlink_to(DATA / kind / name)
    return str(folder)


def policy_of(test: dict[str, Any]) -> Policy:
    flags = {key: test[key] for key in INPUTS[1:] if key in test}
    policies = frozenset(test.get("policies", {ANY_POLICY}))
    return Policy(
        algorithms=Algorithms.ANY,
        path=PathInputs(policies=policies, any_leaf=True, **flags),
        revocation=RevocationRules(mode=RevocationMode.REQUIRE, sources=(RevocationSource.CRL,)),
    )


def verified(test: dict[str, Any], intermediates: str, crls: str) -> Verification:
    return verify_certificate(Question(
        certificate=str(DATA / "certs" / test["cert"]),
        anchors=str(DATA / "certs" / TABLE["anchor"]),
        intermediates=intermediates,
        crls=crls,
        policy=policy_of(test),
        at=AT,
    ))  # fmt: skip


def expect(test: dict[str, Any], found: Verification) -> None:
    """Assert the verdict that NIST wants, and of a refusal the reason."""
    if test["valid"] and test["id"] != WAIVED:
        assert found.failure is None
        return
    assert found.failure is not None
    assert found.failure.reason.value == test["reason"]
    assert test["because"] in found.failure.detail


@each_test
def test_path_is_trusted_or_refused_as_nist_says(test: dict[str, Any], tmp_path: Path) -> None:
    intermediates = stage(tmp_path / "intermediates", "certs", test["intermediates"])
    expect(test, verified(test, intermediates, stage(tmp_path / "crls", "crls", test["crls"])))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders with every certificate of an authority and every CRL that any of the tests names."""
    folder = tmp_path_factory.mktemp("pool")
    certificates = sorted({name for test in TESTS for name in test["intermediates"]})
    crls = sorted({name for test in TESTS for name in test["crls"]})
    return stage(folder / "intermediates", "certs", certificates), stage(folder / "crls", "crls", crls)


@each_test
def test_path_is_trusted_or_refused_as_nist_says_among_all_files(test: dict[str, Any], pool: tuple[str, str]) -> None:
    found = verified(test, *pool)
    if test["valid"] and test["id"] != WAIVED:
        assert found.failure is None
    else:
        assert found.failure is not None
        assert found.failure.reason.value == test["reason"]


def test_the_command_answers_the_whole_suite_in_one_batch(tmp_path: Path) -> None:
    entries = []
    for test in TESTS:
        here = tmp_path / test["id"]
        entries.append({
            "id": test["id"],
            "anchors": str(DATA / "certs" / TABLE["anchor"]),
            "cert": str(DATA / "certs" / test["cert"]),
            "intermediates": stage(here / "intermediates", "certs", test["intermediates"]),
            "crls": stage(here / "crls", "crls", test["crls"]),
            "at_time": AT.isoformat(),
            **{key: test[key] for key in INPUTS if key in test},
        })  # fmt: skip
    command = [sys.executable, "-P", "-c", "from pam_sc.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "verify", "--batch", "--algorithms", "any"],
        input=json.dumps(entries), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    answers = {answer["id"]: answer for answer in json.loads(done.stdout)}
    assert {name for name, answer in answers.items() if answer["trusted"] is not by_id(name)["valid"]} == {WAIVED}
    assert {name: answer["reason"] for name, answer in answers.items() if not answer["trusted"]} == {
        test["id"]: test["reason"] for test in TESTS if not test["valid"] or test["id"] == WAIVED
    }


def by_id(name: str) -> dict[str, Any]:
    return next(test for test in TESTS if test["id"] == name)


def test_the_table_is_the_whole_suite() -> None:
    assert collections.Counter(test["valid"] for test in TESTS) == {True: 114, False: 135}
    assert len({test["id"] for test in TESTS}) == 249
    assert sum(any(key in test for key in INPUTS) for test in TESTS) == 35
