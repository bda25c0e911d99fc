# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for one service: the commands that act for a service take it, and check-config says what is otherwise there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pam_sc.cli.machine import RealMachine
from pam_sc.cli.main import cli
from pam_sc.config.finding import Weight
from pam_sc.errors import ConfigError
from tests.support.pki import CertificateAuthority

SUDO = '[service.sudo]\ncard = "required"\n[service.sudo.pin]\nallow_no_pin = true\n[service.login.pin]\nprompts = 1\n'


@pytest.fixture
def machine(tmp_path: Path) -> RealMachine:
    (tmp_path / "pam.d").mkdir()
    return RealMachine(str(tmp_path / "pam.d"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "module.so").write_bytes(b"")
    (tmp_path / "anchors.pem").write_bytes(CertificateAuthority().pem)
    path = tmp_path / "pam_sc.toml"
    path.write_text(
        f'[[token.module]]\npath = "{tmp_path}/module.so"\n[trust]\nanchors = "{tmp_path}/anchors.pem"\n'
        f'[[mapper]]\nname = "cn"\n{SUDO}'
    )
    for name in ("module.so", "anchors.pem", "pam_sc.toml"):
        (tmp_path / name).chmod(0o644)
    return path


@pytest.mark.parametrize(("service", "required"), [(None, False), ("login", False), ("sudo", True), ("sudo-i", False)])
def test_a_command_uses_what_holds_for_its_service(
    machine: RealMachine, file: Path, service: str | None, required: bool
) -> None:
    assert machine.load_configuration(str(file), service).card_required is required


def test_the_findings_of_a_service_are_told_once_and_at_its_own_line(machine: RealMachine, file: Path) -> None:
    found = [each for each in machine.check(str(file)).findings if "allow_no_pin" in each.where]
    assert [(each.severity, each.where, each.line) for each in found] == [
        (Weight.WARNING, "service.sudo.pin.allow_no_pin", 10)
    ]
    whole = machine.check(str(file)).findings
    assert len({(each.where, each.text) for each in whole}) == len(whole)
    assert not [each for each in whole if each.where.startswith("service.login")]


def test_a_service_that_demands_a_card_and_has_no_stack_is_an_error(machine: RealMachine, file: Path) -> None:
    errors = [each for each in machine.check(str(file)).findings if each.severity is Weight.ERROR and "pam.d" in each.where]
    assert [each.where for each in errors] == [f"{file.parent}/pam.d/sudo"]


def test_a_mistake_in_a_service_is_all_that_is_said(machine: RealMachine, file: Path) -> None:
    file.write_text(file.read_text() + "[service.su]\nwiat = 1\n")
    with pytest.raises(ConfigError, match=r"service\.su\.wiat: found an unknown key"):
        machine.check(str(file))


def test_check_config_says_what_is_otherwise_in_each_service(machine: RealMachine, file: Path) -> None:
    run = CliRunner().invoke(cli, ["check-config", str(file)], obj=machine)
    lines = run.output.splitlines()
    begins = {line: at for at, line in enumerate(lines) if line.startswith("What ")}
    names = [line for line in begins if line.startswith("What is otherwise in")]
    assert names == ["What is otherwise in login:", "What is otherwise in sudo:"]
    login, sudo = (begins[name] for name in names)
    assert [line.split(maxsplit=1)[1] for line in lines[login + 1 : sudo]] == ["In login the same holds as elsewhere."]
    said = " ".join(" ".join(lines[sudo + 1 : begins["What is to be said about it:"]]).split())
    assert "the answer is a refusal: no later module may take its place." in said
    assert "A card that asks for no PIN logs in whoever holds it." in said
    assert said.count(".") == 2


def test_check_config_gives_programs_the_same_of_each_service(machine: RealMachine, file: Path) -> None:
    run = CliRunner().invoke(cli, ["check-config", str(file), "--json"], obj=machine)
    found = json.loads(run.output)
    assert sorted(found["services"]) == ["login", "sudo"]
    assert found["services"]["login"] == [{"topic": "login", "text": "In login the same holds as elsewhere."}]
    assert [each["topic"] for each in found["services"]["sudo"]] == ["login", "pin"]
