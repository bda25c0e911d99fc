# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is prepared as root for the mappers: secrets and which homes are read, and nothing where nobody needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.model import (
    AccountSettings,
    Configuration,
    MapperSettings,
    ModuleSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.decision.request import Request
from pam_sc.homes import HomeOrder
from pam_sc.preparation import HomePlan, Prepared, prepare

OWN = frozenset({0, os.getuid()})
KEYS = ".ssh/authorized_keys"


def configuration(*mappers: tuple[str, Mapping[str, Any]], account: AccountSettings | None = None) -> Configuration:
    return Configuration(
        source="test",
        token=TokenSettings(modules=(ModuleSettings(path="/module.so"),)),
        trust=TrustSettings(anchors="/anchors"),
        account=account or AccountSettings(),
        mappers=tuple(MapperSettings(name=name, table=table, where="test") for name, table in mappers),
    )


def request(account: str | None = "alice", *, service: str = "login", uids: tuple[int, int, int] = (0, 0, 0)) -> Request:
    return Request(service=service, account=account, real_uid=uids[0], effective_uid=uids[1], saved_uid=uids[2])


def homes(*mappers: tuple[str, Mapping[str, Any]], asked: Request | None = None) -> HomePlan | None:
    return prepare(configuration(*mappers), asked or request(), OWN).homes


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret of the directory")
    path.chmod(0o600)
    return path


# Nothing


def test_a_configuration_whose_mappers_need_nothing_prepares_nothing() -> None:
    assert prepare(configuration(("cn", {"password_file": "/x"}), ("digest", {})), request(), OWN) == Prepared()


def test_a_login_without_such_mappers_imports_nothing_for_them() -> None:
    program = (
        "import sys; from tests.unit.test_preparation import *; "
        "[sys.modules.pop(name) for name in ('pam_sc.homes', 'pam_sc.decision.home_files')]; "
        "prepare(configuration(('cn', {})), request(), OWN); "
        "print([name for name in sys.modules if name in ('pam_sc.homes', 'pam_sc.decision.home_files')])"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), root])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"


# Secrets


@pytest.mark.parametrize("key", ["password_file", "client_certificate", "client_key"])
def test_secrets_of_the_mapper_ldap_are_kept_by_path(secret: Path, key: str) -> None:
    prepared = prepare(configuration(("ldap", {key: str(secret)})), request(), OWN)
    assert (prepared.secrets, prepared.unreadable) == ({str(secret): b"secret of the directory"}, {})
    assert "secret of" not in repr(prepared)


def test_secrets_of_the_directory_of_the_mapper_rules_are_kept_by_path(secret: Path) -> None:
    prepared = prepare(configuration(("rules", {"ldap": {"password_file": str(secret)}})), request(), OWN)
    assert prepared.secrets == {str(secret): b"secret of the directory"}


def test_a_secret_that_its_group_may_read_counts(secret: Path) -> None:
    secret.chmod(0o640)
    assert prepare(configuration(("ldap", {"password_file": str(secret)})), request(), OWN).secrets


@pytest.mark.parametrize("mode", [0o604, 0o601, 0o620, 0o602])
def test_a_secret_that_others_may_read_or_its_group_change_is_remembered_as_unreadable(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    prepared = prepare(configuration(("ldap", {"password_file": str(secret)})), request(), OWN)
    assert prepared.secrets == {}
    assert f"mode {mode:04o}" in prepared.unreadable[str(secret)]


def test_a_secret_that_is_missing_is_remembered_as_unreadable(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    prepared = prepare(configuration(("ldap", {"password_file": path})), request(), OWN)
    assert prepared.secrets == {}
    assert prepared.unreadable[path] == f"cannot read {path!r}: No such file or directory"


@pytest.mark.parametrize("table", [{"password_file": 7}, {"password_file": ["/x"]}, {"ldap": {"password_file": "/x"}}])
def test_a_wrong_table_is_left_to_the_mapper(table: Mapping[str, Any]) -> None:
    assert prepare(configuration(("ldap", table), ("rules", {"ldap": "x"})), request(), OWN) == Prepared()


# Homes


def test_the_requested_account_and_the_paths_of_both_mappers_are_ordered() -> None:
    plan = homes(("openssh", {}), ("opensc", {}), ("openssh", {"file": "keys"}), ("openssh", {}))
    paths = (KEYS, ".eid/authorized_certificates", "keys")
    assert plan == HomePlan(order=HomeOrder(paths=paths, account="alice"), may_scan=False)


def test_root_is_ordered_only_where_the_configuration_allows_root() -> None:
    plan = prepare(configuration(("openssh", {}), account=AccountSettings(allow_root=True)), request(), OWN).homes
    assert plan is not None
    assert plan.order == HomeOrder(paths=(KEYS,), account="alice", allow_root=True)


def test_a_caller_who_names_nobody_means_its_own_account() -> None:
    plan = homes(("openssh", {}), asked=request(None, service="swaylock", uids=(1000, 1000, 1000)))
    assert plan == HomePlan(order=HomeOrder(paths=(KEYS,), uid=1000), may_scan=False)


def test_a_card_that_names_the_account_opens_no_home() -> None:
    assert homes(("openssh", {}), asked=request(None)) == HomePlan(order=None, may_scan=False)


def test_a_card_that_names_the_account_may_have_homes_scanned_where_the_mapper_says_so() -> None:
    plan = homes(("openssh", {"scan_homes": True}), asked=request(None))
    assert plan == HomePlan(order=HomeOrder(paths=(KEYS,), everybody=True), may_scan=True)


def test_homes_are_not_scanned_where_an_account_is_asked_for() -> None:
    plan = homes(("openssh", {"scan_homes": True}))
    assert plan == HomePlan(order=HomeOrder(paths=(KEYS,), account="alice"), may_scan=False)


@pytest.mark.parametrize(
    "asked", [request(service="sudo"), request(service="xlock", uids=(1000, 0, 0))], ids=["sudo", "setuid"]
)
def test_no_home_is_opened_for_a_request_that_must_not_believe_it(asked: Request) -> None:
    assert homes(("openssh", {}), asked=asked) == HomePlan(order=None, may_scan=False)


def test_only_the_file_that_is_believed_for_the_service_is_ordered() -> None:
    plan = homes(("openssh", {"believed_for": ["sudo"]}), ("opensc", {}), asked=request(service="sudo"))
    assert plan == HomePlan(order=HomeOrder(paths=(KEYS,), account="alice"), may_scan=False)


@pytest.mark.parametrize("path", ["/etc/keys/%u", "../x", "a//b", "a/./b", "", "a/../b", "a\nb", "x" * 256, 7])
def test_a_path_that_is_none_in_a_home_is_not_ordered(path: object) -> None:
    assert homes(("openssh", {"file": path})) == HomePlan(order=None, may_scan=False)


def test_the_administrators_files_may_be_scanned_without_opening_any_home() -> None:
    table = {"file": "/etc/keys/%u", "scan_homes": True}
    assert homes(("openssh", table), asked=request(None)) == HomePlan(order=None, may_scan=True)
    assert homes(("openssh", table)) == HomePlan(order=None, may_scan=False)


def test_a_mapper_that_does_not_scan_is_not_ordered_beside_one_that_does() -> None:
    plan = homes(("openssh", {"scan_homes": True}), ("opensc", {}), asked=request(None))
    assert plan == HomePlan(order=HomeOrder(paths=(KEYS,), everybody=True), may_scan=True)
