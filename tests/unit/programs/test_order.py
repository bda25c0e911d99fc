# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which programs there are and as whom they run, as it is planned while there is root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from typing import Any

import pytest

from pam_sc.errors import ConfigError
from pam_sc.programs.messages import ProgramAccount, Setup
from pam_sc.programs.order import plan_programs

NOBODY = pwd.getpwnam("nobody")


def plan(*tables: Mapping[str, Any], privileged: bool = True, taken: tuple[str, ...] = ()) -> Setup | None:
    return plan_programs([(table, f"conf:{n}") for n, table in enumerate(tables)], privileged=privileged, taken=taken)


def test_without_such_a_mapper_there_is_no_runner() -> None:
    assert plan() is None


def test_programs_run_as_nobody_unless_told_otherwise() -> None:
    setup = plan({"program": ["/a", "b"]}, {"program": ["/c"], "timeout": 5})
    assert setup is not None
    assert setup.programs == (("/a", "b"), ("/c",))
    assert setup.account is not None
    assert (setup.account.uid, setup.account.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert 0 not in setup.account.groups


def test_without_privilege_there_is_no_account_to_become() -> None:
    assert plan({"program": ["/a"], "run_as": "missing"}, privileged=False) == Setup(None, (("/a",),))


@pytest.mark.parametrize(("table", "message"), [
    ({"run_as": "missing-account"}, "conf:0: run_as is 'missing-account', but there is no such account"),
    ({"run_as": "root"}, "conf:0: run_as is 'root'"),
    ({"program": "x"}, "conf:0: program is 'x'"),
    ({"timeout": 99}, "conf:0: timeout is 99"),
])
def test_a_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan({"program": ["/a"], **table})


def test_an_account_of_another_process_of_the_login_is_refused() -> None:
    with pytest.raises(ConfigError, match="the account of another process of a login"):
        plan({"program": ["/a"]}, taken=("missing-account", "nobody"))


def test_an_account_in_the_group_of_root_by_its_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for change in ({2: 0}, {3: 0}):
        entry = pwd.struct_passwd(change.get(n, each) for n, each in enumerate(NOBODY))
        monkeypatch.setattr("pwd.getpwnam", lambda name, entry=entry: entry)
        with pytest.raises(ConfigError, match="expected neither to be 0"):
            plan({"program": ["/a"]})


def test_two_accounts_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="conf:1: run_as is 'daemon', expected 'nobody' as conf:0 has it"):
        plan({"program": ["/a"]}, {"program": ["/b"], "run_as": "daemon"})


def test_there_are_not_endlessly_many_programs() -> None:
    assert plan(*[{"program": [f"/{n}"]} for n in range(32)]) is not None
    with pytest.raises(ConfigError, match="conf:32: more than 32"):
        plan(*[{"program": [f"/{n}"]} for n in range(33)])


def test_groups_of_the_account_come_along_but_for_root() -> None:
    setup = plan({"program": ["/a"]})
    assert setup is not None
    expected = tuple(gid for gid in os.getgrouplist("nobody", NOBODY.pw_gid) if gid)
    assert setup.account == ProgramAccount(NOBODY.pw_uid, NOBODY.pw_gid, expected)
