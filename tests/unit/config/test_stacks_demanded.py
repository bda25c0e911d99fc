# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of which a configuration demands a card: each that lets somebody past is an error, its near misses are clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.model import DEFAULT_PATH, AccountSettings, Configuration, TokenSettings, TrustSettings
from pam_sc.config.toml import Read
from pam_sc.decision.policy import Members, Otherwise, UnlockRules
from pam_sc.record import replace

PLAIN = Configuration(
    source=DEFAULT_PATH, token=TokenSettings(modules=()), trust=TrustSettings(anchors="/anchors"), mappers=()
)
REQUIRED = replace(PLAIN, card_required=True)
ADMINS = replace(PLAIN, account=AccountSettings(must_use=Members(accounts=frozenset({"alice"}), groups=frozenset({"admins"}))))
ACCOUNT = "account required pam_sc.so\n"
COMMON = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"


def check(folder: Path, whole: Configuration = PLAIN, **services: Configuration) -> list[Finding]:
    return list(check_stack(str(folder), Read(whole, services)))


def stack(folder: Path, service: str, auth: str) -> None:
    (folder / service).write_text(auth + ACCOUNT)


ENFORCING = ["required", "requisite", "[success=done default=die]", "[success=ok default=bad]"]
LEAKY = {
    "sufficient": "auth_err",
    "optional": "auth_err",
    "[success=ok default=ignore]": "auth_err",
    "[success=done authinfo_unavail=ignore maxtries=ignore default=die]": "maxtries",
}


@pytest.mark.parametrize("control", ENFORCING)
def test_a_control_that_refuses_is_clean(tmp_path: Path, control: str) -> None:
    stack(tmp_path, "sudo", f"auth {control} pam_sc.so\n{COMMON}")
    assert check(tmp_path, sudo=REQUIRED) == []


@pytest.mark.parametrize("control", LEAKY)
@pytest.mark.parametrize("line", ["@include common-auth", "auth include common-auth", "auth substack common-auth"])
def test_a_control_that_lets_a_refusal_pass_is_an_error_wherever_the_later_module_stands(
    tmp_path: Path, control: str, line: str
) -> None:
    (tmp_path / "common-auth").write_text(COMMON)
    stack(tmp_path, "sudo", f"auth {control} pam_sc.so timeout=9\n{line}\n")
    assert check(tmp_path, sudo=REQUIRED) == [Finding(
        Weight.ERROR, f"{tmp_path}/sudo:1",
        f"{control} cannot enforce a card: when pam_sc.so returns {LEAKY[control]}, pam_unix.so ({tmp_path}/common-auth:1) can"
        ' still grant, but the configuration says card = "required" for sudo; write: auth [success=done default=die] pam_sc.so'
        " timeout=9",
    )]  # fmt: skip


def test_a_demand_of_one_service_is_none_of_another(tmp_path: Path) -> None:
    stack(tmp_path, "common-auth", f"auth sufficient pam_sc.so\n{COMMON}")
    for service in ("su", "sudo"):
        stack(tmp_path, service, "@include common-auth\n")
    found = [each for each in check(tmp_path, sudo=REQUIRED) if each.severity is Weight.ERROR]
    assert [each.where for each in found] == [f"{tmp_path}/common-auth:1"]
    assert "for sudo" in found[0].text
    assert [each.severity for each in check(tmp_path)] == [Weight.NOTE]


def test_accounts_that_must_use_a_card_are_named_and_others_keep_their_password(tmp_path: Path) -> None:
    stack(tmp_path, "login", f"auth sufficient pam_sc.so\n{COMMON}")
    (finding,) = check(tmp_path, ADMINS)
    assert finding.severity is Weight.ERROR
    assert finding.text.endswith(
        "can still grant, but the configuration says must_use = [alice, @admins]; write: auth [success=done"
        " authinfo_unavail=ignore default=die] pam_sc.so"
    )
    stack(tmp_path, "login", f"auth [success=done authinfo_unavail=ignore default=die] pam_sc.so\n{COMMON}")
    assert check(tmp_path, ADMINS) == []


@pytest.mark.parametrize(("jump", "wheres"), [(1, []), (2, ["login:1"]), (3, ["login:1"])])
def test_a_jump_before_the_card_counts_where_it_leads_past_it(tmp_path: Path, jump: int, wheres: list[str]) -> None:
    stack(tmp_path, "login", f"auth [success={jump} default=ignore] pam_succeed_if.so\n"
          "auth optional pam_faildelay.so\nauth required pam_sc.so\nauth required pam_env.so\n")  # fmt: skip
    found = check(tmp_path, REQUIRED)
    assert [(each.severity, each.where) for each in found] == [(Weight.ERROR, f"{tmp_path}/{each}") for each in wheres]


def test_to_be_passed_over_by_configuration_lets_a_later_module_grant(tmp_path: Path) -> None:
    ignoring = replace(REQUIRED, unlock=UnlockRules(same_card=True, otherwise=Otherwise.IGNORE))
    for service in ("vlock", "sudo"):
        stack(tmp_path, service, f"auth required pam_sc.so\n{COMMON}")
    (finding,) = check(tmp_path, ignoring)
    assert (finding.severity, finding.where) == (Weight.ERROR, f"{tmp_path}/vlock:1")
    assert "returns ignore" in finding.text
    for unlock in (UnlockRules(otherwise=Otherwise.IGNORE), UnlockRules(same_card=True, otherwise=Otherwise.REFUSE)):
        assert check(tmp_path, replace(REQUIRED, unlock=unlock)) == []


# ---------------------------------------------------------------- nobody asks for a card


@pytest.mark.parametrize("auth", ["auth required pam_unix.so\n", "-account required pam_sc.so\n", ""])
def test_a_service_that_must_ask_for_a_card_and_does_not_is_an_error(tmp_path: Path, auth: str) -> None:
    (tmp_path / "sudo").write_text(auth)
    assert check(tmp_path, sudo=REQUIRED) == [Finding(
        Weight.ERROR, f"{tmp_path}/sudo",
        'names no pam_sc.so for auth, but the configuration says card = "required" for sudo; write there: auth [success=done'
        " default=die] pam_sc.so",
    )]  # fmt: skip
    assert check(tmp_path, sudo=PLAIN) == []


def test_a_service_that_must_ask_for_a_card_and_has_no_stack_is_an_error(tmp_path: Path) -> None:
    (finding,) = check(tmp_path, sudo=REQUIRED)
    assert (finding.severity, finding.where) == (Weight.ERROR, f"{tmp_path}/sudo")
    assert finding.text.startswith("does not exist, so libpam takes the stack of `other`, but the configuration says")


def test_each_service_in_which_alone_a_card_counts_must_ask_for_one(tmp_path: Path) -> None:
    listed = replace(REQUIRED, account=AccountSettings(services=frozenset({"sudo", "login"})))
    stack(tmp_path, "login", "auth required pam_sc.so\n")
    for service in ("sudo", "su"):
        stack(tmp_path, service, "auth required pam_unix.so\n")
    (tmp_path / "sudo").write_text("auth required pam_unix.so\n")
    assert [(each.severity, each.where) for each in check(tmp_path, listed)] == [(Weight.ERROR, f"{tmp_path}/sudo")]


def test_the_ways_in_that_ask_for_no_card_are_named_where_one_is_demanded_everywhere(tmp_path: Path) -> None:
    stack(tmp_path, "login", "auth required pam_sc.so\n")
    for service in ("sshd", "su", "cron"):
        (tmp_path / service).write_text("auth required pam_unix.so\n")
    assert check(tmp_path, REQUIRED, su=PLAIN) == [Finding(
        Weight.WARNING, str(tmp_path),
        'the configuration says card = "required", but no card is asked for in sshd: their stacks name no pam_sc.so',
    )]  # fmt: skip


# ---------------------------------------------------------------- waiting, account, session


@pytest.mark.parametrize(("service", "warned"), [("swaylock", True), ("sshd", True), ("login", False), ("sudo", False)])
def test_waiting_where_nobody_can_read_of_it_is_a_warning(tmp_path: Path, service: str, warned: bool) -> None:
    stack(tmp_path, service, "auth required pam_sc.so\n")
    found = [(each.severity, each.text) for each in check(tmp_path, replace(PLAIN, wait_s=30))]
    assert found == [(
        Weight.WARNING, f"{service} shows texts late or never, so that nobody knows that a card is waited for; write"
        f" [service.{service}] wait = 0",
    )] * warned  # fmt: skip
    assert check(tmp_path, replace(PLAIN, wait_s=30), **{service: PLAIN}) == []


def test_a_stack_without_an_account_line_is_noted(tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text("auth required pam_sc.so\n")
    (finding,) = check(tmp_path)
    assert (finding.severity, finding.where) == (Weight.NOTE, f"{tmp_path}/sudo:1")
    assert finding.text.startswith("sudo has no line `account required pam_sc.so`")


def test_of_a_stack_that_unlocks_no_account_line_is_missed(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("auth required pam_sc.so\naccount required pam_sc.so\n")
    (tmp_path / "swaylock").write_text("auth include login\n")
    assert check(tmp_path) == []
    (tmp_path / "gdm-password").write_text("auth include login\n")
    assert [each.text.split(" has ")[0] for each in check(tmp_path)] == ["gdm-password"]


SESSIONS: dict[str, tuple[str, Any]] = {
    "before it": ("session optional pam_sc.so\nsession required pam_systemd.so\n", Weight.WARNING),
    "before elogind": ("session optional pam_sc.so\nsession required pam_elogind.so\n", Weight.WARNING),
    "between two": ("session required pam_elogind.so\nsession optional pam_sc.so\n-session optional pam_systemd.so\n",
                    Weight.WARNING),
    "without it": ("session optional pam_sc.so\nsession required pam_unix.so\n", Weight.NOTE),
    "below it": ("session required pam_systemd.so\nsession optional pam_sc.so\n", None),
    "below an include": ("@include common-session\nsession optional pam_sc.so\n", None),
}  # fmt: skip


@pytest.mark.parametrize("name", SESSIONS)
def test_the_session_line_stands_below_the_one_that_makes_the_session(tmp_path: Path, name: str) -> None:
    lines, weight = SESSIONS[name]
    (tmp_path / "common-session").write_text("session optional pam_systemd.so\n")
    stack(tmp_path, "login", f"auth required pam_sc.so\n{lines}")
    assert [each.severity for each in check(tmp_path)] == ([] if weight is None else [weight])
