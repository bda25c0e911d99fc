# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins whose account comes from the account database or from a program: pwent, generic, null and command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import rig as codes
from tests.support.installation import PREFIX
from tests.support.namespace import is_available
from tests.support.pam_host import Outcome
from tests.support.pam_world import World
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import Entry

pytestmark = pytest.mark.root

EVERYBODY = [
    "carol:x:4003:4003:Carol Example,1,,:/home/carol:/bin/sh",
    "carol2:x:4004:4004:Carol Example,2,,:/home/carol2:/bin/sh",
    "toor:x:0:4000:Charlie Root:/home/root:/bin/sh",
]
NAMES = '[account]\ncard_names_user = ["test"]\n'
FOLDER = "/opt/programs"


class Site:
    """A world with a card for each common name, and configurations that differ in their mapper."""

    def __init__(self, world: World) -> None:
        self.rig = Rig(world)
        passwd = world.path("/etc/passwd")
        latin = "latin:x:4005:4005:J\u00f6rg:/home/latin:/bin/sh\n".encode("latin-1")
        passwd.write_bytes(latin + "\n".join([passwd.read_text().rstrip("\n"), *EVERYBODY, ""]).encode())
        self._cards: dict[str, str] = {}

    def card(self, name: str) -> str:
        """The text of the configuration of a card whose certificate has this common name."""
        if name not in self._cards:
            issued = self.rig.setup.authority.issue(common_name=name, key="p256")
            path = self.rig.setup.card(f"card{len(self._cards)}", [Entry(issued, id=b"\1")])
            self._cards[name] = self.rig.world.path(path).read_text()
        return self._cards[name]

    def config(self, name: str, mapper: str, top: str = "") -> str:
        """A configuration with this card and this mapper alone."""
        text = self.card(name).replace('[[mapper]]\nname = "cn"\n', f"[[mapper]]\n{mapper}\n{top}")
        return self.rig.world.put(f"{INSIDE}/lookup.toml", text)

    def login(self, name: str, mapper: str, *, account: str | None = "alice", top: str = "", **more: Any) -> Outcome:
        """Log in with the card of this common name."""
        return self.rig.login(self.config(name, mapper, top), account=account, **more)

    def program(self, body: str, name: str = "program", mode: int = 0o755) -> str:
        """Write a program of the administrator's, and return the mapper that runs it."""
        path = self.rig.world.put(f"{FOLDER}/{name}", f"#!/usr/bin/python3 -I\nimport os, sys, json, time\n"
                                  f"asked = json.loads(sys.stdin.readline())\n{body}\n", mode=mode)
        return f'name = "command"\nprogram = ["{path}"]\ntimeout = 2'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("lookups") / "world") as world:
        yield Site(world)


def granted(outcome: Outcome) -> str | None:
    assert outcome.code == codes.SUCCESS, outcome
    return outcome.user


def refused(outcome: Outcome, why: str) -> bool:
    """The login was refused for this reason, and nobody was asked for a PIN."""
    assert (outcome.code != codes.SUCCESS, reason(outcome), prompts(outcome)) == (True, why, ())
    return True


# ---------------------------------------------------------------- pwent


PWENT = 'name = "pwent"'


@pytest.mark.parametrize("name", ["alice", "Alice Example"])
def test_a_common_name_is_the_name_or_the_full_name_of_the_account(site: Site, name: str) -> None:
    assert granted(site.login(name, PWENT)) == "alice"
    assert refused(site.login(name, PWENT, account="bob"), "not-mapped")


def test_the_case_counts_unless_configured(site: Site) -> None:
    assert refused(site.login("ALICE EXAMPLE", PWENT), "not-mapped")
    assert granted(site.login("ALICE EXAMPLE", f"{PWENT}\nignore_case = true")) == "alice"


def test_without_a_name_the_card_names_the_account(site: Site) -> None:
    assert granted(site.login("Alice Example", PWENT, account=None, top=NAMES)) == "alice"
    assert granted(site.login("alice", PWENT, account=None, top=NAMES)) == "alice"


def test_two_accounts_of_one_full_name_are_never_picked_from(site: Site) -> None:
    assert refused(site.login("Carol Example", PWENT, account=None, top=NAMES), "mapped-to-several")
    assert granted(site.login("Carol Example", PWENT, account="carol2")) == "carol2"


def test_nobody_of_that_name_is_nobody(site: Site) -> None:
    assert refused(site.login("Dave Example", PWENT, account=None, top=NAMES), "not-mapped")


def test_a_full_name_gives_nobody_more_than_they_have(site: Site) -> None:
    def by(service: str, name: str, mapper: str = PWENT) -> Outcome:
        return site.rig.login(site.config(name, mapper), name=service)

    assert refused(by("sudo", "Alice Example"), "not-mapped")
    assert granted(by("sudo", "alice")) == "alice"
    assert granted(by("login", "Alice Example")) == "alice"
    named = f'{PWENT}\nbelieved_for = ["sudo"]'
    assert granted(by("sudo", "Alice Example", named)) == "alice"
    assert refused(by("su", "Alice Example", named), "not-mapped")


def test_root_by_another_name_is_root(site: Site) -> None:
    assert refused(site.login("Charlie Root", PWENT, account="toor"), "root-not-allowed")
    assert refused(site.login("Charlie Root", PWENT, account="root"), "root-not-allowed")


def test_a_name_service_that_lists_too_many_is_an_error_only_for_those_who_need_the_list(site: Site) -> None:
    passwd = site.rig.world.path("/etc/passwd")
    before = passwd.read_bytes()
    lines = b"".join(b"u%d:x:%d:100:Many:/:/bin/sh\n" % (n, 100_000 + n) for n in range(100_001))
    passwd.write_bytes(before + lines)
    try:
        assert refused(site.login("Alice Example", PWENT, account=None, top=NAMES), "mapper-failed")
        assert granted(site.login("Alice Example", PWENT)) == "alice"
        assert granted(site.login("alice", PWENT, account=None, top=NAMES)) == "alice"
    finally:
        passwd.write_bytes(before)


def test_pwent_works_from_the_configuration_of_pam_pkcs11(site: Site) -> None:
    """As the hardening guides for US government machines want it."""
    toml = site.card("Alice Example")
    module = toml.split('path = "')[1].split('"')[0]
    token = toml.split('SOFTHSM2_CONF = "')[1].split('"')[0]
    site.rig.world.put("/etc/softhsm/softhsm2.conf", site.rig.world.path(token).read_text())
    site.rig.world.path("/etc/softhsm").chmod(0o755)  # its format has no place for a module's environment
    text = f"""pam_pkcs11 {{
  use_pkcs11_module = soft;
  pkcs11_module soft {{
    module = {module};
    ca_dir = {INSIDE}/anchors;
    crl_dir = {INSIDE}/crls;
    cert_policy = ca,signature,crl_auto;
  }}
  use_mappers=pwent;
}}
"""
    config = site.rig.world.put(f"{INSIDE}/pam_pkcs11.conf", text)
    site.rig.world.put("/etc/pam_pkcs11/pam_pkcs11.conf", text)
    assert granted(site.rig.login(config)) == "alice"
    assert refused(site.rig.login(config, account="bob"), "not-mapped")


# ---------------------------------------------------------------- generic and null


def test_generic_through_nss(site: Site) -> None:
    generic = 'name = "generic"\nitem = "cn"\nstrip_prefix = "Dr. "\nthrough_nss = true'
    assert granted(site.login("Dr. Alice Example", generic)) == "alice"
    assert refused(site.login("Alice Example", generic), "not-mapped")


def test_null_opens_the_one_account_for_every_trusted_card(site: Site) -> None:
    insist = "i_know_that_any_trusted_card_opens_this_account = true"
    assert granted(site.login("anybody", f'name = "null"\nany_card_is = "bob"\n{insist}', account="bob")) == "bob"
    assert refused(site.login("anybody", f'name = "null"\nany_card_is = "bob"\n{insist}'), "not-mapped")
    assert refused(site.login("anybody", 'name = "null"\nany_card_is = "bob"', account="bob"), "configuration-unusable")
    toor = f'name = "null"\nany_card_is = "toor"\n{insist}'
    assert refused(site.login("root", toor, account="toor", top="[account]\nallow_root = true\n"), "mapper-failed")


# ---------------------------------------------------------------- command


CLAIMS_ALICE = """
name = asked["certificate"]["common_names"][0]
if asked["question"] == "claims":
    print(json.dumps({"claims": name == "Alice" and asked["account"] == "alice"}))
else:
    print(json.dumps({"accounts": ["alice"] if name == "Alice" else []}))
"""


def test_a_program_says_whose_card_it_is(site: Site) -> None:
    mapper = site.program(CLAIMS_ALICE)
    assert granted(site.login("Alice", mapper)) == "alice"
    assert refused(site.login("Alice", mapper, account="bob"), "not-mapped")
    assert refused(site.login("Mallory", mapper), "not-mapped")
    assert granted(site.login("Alice", mapper, account=None, top=NAMES)) == "alice"


@pytest.mark.parametrize(("body", "why"), [
    ("sys.exit(1)", "program-failed"),
    ("print('{\"claims\": true}'); sys.exit(1)", "program-failed"),
    ("print('{\"claims\": true}', flush=True); os.kill(os.getpid(), 11)", "program-failed"),
    ("print('{\"claims\": true}', flush=True); os.kill(os.getppid(), 9)", "program-failed"),
    ("print('{\"claims\": true}', flush=True); time.sleep(60)", "program-timeout"),
    ("print('{\"claims\": true}\\n{\"claims\": true}')", "program-answer-unusable"),
    ("print('{\"claims\": true, \"claims\": true}')", "program-answer-unusable"),
    ("print('yes')", "program-answer-unusable"),
    ("print('{\"claims\": \"true\"}')", "program-answer-unusable"),
    ("print('x' * 70000)", "program-answer-unusable"),
    ("pass", "program-answer-unusable"),
])
def test_a_program_that_does_not_answer_as_it_must_refuses_before_a_pin(site: Site, body: str, why: str) -> None:
    assert refused(site.login("Alice", site.program(body)), why)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o644, 0o700])
def test_a_program_that_others_can_change_or_that_cannot_be_run_is_refused(site: Site, mode: int) -> None:
    mapper = site.program(CLAIMS_ALICE, f"mode{mode:o}", mode)
    why = "program-failed" if mode == 0o700 else "configuration-unusable"
    assert refused(site.login("Alice", mapper), why)


@pytest.mark.parametrize("account", ["pam_sc", "pam_sc_card", "root", "hidden", "missing"])
def test_a_program_runs_as_nobody_that_a_login_needs(site: Site, account: str) -> None:
    mapper = f'{site.program(CLAIMS_ALICE)}\nrun_as = "{account}"'
    assert refused(site.login("Alice", mapper), "configuration-unusable")


HOSTILE = """
import ctypes, glob, signal
libc = ctypes.CDLL(None, use_errno=True)
done = []
def attempt(name, what):  # an attempt has succeeded unless it raises
    try:
        if what() not in (b"", []):  # those of kernel threads are empty for everybody
            done.append(name)
    except OSError:
        pass
runner = os.getppid()
for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
    if pid in (os.getpid(), runner):
        continue
    attempt(f"kill {pid}", lambda: os.kill(pid, 0))
    if libc.ptrace(16, pid, 0, 0) == 0:
        done.append(f"trace {pid}")
for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
    if pid != os.getpid():
        for what in ("environ", "mem", "maps"):
            attempt(f"read {what} of {pid}", lambda: open(f"/proc/{pid}/{what}", "rb").read(1))
        attempt(f"list descriptors of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
for path in ("/etc/shadow", *glob.glob("/srv/login/cards/*/*/*")):
    attempt(f"read {path}", lambda: open(path, "rb"))
for path in ("/etc/passwd", "/srv/login/lookup.toml", "/opt/programs/program", "/var/lib/pam_sc/x", "/root/x", "/etc/x"):
    attempt(f"write {path}", lambda: open(path, "ab"))
attempt("become root", lambda: os.setuid(0))
for number in range(3, 64):
    attempt(f"use descriptor {number}", lambda: os.fstat(number))
done += [f"environment {k}" for k in os.environ if k not in ("PATH", "LANG", "LC_CTYPE")]
if os.getuid() != 65534 or os.getgroups() not in ([], [65534]):
    done.append(f"ids {os.getuid()} {os.getgroups()}")
with open("/dev/shm/done", "w") as file:
    json.dump(done, file)
print(json.dumps({"claims": True}))
"""


def test_a_hostile_program_gets_nothing_of_the_login(site: Site) -> None:
    assert granted(site.login("Alice", site.program(HOSTILE))) == "alice"
    done = site.rig.world.path("/dev/shm/done")
    assert json.loads(done.read_text()) == []
    assert done.stat().st_mode & 0o777 == 0o600
    done.unlink()


def test_a_caller_without_privilege_runs_the_program_as_itself(site: Site) -> None:
    body = 'print(json.dumps({"claims": os.getuid() == 4001 and asked["account"] == "alice"}))'
    config = site.config("Alice", site.program(body))
    for path in site.rig.world.path(f"{INSIDE}/cards").rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert granted(site.rig.login(config, caller="alice")) == "alice"


def test_explain_runs_the_same_program_in_the_same_way(site: Site) -> None:
    config = site.config("Alice", site.program(CLAIMS_ALICE))
    assert explained(site, config, "alice")["step"] == 9
    assert explained(site, config, "bob")["reason"] == "not-mapped"
    config = site.config("Alice", site.program("print(os.getuid())"))
    assert explained(site, config, "alice")["reason"] == "program-answer-unusable"


def explained(site: Site, config: str, account: str) -> Any:
    main = "from pam_sc.cli.main import main; main()"
    argv = [f"{PREFIX}/bin/python3", "-I", "-c", main, "explain", account, "--config", config, "--json"]
    done = site.rig.world.run(argv)
    assert done.stderr == ""
    return json.loads(done.stdout)
