# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example of docs/writing-a-mapper.md: built into a wheel, installed beside pam_sc, and used by a real login."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.support import rig as codes
from tests.support.installation import PREFIX, installed_for
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, Issued
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import Entry

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "docs" / "examples" / "employee-mapper"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
SITE_PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
OFFLINE = ["--no-index", "--no-deps"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the example, built from a copy of its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(EXAMPLE, folder / "source")
    subprocess.run([*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder / "dist", folder / "source"],
                   check=True, timeout=120)
    (found,) = (folder / "dist").iterdir()
    return found


def install(wheel: Path, target: Path) -> None:
    subprocess.run([*PIP, "install", *OFFLINE, "--target", target, wheel], check=True, timeout=120)


@pytest.fixture(scope="module")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed example alone."""
    folder = tmp_path_factory.mktemp("target")
    install(wheel, folder)
    return folder


def employee(*numbers: str) -> Issued:
    return issued_by(CertificateAuthority(), *numbers)


def issued_by(authority: CertificateAuthority, *numbers: str) -> Issued:
    extra = [x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, each) for each in numbers]
    return authority.issue(common_name="x", extra_subject=extra, key="p256")


MAPS = """
import sys
sys.path.insert(0, sys.argv[1])
from pam_sc.decision.identity import read_subject
from pam_sc.mapping import load_mappers, map_certificate
loaded = load_mappers([("employee", {}, "here")], frozenset({0}))
print(map_certificate(loaded, read_subject(sys.stdin.buffer.read()), sys.argv[2] or None))
"""


@pytest.mark.parametrize(("numbers", "account", "expected"), [
    (("4711",), "e4711", "MappedAccounts(accounts=('e4711',)"),
    (("4711",), "", "MappedAccounts(accounts=('e4711',)"),
    (("4711",), "e471", "MappedAccounts(accounts=('e4711',)"),
    (("04711",), "", "MappedAccounts(accounts=()"),
    ((), "e4711", "MappedAccounts(accounts=()"),
    (("1", "2"), "e1", "MappingFailed(why='employee: a certificate with 2 employee numbers"),
])
def test_an_installed_wheel_maps(target: Path, numbers: tuple[str, ...], account: str, expected: str) -> None:
    done = subprocess.run([sys.executable, "-P", "-c", MAPS, target, account], input=employee(*numbers).der,
                          capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().startswith(expected)


def test_the_tests_of_the_example_pass(target: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", EXAMPLE, "-p", "no:cacheprovider",
         "--import-mode=importlib", EXAMPLE / "test_employee.py"],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False, timeout=120, cwd=target,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_the_page_names_what_the_example_has() -> None:
    page = (REPOSITORY / "docs" / "writing-a-mapper.md").read_text()
    group = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]["pam_sc.mappers"]
    assert group == {"employee": "pam_sc_employee:EmployeeMapper"}
    assert 'employee = "pam_sc_employee:EmployeeMapper"' in page
    assert "pam_sc_employee-1.0-py3-none-any.whl" in page


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the environment of pam_sc into which the example is installed as well."""
    copy = tmp_path_factory.mktemp("prefix") / "pam_sc"
    whole = ["cp", "-R", "-P", installed_for(0), copy]
    if subprocess.run([*whole, "--link"], check=False, capture_output=True).returncode != 0:  # another file system
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(whole, check=True)
    install(wheel, copy / SITE_PACKAGES)
    yield copy
    shutil.rmtree(copy)


@pytest.fixture(scope="module")
def rig(namespaces: None, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with World.create(tmp_path_factory.mktemp("example") / "world", prefix=prefix) as world:
        passwd = world.path("/etc/passwd")
        passwd.write_text(passwd.read_text() + "e4711:x:4711:4711::/home/e4711:/bin/sh\n")
        yield Rig(world)


@pytest.fixture(scope="module")
def config(rig: Rig) -> str:
    """The configuration of a card with number 4711, and the mapper of the example."""
    path = rig.setup.card("employee", [Entry(issued_by(rig.setup.authority, "4711"), id=b"\1")])
    text = rig.world.path(path).read_text().replace('name = "cn"', f'name = "employee"\nlist = "{INSIDE}/list"')
    return rig.world.put(path, text)


def test_a_login_by_the_example(rig: Rig, config: str) -> None:
    rig.world.put(f"{INSIDE}/list", "17\n4711\n")
    assert rig.login(config, account="e4711").code == codes.SUCCESS
    outcome = rig.login(config, account="alice")
    assert (outcome.code, reason(outcome), prompts(outcome)) == (codes.USER_UNKNOWN, "not-mapped", ())


def test_who_is_not_listed_has_no_login(rig: Rig, config: str) -> None:
    rig.world.put(f"{INSIDE}/list", "17\n")
    outcome = rig.login(config, account="e4711")
    assert (outcome.code, reason(outcome), prompts(outcome)) == (codes.USER_UNKNOWN, "not-mapped", ())


def test_a_list_that_others_can_change_is_a_configuration_that_cannot_be_used(rig: Rig, config: str) -> None:
    rig.world.put(f"{INSIDE}/list", "4711\n", mode=0o666)
    outcome = rig.login(config, account="e4711")
    assert (outcome.code, reason(outcome), prompts(outcome)) == (codes.SERVICE_ERR, "configuration-unusable", ())


def test_the_command_line_lists_it(rig: Rig, config: str) -> None:
    rig.world.put(f"{INSIDE}/list", "4711\n")
    main = "from pam_sc.cli.main import main; main()"
    done = rig.world.run([f"{PREFIX}/bin/python3", "-I", "-c", main, "mappers", "--config", config, "--json"])
    assert done.stderr == ""
    found = json.loads(done.stdout)
    (listed,) = [each for each in found["mappers"] if each["name"] == "employee"]
    assert (listed["distribution"], listed["version"], found["problems"]) == ("pam_sc_employee", "1.0", [])
    assert listed["configured"] == [f"{config}: mapper[0]"]
