# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins by a file in a home: believed where a login begins with nothing, refused where it would give somebody more."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pexpect
import pytest
from cryptography.hazmat.primitives import serialization

from tests.support import rig as codes
from tests.support.installation import PAM_SC
from tests.support.login_setup import LoginSetup
from tests.support.namespace import is_available
from tests.support.pam_host import Outcome
from tests.support.pam_world import World
from tests.support.pki import Issued
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

KEYS, CERTIFICATES = ".ssh/authorized_keys", ".eid/authorized_certificates"
OPENSSH, OPENSC = 'name = "openssh"', 'name = "opensc"'
NOT_BELIEVED = "home-file-not-believed"


def key_line(issued: Issued) -> str:
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return issued.certificate.public_key().public_bytes(*form).decode() + "\n"


class Site:
    """A world with one card, whose certificate names nobody of it, and configurations that differ in their mapper."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rig = Rig(world)
        self.issued = self.rig.setup.authority.issue(common_name="Somebody", key="p256")
        self.other = self.rig.setup.authority.issue(common_name="Somebody", key="p384")
        self._text = world.path(self.rig.setup.card("card", [Entry(self.issued, id=b"\1")])).read_text()
        own = LoginSetup(world.path("/srv/own"), "/srv/own", card_owner=(4001, 4001), authority=self.rig.setup.authority)
        self._alices = world.path(own.card("card", [Entry(self.issued, id=b"\1")])).read_text()

    def config(self, mapper: str = OPENSSH, more: str = "", *, caller: str | None = None) -> str:
        """A configuration with this mapper alone; for a caller without privilege, with a token of its own."""
        text = (self._alices if caller else self._text).replace('[[mapper]]\nname = "cn"\n', f"[[mapper]]\n{mapper}\n{more}")
        return self.world.put(f"{INSIDE}/homes.toml", text)

    def put(self, content: str, path: str = KEYS, account: str = "alice", mode: int = 0o600) -> None:
        """Write a file in a home as its owner would."""
        owner = self.world.account(account)
        inside = self.world.put(f"{owner.home}/{path}", content, mode=mode, owner=account)
        folder = self.world.path(inside).parent
        os.chown(folder, owner.uid, owner.gid)
        folder.chmod(0o700)

    def login(self, mapper: str = OPENSSH, *, more: str = "", account: str | None = "alice", service: str = "login",
              caller: str | None = None) -> Outcome:
        """Log in through a service of this name."""
        return self.rig.login(self.config(mapper, more, caller=caller), account=account, name=service, caller=caller)

    def su(self, mapper: str, more: str = "", caller: str = "bob") -> tuple[bool, list[str]]:
        """Whether the real su gives alice to `caller`, and the reasons that it logged."""
        self.rig.service(self.config(mapper, more), name="su", control="required")
        before = len(self.world.logged())
        child = self.world.spawn(["su", "alice", "-c", 'echo "<$(id -un)>"'], user=caller)
        shown = ""
        while child.expect(["PIN[^:]*: ?", pexpect.EOF]) == 0:
            shown += child.before
            child.sendline(PIN)
        shown += child.before
        lines = [line.text for line in self.world.logged()[before:] if "refused reason=" in line.text]
        return "<alice>" in shown, [line.split("reason=")[1].split()[0] for line in lines]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("homes") / "world") as world:
        yield Site(world)


@pytest.fixture
def site(made: Site) -> Site:
    """The site without any file in a home, and with alice's key file."""
    for name in ("alice", "bob", "root"):
        for path in made.world.path(f"/home/{name}").iterdir():
            shutil.rmtree(path)
    made.put(f"# mine\n{key_line(made.issued)}")
    return made


def granted(outcome: Outcome, account: str = "alice") -> bool:
    assert (outcome.code, outcome.user) == (codes.SUCCESS, account), outcome
    return True


def refused(outcome: Outcome, why: str, code: int = codes.AUTH_ERR) -> bool:
    """The login was refused for this reason, and nobody was asked for a PIN."""
    assert (outcome.code, reason(outcome), prompts(outcome)) == (code, why, ())
    return True


# Where a login begins with nothing


def test_the_key_of_the_card_in_the_accounts_file_is_granted(site: Site) -> None:
    assert granted(site.login())


def test_another_key_in_the_accounts_file_is_not(site: Site) -> None:
    site.put(key_line(site.other))
    assert refused(site.login(), "not-mapped", codes.USER_UNKNOWN)


def test_the_key_in_the_file_of_somebody_else_is_not(site: Site) -> None:
    assert refused(site.login(account="bob"), "not-mapped", codes.USER_UNKNOWN)


def test_a_key_with_an_option_is_not_granted_as_if_there_were_none(site: Site) -> None:
    site.put(f'command="/bin/true" {key_line(site.issued)}')
    assert refused(site.login(), "not-mapped", codes.USER_UNKNOWN)


def test_the_certificate_in_the_accounts_list_is_granted(site: Site) -> None:
    site.put(site.other.pem.decode() + site.issued.pem.decode(), CERTIFICATES)
    assert granted(site.login(OPENSC))


def test_another_certificate_in_the_accounts_list_is_not(site: Site) -> None:
    site.put(site.other.pem.decode(), CERTIFICATES)
    assert refused(site.login(OPENSC), "not-mapped", codes.USER_UNKNOWN)


def test_a_file_that_others_can_write_is_refused_with_a_reason_of_its_own(site: Site) -> None:
    site.put(key_line(site.issued), mode=0o664)
    assert refused(site.login(), NOT_BELIEVED)
    told = site.world.run([*PAM_SC, "explain", "alice", "--config", site.config()]).stdout
    assert "can be written by its group or by others (chmod go-w)" in " ".join(told.split())


def test_another_mapper_that_knows_the_account_is_not_hindered_by_the_file(site: Site) -> None:
    site.put(key_line(site.issued), mode=0o664)
    site.world.put("/etc/pam_sc/cn_map", "Somebody -> alice\n")
    assert granted(site.login(f'{OPENSSH}\n[[mapper]]\nname = "cn"\nmapfile = "/etc/pam_sc/cn_map"'))


def test_a_caller_without_privilege_is_granted_its_own_account(site: Site) -> None:
    assert granted(site.login(service="swaylock", caller="alice"))
    assert granted(site.login(service="swaylock", caller="alice", account=None))


def test_a_caller_without_privilege_whose_file_has_another_key_is_not(site: Site) -> None:
    site.put(key_line(site.other))
    assert refused(site.login(service="swaylock", caller="alice"), "not-mapped", codes.USER_UNKNOWN)


def test_root_is_granted_only_where_root_is_allowed(site: Site) -> None:
    site.put(key_line(site.issued), account="root")
    assert refused(site.login(account="root"), "root-not-allowed")
    assert granted(site.login(account="root", more="[account]\nallow_root = true\n"), "root")


# Where it would give somebody more


@pytest.mark.parametrize("service", ["su", "su-l", "sudo", "sudo-i", "doas", "run0", "polkit-1", "pkexec"])
@pytest.mark.parametrize("mapper", [OPENSSH, OPENSC])
def test_services_that_give_privilege_refuse_it_even_for_root(site: Site, mapper: str, service: str) -> None:
    site.put(site.issued.pem.decode(), CERTIFICATES)
    assert refused(site.login(mapper, service=service), NOT_BELIEVED)


def test_a_service_that_the_mapper_names_is_granted_and_no_other(site: Site) -> None:
    named = f'{OPENSSH}\nbelieved_for = ["sudo"]'
    assert granted(site.login(named, service="sudo"))
    assert refused(site.login(named, service="su"), NOT_BELIEVED)


def test_a_service_that_the_configuration_calls_privileged_refuses_it(site: Site) -> None:
    more = '[account]\nprivileged_services = ["kiosk"]\n'
    assert refused(site.login(service="kiosk", more=more), NOT_BELIEVED)
    assert granted(site.login(service="sudo", more=more))


def test_the_real_su_refuses_the_file_of_the_account_that_is_asked_for(site: Site) -> None:
    assert site.su(OPENSSH) == (False, [NOT_BELIEVED])


def test_the_real_su_refuses_it_as_a_setuid_program_where_no_service_is_privileged(site: Site) -> None:
    assert site.su(OPENSSH, "[account]\nprivileged_services = []\n") == (False, [NOT_BELIEVED])


def test_the_real_su_is_granted_where_the_mapper_names_it(site: Site) -> None:
    assert site.su(f'{OPENSSH}\nbelieved_for = ["su"]') == (True, [])


# The administrator's own files


def test_the_administrators_file_is_believed_everywhere(site: Site) -> None:
    site.world.put("/etc/keys/alice", key_line(site.issued))
    mapper = f'{OPENSSH}\nfile = "/etc/keys/%u"'
    assert granted(site.login(mapper, service="sudo"))
    assert site.su(mapper) == (True, [])


def test_the_administrators_file_that_is_missing_maps_nobody(site: Site) -> None:
    assert refused(site.login(f'{OPENSSH}\nfile = "/etc/nothing/%u"'), "not-mapped", codes.USER_UNKNOWN)


def test_the_administrators_file_that_is_not_roots_is_not_believed(site: Site) -> None:
    site.world.put("/etc/keys/alice", key_line(site.issued), owner="alice")
    assert refused(site.login(f'{OPENSSH}\nfile = "/etc/keys/%u"'), "mapper-failed")


# Without the name of an account


def test_no_home_is_scanned_for_the_cards_owner_unless_configured(site: Site) -> None:
    assert refused(site.login(account=None), "not-mapped", codes.USER_UNKNOWN)


SCAN = f"{OPENSSH}\nscan_homes = true"


def test_scanned_homes_name_the_cards_owner(site: Site) -> None:
    assert granted(site.login(SCAN, account=None))


def test_two_homes_that_claim_the_card_never_pick_one(site: Site) -> None:
    site.put(key_line(site.issued), account="bob")
    assert refused(site.login(SCAN, account=None), "mapped-to-several", codes.USER_UNKNOWN)


def test_a_home_that_cannot_be_believed_stops_nobody_elses_login(site: Site) -> None:
    site.put(key_line(site.issued), account="bob", mode=0o666)
    assert granted(site.login(SCAN, account=None))


def test_scanned_homes_never_name_root(site: Site) -> None:
    site.put("")
    site.put(key_line(site.issued), account="root")
    assert refused(site.login(SCAN, account=None), "not-mapped", codes.USER_UNKNOWN)


# What the command line says


def test_explain_comes_to_what_a_login_does(site: Site) -> None:
    def explained(more: str = "") -> tuple[int, str]:
        argv = [*PAM_SC, "explain", "alice", "--json", "--config", site.config(OPENSSH)]
        done = site.world.run([*argv, *more.split()])
        found = json.loads(done.stdout)
        return done.returncode, found.get("reason") or found["verdict"]

    assert explained() == (0, "stopped")
    assert explained("--service sudo") == (1, NOT_BELIEVED)
