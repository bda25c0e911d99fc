# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of which a configuration demands a card: each that lets somebody past is an error, its near misses are clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.model import (
    DEFAULT_PATH,
    AccountSettings,
    Configuration,
    PromptSettings,
    TokenSettings,
    TrustSettings,
)
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
        " authinfo_unavail=ignore user_unknown=ignore default=die] pam_sc.so"
    )
    stack(tmp_path, "login", f"auth [success=done authinfo_unavail=ignore user_unknown=ignore default=die] pam_sc.so\n{COMMON}")
    assert check(tmp_path, ADMINS) == []


@pytest.mark.parametrize(("jump", "wheres"), [(1, []), (2, ["login:1"]), (3, [])])
def test_a_jump_before_the_card_counts_where_it_leads_past_it(tmp_path: Path, jump: int, wheres: list[str]) -> None:
    stack(tmp_path, "login", f"auth [success={jump} default=ignore] pam_succeed_if.so\n"
          "auth optional pam_faildelay.so\nauth required pam_sc.so\nauth required pam_env.so\n")  # fmt: skip
    found = check(tmp_path, REQUIRED)
    assert [(each.severity, each.where) for each in found] == [(Weight.ERROR, f"{tmp_path}/{each}") for each in wheres]


DENY, PERMIT = "auth requisite pam_deny.so\n", "auth required pam_permit.so\n"
SNEAKY = {
    "a module above has granted already": (
        f"auth requisite pam_a.so\nauth sufficient pam_sc.so\n{DENY}", [],
        "auth requisite pam_a.so\nauth sufficient pam_sc.so\n", ["auth_err, pam_a.so (login:1)"]),
    "a refusal jumps over pam_deny": (
        f"auth [success=2 default=ignore] pam_sc.so\n{DENY}{PERMIT}", [],
        f"auth [success=2 default=1] pam_sc.so\n{DENY}{PERMIT}", ["auth_err, pam_permit.so (login:3)"]),
    "a reset takes the refusal back": (
        "auth required pam_sc.so\nauth [default=ignore] pam_b.so\nauth sufficient pam_unix.so\n", [],
        "auth required pam_sc.so\nauth [default=reset] pam_b.so\nauth sufficient pam_unix.so\n",
        ["auth_err, pam_b.so (login:2)"]),
    "a reset inside of a substack takes back nothing outside of it": (
        "auth required pam_sc.so\nauth substack resets\nauth sufficient pam_unix.so\n", [],
        "auth required pam_sc.so\nauth include resets\nauth sufficient pam_unix.so\n", ["auth_err, pam_a.so (resets:1)"]),
    "to die in a substack is forgiven by a reset": (
        "auth substack card\nauth sufficient pam_unix.so\n", [],
        "auth substack card\nauth [default=reset] pam_b.so\nauth sufficient pam_unix.so\n", ["auth_err, pam_b.so (login:2)"]),
    "a jump takes a substack for one entry": (
        f"auth [success=1 default=ignore] pam_a.so\nauth include cards\n{PERMIT}", [],
        f"auth [success=1 default=ignore] pam_a.so\nauth substack cards\n{PERMIT}", ["pam_a.so grants"]),
    "what fails jumps": (
        f"auth [success=ignore default=1] pam_a.so\nauth required pam_sc.so\n{DENY}", [],
        f"auth [success=ignore default=1] pam_a.so\nauth required pam_sc.so\n{PERMIT}", ["pam_a.so returns auth_err"]),
    "blanks around =": (
        f"auth [success = ok default = die] pam_a.so\nauth required pam_sc.so\n{PERMIT}", [],
        f"auth [success = done default = die] pam_a.so\nauth required pam_sc.so\n{PERMIT}", ["pam_a.so grants"]),
    "a comment never goes on in the next line": (
        f"auth sufficient pam_sc.so\n# \\\n{DENY}auth sufficient pam_unix.so\n", [],
        "auth sufficient pam_sc.so\n# \\\nauth sufficient pam_unix.so\nauth requisite pam_deny.so\n",
        ["auth_err, pam_unix.so (login:3)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SNEAKY)
def test_a_way_past_the_card_is_found_wherever_libpam_finds_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "resets").write_text("auth optional pam_a.so\nauth [default=reset] pam_b.so\n")
    (tmp_path / "card").write_text("auth [success=done default=die] pam_sc.so\n")
    (tmp_path / "cards").write_text("auth optional pam_faildelay.so\nauth required pam_sc.so\n")
    good, nothing, bad, said = SNEAKY[name]
    for auth, expected in ((good, nothing), (bad, said)):
        stack(tmp_path, "login", auth)
        found = [each.text.replace(f"{tmp_path}/", "") for each in check(tmp_path, login=REQUIRED)
                 if each.severity is Weight.ERROR]  # fmt: skip
        assert len(found) == len(expected)
        assert all(part in text for part, text in zip(expected, found, strict=True)), found


def test_root_needs_no_card_for_su_and_that_jump_is_no_way_past_it(tmp_path: Path) -> None:
    stack(tmp_path, "su", f"auth [success=1 default=ignore] pam_rootok.so\nauth required pam_sc.so\n{PERMIT}")
    assert check(tmp_path, su=REQUIRED) == []


PASSWORD_LINE = "[success=done new_authtok_reqd=done try_again=ignore ignore=ignore default=die]"


@pytest.mark.parametrize(("control", "result"), [
    ("sufficient", "authtok_recovery_err"), ("[success=1 default=ignore]", "authtok_recovery_err"),
    ("[success=done default=bad]", "authtok_recovery_err"), ("[success=done maxtries=ignore default=die]", "maxtries"),
    (PASSWORD_LINE, None), ("[success=done try_again=ignore default=die]", None), ("required", None), ("requisite", None),
])  # fmt: skip
def test_a_password_line_that_goes_on_after_a_pin_that_was_not_changed_is_an_error(
    tmp_path: Path, control: str, result: str | None
) -> None:
    (tmp_path / "passwd").write_text(f"password {control} pam_sc.so debug\npassword required pam_unix.so\n")
    found = check(tmp_path)
    if result is None:
        assert found == []
    else:
        assert found == [Finding(
            Weight.ERROR, f"{tmp_path}/passwd:1", f"{control}: when pam_sc.so returns {result}, pam_unix.so"
            f" ({tmp_path}/passwd:2) takes a new password without the old one; write: password {PASSWORD_LINE} pam_sc.so debug",
        )]  # fmt: skip
    for below in ("", "password requisite pam_deny.so\n"):
        (tmp_path / "passwd").write_text(f"password {control} pam_sc.so debug\n{below}")
        assert check(tmp_path) == []


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


def test_a_table_of_a_service_that_is_not_there_is_noted(tmp_path: Path) -> None:
    stack(tmp_path, "su-l", "auth required pam_sc.so\n")
    assert check(tmp_path, **{"su-l": PLAIN}) == []
    (finding,) = check(tmp_path, su_l=PLAIN)
    assert (finding.severity, finding.where) == (Weight.NOTE, f"{tmp_path}/su_l")
    assert finding.text.startswith("does not exist, so [service.su_l] counts for nothing")


@pytest.mark.parametrize(
    ("service", "hold", "warned"),
    [("gdm-smartcard", False, True), ("gdm-smartcard", None, False), ("gdm-smartcard", True, False),
     ("gdm-password", False, False), ("login", False, False)],
)  # fmt: skip
def test_a_display_manager_that_begins_again_at_once_is_held_unless_the_file_says_otherwise(
    tmp_path: Path, service: str, hold: bool | None, warned: bool
) -> None:
    stack(tmp_path, service, "auth requisite pam_sc.so\n")
    found = check(tmp_path, **{service: replace(PLAIN, prompt=PromptSettings(hold=hold))})
    assert [(each.severity, each.text) for each in found] == [(
        Weight.WARNING, "gdm-smartcard begins a refused login again at once, for as long as the card is in the reader; write"
        " [service.gdm-smartcard.prompt] hold = true",
    )] * warned  # fmt: skip


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


@pytest.mark.parametrize(("control", "wrong"), [
    ("sufficient", True), ("[success=1 default=ignore]", True), ("[success=done new_authtok_reqd=done default=bad]", True),
    ("required", False), ("requisite", False), ("optional", False), ("[success=ok new_authtok_reqd=ok default=bad]", False),
])  # fmt: skip
def test_a_card_is_no_reason_to_leave_out_whether_the_account_has_expired(tmp_path: Path, control: str, wrong: bool) -> None:
    auth, ours, unix = "auth required pam_sc.so\n", f"account {control} pam_sc.so\n", "account required pam_unix.so\n"
    (tmp_path / "login").write_text(auth + ours + unix)
    assert check(tmp_path) == [Finding(
        Weight.ERROR, f"{tmp_path}/login:2", f"{control}: after a login with a card pam_unix.so ({tmp_path}/login:3) is not"
        " asked whether the account may be used at all; write: account required pam_sc.so",
    )] * wrong  # fmt: skip
    for harmless in (unix + ours, ours):
        (tmp_path / "login").write_text(auth + harmless)
        assert check(tmp_path) == []


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
