# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself, with components that are not ours: what it shows of a login can be believed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from tests.support import pam_host
from tests.support.installation import harness_for_all, installed_for
from tests.support.namespace import Cover, Namespace
from tests.support.pam_host import Login
from tests.support.pam_world import HARNESS, World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority

KINDS = {0x9A: "rsa2048", 0x9C: "p256", 0x9D: "p384", 0x9E: "rsa2048"}
PROGRAM = f"{HARNESS}/tests/support/pam_host.py"


@pytest.fixture
def card(pcscd: Pcscd) -> VirtualCard:
    """A PIV card with four keys, in the reader."""
    authority = CertificateAuthority()
    made = pcscd.card(PivApplet({reference: authority.issue(key=kind) for reference, kind in KINDS.items()}))
    made.insert()
    return made


def pkcs11_tool(world: World, *arguments: str, user: str = "alice") -> subprocess.CompletedProcess[str]:
    """Run pkcs11-tool with OpenSC in the world."""
    return world.run(["pkcs11-tool", "--module", opensc_module(), *arguments], user=user)


def sign(world: World, identifier: str, mechanism: str, data: bytes, *pin: str) -> bytes:
    """A signature by the card; empty if it gave none."""
    world.put("/srv/data", data)
    world.put("/srv/signature", b"", owner="alice")
    pkcs11_tool(world, *pin, "--sign", "--id", identifier, "-m", mechanism, "-i", "/srv/data", "-o", "/srv/signature")
    return world.path("/srv/signature").read_bytes()


def test_the_world_has_its_own_accounts_and_the_machine_keeps_its(world: World) -> None:
    before = Path("/etc/passwd").read_bytes()
    assert world.run(["id", "-u", "alice"]).stdout == "4001\n"
    assert world.run(["id", "-u", "hidden"]).stdout == "0\n"
    world.run(["sh", "-c", "echo eve:x:4003:4003::/:/bin/sh >> /etc/passwd"])
    assert world.run(["id", "-u", "eve"]).stdout == "4003\n"
    assert Path("/etc/passwd").read_bytes() == before


def test_the_accounts_of_a_world_can_run_what_lies_in_a_clone_that_is_closed_to_them(tmp_path: Path) -> None:
    for name in ("tests/support", "tools"):
        (tmp_path / "clone" / name).mkdir(parents=True)
    program = tmp_path / "clone" / "tests" / "support" / "program.py"
    program.write_text("print('ran')")
    for path in (program, *(tmp_path / "clone").rglob("*/"), tmp_path / "clone"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    shown = harness_for_all(tmp_path / "clone")
    result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/python3",
                             str(shown / "tests" / "support" / "program.py")], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("ran\n", "")


def test_an_environment_that_is_closed_to_others_is_copied_for_a_world(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages" / "package"
    packages.mkdir(parents=True)
    (packages / "module.py").touch(0o600)
    for path in (tmp_path, *tmp_path.rglob("*/")):
        path.chmod(0o755)
    assert installed_for(0, tmp_path) == tmp_path
    installed_for.cache_clear()
    packages.chmod(0o700)
    copy = installed_for(0, tmp_path)
    assert copy != tmp_path
    assert (copy / packages.relative_to(tmp_path)).stat().st_mode & 0o777 == 0o755
    assert (copy / packages.relative_to(tmp_path) / "module.py").stat().st_mode & 0o777 == 0o644


def test_a_command_runs_as_the_user_with_that_users_groups_only(world: World) -> None:
    assert world.run(["id", "-Gn"], user="bob").stdout == "bob\n"
    assert world.run(["cat", "/etc/shadow"], user="bob").returncode != 0


def test_a_source_may_lie_in_a_folder_that_is_covered_before_it(namespaces: None, tmp_path: Path) -> None:
    for name in ("cover", "covered/clone"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cover" / "target").mkdir()
    (tmp_path / "covered" / "clone" / "file").write_text("seen")
    covers = [Cover(tmp_path / "cover", str(tmp_path / "covered")),
              Cover(tmp_path / "covered" / "clone", str(tmp_path / "covered" / "target"))]
    with Namespace(covers) as namespace:
        assert namespace.run(["cat", f"{tmp_path}/covered/target/file"]).stdout == "seen"


def test_nothing_of_the_world_is_left_on_the_machine(world: World) -> None:
    world.run(["touch", "/etc/left", "/dev/left", "/run/left", "/srv/left", "/var/lib/left"])
    assert not [path for path in ("/etc/left", "/dev/left", "/run/left", "/srv/left", "/var/lib/left")
                if Path(path).exists()]
    assert str(world.folder) not in Path("/proc/self/mountinfo").read_text()


def test_su_asks_the_pam_service_of_the_world(world: World) -> None:
    world.pam_service("su", ["sufficient pam_permit.so"])
    assert world.run(["su", "alice", "-c", "id -un"], user="bob").stdout == "alice\n"
    world.pam_service("su", ["required pam_deny.so"])
    assert world.run(["su", "alice", "-c", "id -un"], user="bob").returncode != 0


def test_a_terminal_program_is_talked_to(world: World) -> None:
    world.pam_service("su", ["requisite pam_exec.so expose_authtok quiet /usr/bin/grep -q 1234",
                             "required pam_permit.so"])
    child = world.spawn(["su", "alice", "-c", "id -un"], user="bob")
    child.expect("Password: ")
    child.sendline("1234")
    child.expect("alice")


def test_syslog_is_read_with_facility_and_severity(world: World) -> None:
    world.pam_service("su", ["required pam_warn.so", "sufficient pam_permit.so"])
    world.run(["su", "alice", "-c", "true"], user="bob")
    line = next(line for line in world.logged() if "pam_warn" in line.text)
    assert (line.facility, line.severity, line.program) == (10, 5, "su")
    assert "user=[alice]" in line.text


def test_the_scripted_application_reports_code_prompts_and_log(world: World) -> None:
    world.pam_service("demo", ["optional pam_warn.so",
                               "required pam_exec.so expose_authtok quiet /usr/bin/grep -q 1234"])
    good = Login(service="demo", user="alice", answers=["1234"], functions=["authenticate", "acct_mgmt"])
    outcome = good.run(lambda argv, text: world.run(argv, input=text), program=PROGRAM)
    assert outcome.codes == {"authenticate": 0, "acct_mgmt": 0}
    assert outcome.texts(pam_host.ECHO_OFF) == ("Password: ",)
    assert any("pam_warn" in line for line in outcome.log)
    bad = Login(service="demo", user="alice", answers=["4321"])
    assert bad.run(lambda argv, text: world.run(argv, input=text), program=PROGRAM).code != 0


@pytest.mark.parametrize("answer", [{"null": True}, {"fail": 19}, {"response": "null"}])
def test_the_scripted_application_can_refuse_to_answer(world: World, answer: pam_host.Answer) -> None:
    world.pam_service("demo", ["required pam_exec.so expose_authtok quiet /usr/bin/grep -q 1234"])
    login = Login(service="demo", user="alice", answers=[answer])
    assert login.run(lambda argv, text: world.run(argv, input=text), program=PROGRAM).code != 0


def test_an_ordinary_user_lists_the_card_of_the_world(world: World, card: VirtualCard) -> None:
    listed = pkcs11_tool(world, "-O", "--type", "cert").stdout
    assert listed.count("Certificate Object") == len(KINDS)
    assert "CN=alice" in listed


@pytest.mark.parametrize(("identifier", "reference"), [("01", 0x9A), ("04", 0x9E)])
def test_the_card_signs_with_rsa(world: World, card: VirtualCard, identifier: str, reference: int) -> None:
    signature = sign(world, identifier, "SHA256-RSA-PKCS", b"text", "--login", "--pin", "123456")
    key = card.applet.slots[reference].key.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(("identifier", "reference"), [("02", 0x9C), ("03", 0x9D)])
def test_the_card_signs_with_ecdsa(world: World, card: VirtualCard, identifier: str, reference: int) -> None:
    raw = sign(world, identifier, "ECDSA", os.urandom(32), "--login", "--pin", "123456")
    key, half = card.applet.slots[reference].key.public_key(), len(raw) // 2
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = utils.encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    key.verify(signature, world.path("/srv/data").read_bytes(), ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def test_the_card_does_not_sign_without_its_pin(world: World, card: VirtualCard) -> None:
    assert sign(world, "01", "SHA256-RSA-PKCS", b"text") == b""
    assert card.applet.signatures == 0


def test_three_wrong_pins_lock_the_card_and_the_puk_opens_it(world: World, card: VirtualCard) -> None:
    for left in (2, 1, 0):
        assert pkcs11_tool(world, "--login", "--pin", "000000", "-O").returncode != 0
        assert card.applet.tries == left
    assert "CKR_PIN_LOCKED" in pkcs11_tool(world, "--login", "--pin", "123456", "-O").stderr
    assert card.applet.answer(b"\x00\x2c\x00\x80\x1012345678123456\xff\xff") == b"\x90\x00"
    assert pkcs11_tool(world, "--login", "--pin", "123456", "-O").returncode == 0


def test_a_card_out_of_the_reader_is_gone_and_comes_back_unverified(world: World, card: VirtualCard) -> None:
    pkcs11_tool(world, "--login", "--pin", "123456", "-O")
    card.remove()
    assert "alice" not in pkcs11_tool(world, "-L").stdout
    card.insert()
    assert not card.applet.pin_verified
    assert "alice" in pkcs11_tool(world, "-L").stdout


def test_the_signature_key_wants_the_pin_immediately_before(card: VirtualCard) -> None:
    verify, request = b"\x00\x20\x00\x80\x08123456\xff\xff", b"\x00\x87\x11\x9c\x26\x7c\x24\x82\x00\x81\x20" + bytes(32)
    assert card.applet.answer(verify) == b"\x90\x00"
    assert card.applet.answer(b"\x00\xcb\x3f\xff\x03\x5c\x01\x7e\x00")[-2:] == b"\x90\x00"
    assert card.applet.answer(request) == b"\x69\x82"
    assert card.applet.answer(verify) == b"\x90\x00"
    assert card.applet.answer(request)[-2:] == b"\x90\x00"


def test_commands_are_counted_and_reset_ends_the_verification(world: World, card: VirtualCard) -> None:
    pkcs11_tool(world, "--login", "--pin", "123456", "-O")
    assert sum(apdu.ins == 0x20 and apdu.data != b"" for apdu in card.applet.log) == 1
    card.applet.reset()
    assert not card.applet.pin_verified
