# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files under etc/ say what the program does: every option is there, with the default that holds."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.finding import Weight
from pam_sc.config.keys import FILE, SCHEMA
from pam_sc.config.lint_arguments import check_arguments
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.model import DEFAULT_PATH, Configuration
from pam_sc.config.monitor_keys import MONITOR
from pam_sc.config.monitoring import monitor_policy
from pam_sc.config.schema import Key, ListOf, Table
from pam_sc.config.stacks import Entry, read_stack
from pam_sc.config.toml import Read, load, load_all
from pam_sc.decision.monitoring import Action, MonitorPolicy, OnError, SessionPolicy, Sign
from pam_sc.decision.policy import Members
from pam_sc.record import replace

ETC = Path(__file__).parents[3] / "etc"
SHIPPED = (ETC / "pam_sc.toml").read_text()
OPTION = "# "

MAPPER_KEYS = {"mapper.mapfile", "mapper.ignore_case"}
"""Those of the mapper cn, which the schema leaves to it."""
EXAMPLES = (
    "select", "intermediates", "policies", "crls", "ocsp_responder", "proxy", 'services = ["sudo"', "mapfile", "token_type",
    "may_use", "min_length", "max_length", "pattern", "pin = ", "hold", "locker", "console_locker",
)
"""Options whose default is that they are absent: what stands in the file is an example."""
WHOLE_TABLES = {"locker", "on_remove", "on_insert", "environment", "ocsp_responder", "select", "prefer", "texts", "service"}
"""Tables and arrays of tables whose keys are not options of their own."""
SERVICES = "# ---- one service"


def uncommented(text: str) -> str:
    """The file as it is when every option is set: those behind "# " too, each the last time it is shown."""
    lines = [line.removeprefix(OPTION) if is_option(line) else line for line in text.splitlines()]
    shown = [line for at, line in enumerate(lines) if not is_repeated(line, lines[at + 1 : at + 2])]
    return "\n".join(shown)


def is_option(line: str) -> bool:
    name, equals, _value = line.removeprefix(OPTION).partition(" = ")
    return line.startswith(OPTION) and ((bool(equals) and name.isidentifier()) or name.startswith(("[[", "[service.")))


def is_repeated(line: str, following: list[str]) -> bool:
    return " = " in line and any(line.partition(" = ")[0] == next_line.partition(" = ")[0] for next_line in following)


def keys_of(table: Table, prefix: str = "") -> Iterator[str]:
    for name, child in table.keys.items():
        inner = child.item if isinstance(child, ListOf) else child
        if isinstance(inner, Table) and inner.keys and name not in WHOLE_TABLES:
            yield from keys_of(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def keys_in(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inner, dict) and name not in WHOLE_TABLES:
            yield from keys_in(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def load_text(tmp_path: Path, module: Path, text: str) -> Configuration:
    file = tmp_path / "pam_sc.toml"
    file.write_text(text.replace("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so", str(module)))
    file.chmod(0o644)
    return load(str(file), frozenset({0, os.getuid()}))


def test_the_shipped_file_names_every_option_and_no_other() -> None:
    known = {*keys_of(FILE), *keys_of(MONITOR, "monitor.")} - {"monitor"}
    assert set(keys_in(tomllib.loads(uncommented(SHIPPED)))) == known | MAPPER_KEYS


def test_the_shipped_file_loads_as_it_is(tmp_path: Path, module: Path) -> None:
    assert load_text(tmp_path, module, SHIPPED).trust.anchors == "/etc/pam_sc/anchors"


def test_the_defaults_that_the_shipped_file_shows_are_those_that_hold(tmp_path: Path, module: Path) -> None:
    without_rule = uncommented(SHIPPED.partition(SERVICES)[0]).partition("[[monitor.rule]]")[0]
    before, found, after = without_rule.partition("[[revocation.ca]]")
    without_example = before + after[after.index("\n[account]"):]
    lines = [line for line in without_example.splitlines() if not line.startswith(EXAMPLES)]
    shown = load_text(tmp_path, module, "\n".join(lines))
    assert found
    as_it_is = load_text(tmp_path, module, SHIPPED)
    assert (shown.token, shown.trust, shown.revocation) == (as_it_is.token, as_it_is.trust, as_it_is.revocation)
    assert (shown.account, shown.pin, shown.card_required) == (as_it_is.account, as_it_is.pin, as_it_is.card_required)
    assert (shown.certificate, shown.prompt, shown.unlock) == (as_it_is.certificate, as_it_is.prompt, as_it_is.unlock)
    assert monitor_policy(shown) == monitor_policy(as_it_is) == MonitorPolicy()
    assert shown.monitor.keys() == MONITOR.keys.keys() - {"locker", "console_locker", "rule"}
    assert (shown.texts, shown.log, shown.wait_s) == (as_it_is.texts, as_it_is.log, as_it_is.wait_s)


def test_the_examples_of_services_load_and_hold_for_them_alone(tmp_path: Path, module: Path) -> None:
    before, found, examples = SHIPPED.partition(SERVICES)
    load_text(tmp_path, module, before + found + uncommented(examples))
    read = load_all(str(tmp_path / "pam_sc.toml"), frozenset({0, os.getuid()}))
    assert sorted(read.services) == ["gdm-smartcard", "sudo"]
    gdm, sudo, login = (read.of(name) for name in ("gdm-smartcard", "sudo", "login"))
    assert (gdm.prompt.choose, gdm.wait_s, gdm.card_required) == (True, 170, False)
    assert (sudo.prompt.choose, sudo.wait_s, sudo.card_required, sudo.pin.prompts) == (False, 0, True, 3)
    assert (login.prompt.choose, login.wait_s, login.card_required, login.pin.prompts) == (False, 0, False, 1)


@pytest.mark.parametrize(("line", "held"), [
    ("", {"gdm-smartcard"}), ("hold = true", {"gdm-smartcard", "gdm-password", "login"}), ("hold = false", set())
])  # fmt: skip
def test_without_a_word_a_refusal_is_held_where_gdm_would_begin_again(
    tmp_path: Path, module: Path, line: str, held: set[str]
) -> None:
    prompt = load_text(tmp_path, module, SHIPPED.replace("\n[prompt]\n", f"\n[prompt]\n{line}\n")).prompt
    assert {name for name in ("gdm-smartcard", "gdm-password", "login") if prompt.holds(name)} == held


def test_the_examples_of_what_has_no_default_load(tmp_path: Path, module: Path) -> None:
    read = load_text(tmp_path, module, uncommented(SHIPPED.partition(SERVICES)[0]))
    assert (read.pin.min_length, read.pin.max_length, read.pin.pattern) == (6, 8, "[0-9]+")
    assert read.account.may_use is not None
    assert read.account.may_use.groups == {"staff"}
    assert read.texts == {"pin": "PIN of your badge {token}: "}


def test_the_example_of_a_ca_of_its_own_loads(tmp_path: Path, module: Path) -> None:
    (partner,) = load_text(tmp_path, module, uncommented(SHIPPED)).revocation.authorities
    assert (partner.name, partner.lookup.max_bytes, partner.lookup.loopback) == ("partner", 1 << 20, True)


def test_the_examples_of_the_monitor_load(tmp_path: Path, module: Path) -> None:
    policy = monitor_policy(load_text(tmp_path, module, uncommented(SHIPPED.partition(SERVICES)[0])))
    (rule,) = policy.rules
    assert policy.whole.locker is not None
    assert (policy.whole.action, policy.whole.locker.sign) == (Action.LOCK, Sign.EXIT)
    assert rule.members == Members(accounts=frozenset({"alice"}), groups=frozenset({"staff"}))
    assert (rule.services, rule.types) == ({"gdm-smartcard"}, {"wayland", "x11"})
    assert (rule.policy.action, rule.policy.terminate_after_s) == (Action.LOCK_THEN_TERMINATE, 600.0)
    assert rule.policy.on_remove.on_error is OnError.RETURN
    assert (rule.policy.on_insert.programs[0].limit_s, rule.policy.absent_s) == (5.0, 60.0)
    plain = SessionPolicy()
    assert [name for name in vars(plain) if getattr(rule.policy, name) == getattr(plain, name)] == []


def test_every_key_of_the_schema_says_what_it_expects() -> None:
    def expectations(table: Table) -> Iterator[str]:
        for child in table.keys.values():
            yield child.expected
            inner = child.item if isinstance(child, ListOf) else child
            if isinstance(inner, Table):
                yield from expectations(inner)
            elif isinstance(inner, Key):
                yield inner.expected

    assert all(expectations(SCHEMA))


STACKS = {
    "gdm-smartcard": ("requisite", {"account", "session", "password"}),
    "kde-smartcard": ("requisite", {"account"}),
    "login": ("sufficient", {"account", "session", "password"}),
    "passwd": (None, {"password"}),
    "su": ("sufficient", {"account"}),
    "sudo": ("sufficient", {"account"}),
    "swaylock": ("sufficient", {"account"}),
}
"""The control of our auth line, and the other types for which there is a line of ours."""


def test_there_is_an_example_for_each_of_these_services() -> None:
    assert sorted(path.name for path in (ETC / "pam.d").iterdir()) == sorted(STACKS)


@pytest.mark.parametrize("service", STACKS)
def test_the_pam_examples_name_the_module_with_arguments_it_takes(service: str) -> None:
    control, others = STACKS[service]
    entries = [line for line in read_stack(str(ETC / "pam.d"), service) if isinstance(line, Entry)]
    ours = [entry for entry in entries if entry.basename == "pam_sc.so"]
    assert [entry.control for entry in ours if entry.type == "auth"] == ([] if control is None else [control])
    assert {entry.type for entry in ours} - {"auth"} == others
    assert [finding for entry in ours for finding in check_arguments(entry)] == []


COMMON = {
    "common-auth": "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
    "common-account": "account required pam_unix.so\n",
    "common-session": "session required pam_unix.so\nsession optional pam_systemd.so\n",
    "common-session-noninteractive": "session required pam_unix.so\n",
    "common-password": "password required pam_unix.so\n",
}


def test_beside_the_stacks_of_a_debian_the_examples_have_no_fault(tmp_path: Path, module: Path) -> None:
    folder = tmp_path / "pam.d"
    shutil.copytree(ETC / "pam.d", folder)
    for name, text in COMMON.items():
        (folder / name).write_text(text)
    whole = replace(load_text(tmp_path, module, SHIPPED), source=DEFAULT_PATH)
    held = replace(whole, prompt=replace(whole.prompt, hold=True))  # as gdm-smartcard itself says
    found = check_stack(str(folder), Read(whole, {"gdm-smartcard": held}))
    assert {finding.severity for finding in found} <= {Weight.NOTE}
    assert [each.text for each in found if "cannot enforce a card" not in each.text] == []
    required = check_stack(str(folder), Read(whole, {"gdm-smartcard": replace(held, card_required=True)}))
    assert {finding.severity for finding in required} <= {Weight.NOTE}


def test_the_strict_line_that_sudo_shows_enforces_a_card(tmp_path: Path, module: Path) -> None:
    (strict,) = re.findall(r"^#   (auth  .*)$", (ETC / "pam.d/sudo").read_text(), re.MULTILINE)
    whole = replace(load_text(tmp_path, module, SHIPPED), source=DEFAULT_PATH)
    (tmp_path / "pam.d").mkdir()
    for name, text in COMMON.items():
        (tmp_path / "pam.d" / name).write_text(text)
    for line, severities in ((strict, []), ("auth  sufficient  pam_sc.so", [Weight.ERROR])):
        stack = (ETC / "pam.d/sudo").read_text().replace("\nauth  sufficient  pam_sc.so\n", f"\n{line}\n")
        (tmp_path / "pam.d/sudo").write_text(stack)
        found = check_stack(str(tmp_path / "pam.d"), Read(whole, {"sudo": replace(whole, card_required=True)}))
        assert [finding.severity for finding in found] == severities
