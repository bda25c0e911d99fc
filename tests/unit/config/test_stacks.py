# SPDX-License-Identifier: LGPL-2.1-or-later
"""PAM stacks: read as libpam reads them, and judged by whether they can enforce a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.model import DEFAULT_PATH, Configuration, TokenSettings, TrustSettings
from pam_sc.config.stacks import Entry, Missing, read_stack
from pam_sc.config.toml import Read

COMMON_AUTH = """\
auth  [success=1 default=ignore]  pam_unix.so nullok
auth  requisite  pam_deny.so
auth  required   pam_permit.so
"""


EXPECTED = (
    "expected config=, worker=, timeout=, debug, forward_pin, nodelay, quiet, try_first_pass, use_first_pass, or an argument of"
    " pam_pkcs11"
)
NO_ACCOUNT_LINE = "has no line `account required pam_sc.so`"


def configuration(*, required: bool, source: str = DEFAULT_PATH) -> Configuration:
    return Configuration(
        source=source,
        card_required=required,
        token=TokenSettings(modules=()),
        trust=TrustSettings(anchors="/a"),
        mappers=(),
    )


def check(folder: Path, *, required: bool = False) -> list[Finding]:
    found = check_stack(str(folder), Read(configuration(required=required), {}))
    return [each for each in found if NO_ACCOUNT_LINE not in each.text]


def entries(folder: Path, service: str) -> list[Entry]:
    return [line for line in read_stack(str(folder), service) if isinstance(line, Entry)]


# ---------------------------------------------------------------- reading


def test_fields_brackets_comments_and_continued_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(
        "#%PAM-1.0\n\n-AUTH [success=1 default=die] /lib/security/pam_x.so a [b c\\]] # why\n"
        "auth \\\n required pam_y.so\n"
    )
    first, second = entries(tmp_path, "s")
    assert (first.type, first.basename, first.arguments) == ("auth", "pam_x.so", ("a", "b c]"))
    assert (first.action("success"), first.action("auth_err")) == ("1", "die")
    assert (second.where, second.module, second.action("auth_err")) == (f"{tmp_path}/s:4", "pam_y.so", "bad")


def test_includes_take_what_belongs_to_their_type(tmp_path: Path) -> None:
    (tmp_path / "all").write_text("auth required pam_a.so\naccount required pam_b.so\n")
    (tmp_path / "debian").write_text("@include all\n")
    (tmp_path / "fedora").write_text("auth substack all\nauth include all\n")
    assert [entry.module for entry in entries(tmp_path, "debian")] == ["pam_a.so", "pam_b.so"]
    assert [entry.module for entry in entries(tmp_path, "fedora")] == ["pam_a.so", "pam_a.so"]


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("auth required pam_a.so\n@include s\n")
    lines = list(read_stack(str(tmp_path), "s"))
    assert isinstance(lines[-1], Missing)
    assert lines[-1].why == "includes are nested too deeply"


def test_an_include_that_is_missing_is_reported_once_it_matters(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("@include none\n")
    assert check(tmp_path) == []
    (tmp_path / "s").write_text("auth required pam_sc.so\n@include none\n")
    why = f"cannot read {tmp_path}/none: No such file or directory"
    assert check(tmp_path) == [Finding(Weight.WARNING, f"{tmp_path}/s:2", why)]


def test_a_folder_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    found = check(tmp_path / "none")
    assert [(finding.severity, finding.text) for finding in found] == [
        (Weight.WARNING, "the PAM services cannot be read: No such file or directory")
    ]


# ---------------------------------------------------------------- enforcing


def test_a_required_line_enforces_a_required_card(tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text("auth required pam_sc.so\n" + COMMON_AUTH)
    assert check(tmp_path, required=True) == []


@pytest.mark.parametrize(
    "control",
    ["sufficient", "optional", "[success=done default=ignore]", "[success=done user_unknown=ignore default=die]"],
)
def test_a_line_that_lets_a_refusal_pass_is_an_error_where_a_card_is_required(tmp_path: Path, control: str) -> None:
    (tmp_path / "sudo").write_text(f"auth {control} pam_sc.so\n" + COMMON_AUTH)
    (finding,) = check(tmp_path, required=True)
    assert finding.severity is Weight.ERROR
    assert finding.where == f"{tmp_path}/sudo:1"
    result = "user_unknown" if "user_unknown" in control else "auth_err"
    assert finding.text == (
        f"{control} cannot enforce a card: when pam_sc.so returns {result}, pam_unix.so ({tmp_path}/sudo:2) can still"
        ' grant, but the configuration says card = "required"; write: auth [success=done default=die] pam_sc.so'
    )


def test_the_same_line_is_a_note_where_a_card_is_optional(tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text("auth sufficient pam_sc.so\n" + COMMON_AUTH)
    (finding,) = check(tmp_path, required=False)
    assert finding.severity is Weight.NOTE


def test_a_sufficient_line_with_nothing_behind_it_that_grants_is_no_finding(tmp_path: Path) -> None:
    stack = "auth sufficient pam_sc.so\nauth optional pam_faildelay.so\nauth required pam_deny.so\n"
    (tmp_path / "sudo").write_text(stack)
    assert check(tmp_path, required=True) == []


def test_a_module_behind_pam_deny_that_counts_cannot_grant_but_one_before_it_can(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("auth sufficient pam_sc.so\nauth requisite pam_deny.so\nauth sufficient pam_unix.so\n")
    assert check(tmp_path, required=True) == []
    (tmp_path / "a").write_text("auth sufficient pam_sc.so\nauth sufficient pam_unix.so\nauth requisite pam_deny.so\n")
    assert [finding.severity for finding in check(tmp_path, required=True)] == [Weight.ERROR]


def test_pam_permit_behind_a_sufficient_line_grants(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("auth sufficient pam_sc.so\nauth required pam_permit.so\n")
    (finding,) = check(tmp_path, required=True)
    assert "pam_permit.so" in finding.text


def test_a_module_that_grants_before_the_card_is_asked_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "su").write_text("auth sufficient pam_unix.so\nauth required pam_sc.so\n")
    (finding,) = check(tmp_path, required=True)
    assert (finding.severity, finding.where) == (Weight.ERROR, f"{tmp_path}/su:1")
    assert finding.text == (
        'pam_unix.so grants before pam_sc.so is asked, but the configuration says card = "required"; move it below pam_sc.so,'
        " or remove it"
    )


def test_pam_rootok_before_the_card_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "su").write_text("auth sufficient pam_rootok.so\nauth required pam_sc.so\n")
    assert check(tmp_path, required=True) == []


def test_a_stack_with_another_configuration_is_not_held_to_this_one(tmp_path: Path) -> None:
    (tmp_path / "su").write_text("auth sufficient pam_sc.so config=/etc/other.toml\nauth required pam_permit.so\n")
    assert [finding.severity for finding in check(tmp_path, required=True)] == [Weight.NOTE]


def test_a_line_that_many_services_include_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "common-auth").write_text("auth sufficient pam_sc.so\n" + COMMON_AUTH)
    for service in ("su", "sudo", "login"):
        (tmp_path / service).write_text("@include common-auth\n")
    assert len(check(tmp_path, required=True)) == 1


def test_a_stack_without_pam_sc_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "su").write_text("auth sufficient pam_unix.so\n")
    assert check(tmp_path, required=False) == []
    (tmp_path / "su").rename(tmp_path / "cron")
    assert check(tmp_path, required=True) == []


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "argument", ["config=/a.toml", "worker=/w", "timeout=30", "debug", "quiet", "try_first_pass", "use_first_pass", "nodelay"]
)
def test_a_known_argument_is_no_finding(tmp_path: Path, argument: str) -> None:
    (tmp_path / "s").write_text(f"password required pam_sc.so {argument}\n")
    assert check(tmp_path) == []


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("config=a.toml", "expected an absolute path"),
        ("worker=", "expected an absolute path"),
        ("timeout=0", "expected 1 to 300 seconds"),
        ("timeout=301", "expected 1 to 300 seconds"),
        ("timeout=020", "expected 1 to 300 seconds"),
        ("timeout=ten", "expected 1 to 300 seconds"),
        ("timeout", EXPECTED),
        ("Debug", EXPECTED),
        ("nullok=1", EXPECTED),
        ("slot_num", EXPECTED),
        ("config_file=x", "expected an absolute path"),
    ],
)
def test_an_argument_that_the_module_refuses_is_an_error(tmp_path: Path, argument: str, why: str) -> None:
    (tmp_path / "s").write_text(f"password required pam_sc.so {argument}\n")
    text = f"pam_sc.so refuses the argument {argument!r}: {why}"
    assert check(tmp_path) == [Finding(Weight.ERROR, f"{tmp_path}/s:1", text)]


@pytest.mark.parametrize("argument", ["nullok", "slot_num=2", "cert_policy=ca", "pkcs11_module=/m.so"])
def test_an_argument_of_pam_pkcs11_goes_with_its_own_configuration_alone(tmp_path: Path, argument: str) -> None:
    (tmp_path / "s").write_text(f"password required pam_sc.so config_file=/etc/pam_pkcs11.conf {argument}\n")
    assert check(tmp_path) == []
    (tmp_path / "s").write_text(f"password required pam_sc.so {argument}\n")
    (finding,) = check(tmp_path)
    assert (finding.severity, finding.where) == (Weight.ERROR, f"{tmp_path}/s:1")
    assert finding.text == (f"the argument {argument!r} belongs to pam_pkcs11.conf, but the configuration is {DEFAULT_PATH}:"
                            " every card is refused")


def test_forward_pin_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("password required pam_sc.so forward_pin\n")
    assert check(tmp_path) == [Finding(
        Weight.WARNING, f"{tmp_path}/s:1",
        "forward_pin gives the PIN to every module below this line, some of which send or store a password",
    )]  # fmt: skip


def test_two_arguments_that_exclude_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("password required pam_sc.so try_first_pass use_first_pass\n")
    (finding,) = check(tmp_path)
    assert finding.text == "pam_sc.so refuses try_first_pass and use_first_pass together"
