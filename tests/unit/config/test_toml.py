# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration file: what is accepted, and which files are not even read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.config.model import PromptSettings
from pam_sc.config.toml import MAX_BYTES, load
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES, RevocationMode, TokenSelector
from pam_sc.errors import ConfigError
from tests.unit.config.files import MINIMAL, TRUSTED, WHOLE, load_text, refusal

# ---------------------------------------------------------------- what is accepted


def test_the_smallest_configuration_has_the_strict_defaults(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module))
    assert read.source == str(file)
    assert read.token.modules[0].path == str(module)
    assert read.token.modules[0].environment == {}
    assert read.token.modules[0].allow == ()
    assert (read.token.select, read.token.run_as) == (None, "pam_sc_card")
    assert (read.trust.anchors, read.trust.intermediates) == ("/etc/pam_sc/anchors", None)
    assert (read.revocation.lookup.mode, read.revocation.crls) == (RevocationMode.NAMED, None)
    assert (read.account.allow_root, read.account.remote_allowed, read.account.services) == (False, False, None)
    assert read.account.card_names_user == {"login", "gdm-smartcard"}
    assert read.account.privileged_services == DEFAULT_PRIVILEGED_SERVICES
    assert not read.pin.allow_last_try
    assert not read.card_required
    assert [(mapper.name, mapper.table) for mapper in read.mappers] == [("cn", {})]


def test_every_option_reaches_its_place(file: Path, module: Path) -> None:
    read = load_text(file, WHOLE.format(module=module))
    assert read.card_required
    assert read.token.modules[0].environment == {"SOFTHSM2_CONF": "/etc/softhsm/softhsm2.conf"}
    assert read.token.modules[0].allow == ("getpeername",)
    assert read.token.select is not None
    assert read.token.select.token == "login"
    assert read.token.run_as == "readers"
    assert read.trust.intermediates == "/etc/pam_sc/intermediates"
    assert (read.revocation.lookup.mode, read.revocation.crls) == (RevocationMode.REQUIRE, "/etc/pam_sc/crls")
    assert read.account.allow_root
    assert read.account.card_names_user == {"login"}
    assert read.account.services == {"login", "sudo"}
    assert read.account.remote_allowed
    assert read.pin.allow_last_try
    assert read.mappers[0].table == {"mapfile": "/etc/pam_sc/cn_map", "ignore_case": True}
    assert read.mappers[0].where == f"{file}: mapper[0]"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{ uri = "pkcs11:token=login" }', TokenSelector(text="pkcs11:token=login", token="login")),
        ("{ slot_number = 2 }", TokenSelector(text="slot_number 2", slot_number=2)),
        (
            '{ slot_description_prefix = "My reader" }',
            TokenSelector(text="slot_description_prefix 'My reader'", slot_description_prefix="My reader"),
        ),
        (
            '{ uri = "pkcs11:token=login", slot_number = 64 }',
            TokenSelector(text="pkcs11:token=login, slot_number 64", token="login", slot_number=64),
        ),
    ],
)
def test_select_may_be_a_table(file: Path, module: Path, written: str, expected: TokenSelector) -> None:
    text = WHOLE.format(module=module).replace('"pkcs11:token=login"', written)
    assert load_text(file, text).token.select == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{}", "token.select: found an empty table, expected at least one of its keys"),
        ("{ slot_number = 0 }", "token.select.slot_number: found 0 (an integer) (too small), expected the number of a slot,"
         " counted from 1 to 64"),
        ('{ slot_description_prefix = "" }', "token.select.slot_description_prefix: found '' (no name is written so),"
         " expected the beginning of a slot's description"),
        ("{ slot_numbr = 1 }", "token.select.slot_numbr: found an unknown key, expected one of label, serial,"
         " slot_description, slot_description_prefix, slot_number, uri; did you mean 'slot_number'?"),
    ],
)  # fmt: skip
def test_a_table_that_selects_nothing_is_refused(file: Path, module: Path, written: str, message: str) -> None:
    text = WHOLE.format(module=module).replace('"pkcs11:token=login"', written)
    assert refusal(file, text) == f"FILE:7: {message}"


def test_what_the_person_reads_can_be_set(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module) + '[prompt]\ntoken_type = "badge"\nquiet = true\n')
    assert (read.prompt.token_type, read.prompt.quiet) == ("badge", True)
    assert load_text(file, MINIMAL.format(module=module)).prompt == PromptSettings()


def test_mappers_and_modules_keep_their_order(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module) + '[[mapper]]\nname = "other"\n'
    read = load_text(file, f'[[token.module]]\npath = "{module}"\nallow = ["fsync"]\n' + text)
    assert [mapper.name for mapper in read.mappers] == ["cn", "other"]
    assert [entry.allow for entry in read.token.modules] == [("fsync",), ()]


def test_the_card_may_be_forbidden_to_name_the_account_anywhere(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module) + "[account]\ncard_names_user = []\n")
    assert read.account.card_names_user == frozenset()


@pytest.mark.parametrize("named", [[], ["kiosk"], ["sudo", "kiosk"]])
def test_privileged_services_are_those_that_are_named_and_no_others(file: Path, module: Path, named: list[str]) -> None:
    read = load_text(file, MINIMAL.format(module=module) + f"[account]\nprivileged_services = {named}\n")
    assert read.account.privileged_services == frozenset(named)


def test_two_modules_may_share_a_variable_of_one_value(file: Path, module: Path) -> None:
    one = f'[[token.module]]\npath = "{module}"\nenvironment = {{ CONF = "/a" }}\n'
    assert len(load_text(file, one + one + "[trust]" + MINIMAL.split("[trust]")[1]).token.modules) == 2


# ---------------------------------------------------------------- the file itself


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("pam_sc.toml", "cannot use the configuration 'pam_sc.toml': expected an absolute path"),
        ("", "cannot use the configuration '': expected an absolute path"),
        (
            "/etc/pam_sc/x.yaml",
            (
                "cannot use the configuration '/etc/pam_sc/x.yaml': expected a name that ends in .toml, or in .conf for"
                " the format of pam_pkcs11"
            ),
        ),
    ],
)
def test_a_file_of_another_name_is_not_even_opened(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, TRUSTED)
    assert str(caught.value) == message


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(str(file), TRUSTED)
    assert str(caught.value) == f"cannot read the configuration: cannot read {str(file)!r}: No such file or directory"


def test_a_file_that_others_can_write_is_refused(file: Path, module: Path) -> None:
    file.write_text(MINIMAL.format(module=module))
    file.chmod(0o664)
    with pytest.raises(ConfigError) as caught:
        load(str(file), TRUSTED)
    assert f"cannot trust {str(file)!r}: found owner {os.getuid()} and mode 0664" in str(caught.value)


def test_a_file_of_somebody_else_is_refused(file: Path, module: Path) -> None:
    file.write_text(MINIMAL.format(module=module))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=f"found owner {os.getuid()}|found owner 0"):
        load(str(file), frozenset({54321}))


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    file.write_text("#" * (MAX_BYTES + 1))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="larger than"):
        load(str(file), TRUSTED)


def test_a_module_that_is_missing_is_refused(file: Path, tmp_path: Path) -> None:
    message = refusal(file, MINIMAL.format(module=tmp_path / "none.so"))
    assert message == f"FILE: token.module[0].path: cannot read '{tmp_path}/none.so': No such file or directory"


def test_a_module_that_others_can_write_is_refused(file: Path, module: Path) -> None:
    module.chmod(0o646)
    message = refusal(file, MINIMAL.format(module=module))
    assert message.startswith(f"FILE: token.module[0].path: cannot trust '{module}': found owner")


def test_a_module_in_a_folder_that_others_can_write_is_refused(file: Path, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    inner = folder / "module.so"
    inner.write_bytes(module.read_bytes())
    inner.chmod(0o644)
    message = refusal(file, MINIMAL.format(module=inner))
    assert message.startswith(f"FILE: token.module[0].path: cannot trust '{folder}'")
