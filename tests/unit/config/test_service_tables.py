# SPDX-License-Identifier: LGPL-2.1-or-later
"""[service.NAME]: what a service says anew holds for it alone, and a mistake in any table refuses every login."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pam_sc.config import loading
from pam_sc.config.model import PinSettings
from pam_sc.config.toml import load, load_all, merged
from pam_sc.errors import ConfigError
from tests.unit.config.files import MINIMAL, TRUSTED, WHOLE, load_text, refusal


def test_a_table_holds_for_its_service_alone(file: Path, module: Path) -> None:
    load_text(file, MINIMAL.format(module=module) + '[pin]\nprompts = 2\n[service.sudo]\ncard = "required"\n')
    whole = load(str(file), TRUSTED)
    for service in (None, "login", "SUDO", "sudo-i", ""):
        assert load(str(file), TRUSTED, service) == whole
    sudo = load(str(file), TRUSTED, "sudo")
    assert (whole.card_required, sudo.card_required) == (False, True)
    assert (whole.pin, whole.services) == (sudo.pin, sudo.services) == (PinSettings(prompts=2), ("sudo",))
    assert loading.load(str(file), TRUSTED, service="sudo") == sudo


def test_tables_are_laid_over_key_by_key_and_arrays_as_a_whole(file: Path, module: Path) -> None:
    text = WHOLE.format(module=module) + (
        "[service.sudo.pin]\nprompts = 3\n[service.sudo.account]\nservices = ['sudo']\nmust_use = ['alice']\n"
        "[service.sudo.trust]\nstrict = false\n[[service.sudo.mapper]]\nname = 'uid'\n"
        "[service.sudo.token]\nselect = {label = 'b'}\n"
    )
    load_text(file, text)
    whole, sudo = load(str(file), TRUSTED), load(str(file), TRUSTED, "sudo")
    assert (sudo.pin.allow_last_try, sudo.pin.prompts) == (True, 3)
    assert (sudo.account.services, sudo.account.allow_root, sudo.account.remote_allowed) == ({"sudo"}, True, True)
    assert (sudo.trust.strict, sudo.trust.anchors) == (False, whole.trust.anchors)
    assert [(each.name, each.where) for each in sudo.mappers] == [("uid", f"{file}: service.sudo.mapper[0]")]
    assert [(each.name, each.where) for each in whole.mappers] == [("cn", f"{file}: mapper[0]")]
    assert sudo.token.modules == whole.token.modules
    assert sudo.token.select is not None
    assert (sudo.token.select.text, sudo.token.select.token) == ("label 'b'", "b")
    assert sudo.revocation is whole.revocation or sudo.revocation == whole.revocation


def test_a_table_laid_over_another_leaves_both_as_they_were() -> None:
    whole, own = {"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2], "e": 3}, "d": {"f": 1}}
    assert merged(whole, own) == {"a": {"b": 1, "c": [2], "e": 3}, "d": {"f": 1}}
    assert (whole, own) == ({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2], "e": 3}, "d": {"f": 1}})


MISTAKES = {
    "a wrong value": ("[service.sudo.pin]\nprompts = 4", "FILE:8: service.sudo.pin.prompts: found 4 (an integer) (too large),"
                      " expected a number from 1 to 3"),
    "an inline table": ("[service.sudo]\npin = { prompts = 4 }", "FILE:8: service.sudo.pin.prompts: found 4 (an integer) (too"
                        " large), expected a number from 1 to 3"),
    "an unknown key": ("[service.sudo]\ncrad = 'required'", "FILE:8: service.sudo.crad: found an unknown key, expected one of"
                       " account, card, certificate, log, mapper, pin, prompt, revocation, texts, token, trust, unlock, wait;"
                       " did you mean 'card'?"),
    "a service within": ("[service.sudo.service.su]\nwait = 1", "FILE:7: service.sudo.service: found an unknown key, expected"
                         " one of account, card, certificate, log, mapper, pin, prompt, revocation, texts, token, trust,"
                         " unlock, wait"),
    "no table": ("[service]\nsudo = 5", "FILE:8: service.sudo: found 5 (an integer), expected a table: [service.NAME]"),
    "no tables": ("[[service]]\nsudo = 5", "FILE:7: service: found a non-empty array, expected a table for each service:"
                  " [service.NAME]"),
    "no service": ("[service.Sudo]\nwait = 1", "FILE:7: service.Sudo: found 'Sudo' (no PAM service can have this name), expected"
                   " the name of a PAM service, in lower case"),
    "an empty name": ("[service.'']\nwait = 1", "FILE:7: service.'': found '' (no PAM service can have this name), expected the"
                      " name of a PAM service, in lower case"),
    "a mapper without a name": ("[[service.sudo.mapper]]\nmapfile = '/m'", "FILE:7: service.sudo.mapper[0].name: found nothing,"
                                " expected the name of a mapper"),
    "no mapper": ("[service.sudo]\nmapper = []", "FILE:8: service.sudo.mapper: found an empty array, expected at least one"
                  " [[mapper]] with its name"),
    "a contradiction to the whole": ("[service.sudo.token]\nrun_as = 'root'", "FILE:8: service.sudo.token.run_as: found 'root',"
                                     " expected an account of its own for the card process, such as 'pam_sc_card'"),
    "a text that is none": ("[service.sudo.texts]\npni = 'x'", "FILE:8: service.sudo.texts.pni: found an unknown name, expected"
                            " the name of a text; docs/messages.md lists them; did you mean 'pin'?"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("service", [None, "login", "sudo"])
def test_a_mistake_in_one_table_refuses_every_login(file: Path, module: Path, name: str, service: str | None) -> None:
    mistake, message = MISTAKES[name]
    file.write_text(MINIMAL.format(module=module) + mistake + "\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        load(str(file), TRUSTED, service)
    assert str(caught.value).replace(str(file), "FILE") == message


def test_a_contradiction_between_the_whole_and_a_service_is_told_in_the_service(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module) + "[pin]\nmax_length = 6\n[service.sudo.pin]\nmin_length = 7\n"
    assert refusal(file, text) == (
        "FILE:9: service.sudo.pin.max_length: found 6 (an integer), expected at least min_length, which is 7"
    )
    load_text(file, text.replace("min_length = 7", "min_length = 6"))
    assert load(str(file), TRUSTED, "sudo").pin == PinSettings(min_length=6, max_length=6)


def test_the_module_of_a_service_must_be_safe_too(file: Path, module: Path, tmp_path: Path) -> None:
    own = f'[[service.sudo.token.module]]\npath = "{tmp_path}/none.so"\n'
    assert refusal(file, MINIMAL.format(module=module) + own) == (
        f"FILE: service.sudo.token.module[0].path: cannot read '{tmp_path}/none.so': No such file or directory"
    )


def test_at_most_64_services_have_a_table(file: Path, module: Path) -> None:
    tables = [f"[service.s{number}]\nwait = 1\n" for number in range(65)]
    load_text(file, MINIMAL.format(module=module) + "".join(tables[:64]))
    assert len(load_all(str(file), TRUSTED).services) == 64
    assert refusal(file, MINIMAL.format(module=module) + "".join(tables)) == (
        "FILE:7: service: found 65 services, expected at most 64"
    )


def test_64_services_cost_a_login_little(file: Path, module: Path) -> None:
    tables = [f"[service.s{number}]\ncard = 'required'\n[service.s{number}.pin]\nprompts = 3\n" for number in range(64)]
    load_text(file, MINIMAL.format(module=module) + "".join(tables))
    started = time.process_time()
    for _ in range(10):
        load(str(file), TRUSTED, "s1")
    assert (time.process_time() - started) / 10 < 0.1  # a few milliseconds; ten times more would be felt
