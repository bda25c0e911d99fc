# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins whose account a directory knows: through libpam, the verifier, the network process and OpenLDAP."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.support import rig as codes
from tests.support.fake_directory import BIND_OK, replies
from tests.support.installation import PAM_SC
from tests.support.namespace import is_available
from tests.support.ocsp_responder import OcspResponder
from tests.support.pam_host import Outcome
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, Issued
from tests.support.rig import Rig, prompts, reason
from tests.support.server_tls import server_certificate
from tests.support.slapd import PEOPLE, SUFFIX, Directory, directory, people, person, referral
from tests.support.tcp_server import serving

pytestmark = pytest.mark.root

PASSWORD = "correct horse battery"
ASKER = f"cn=asker,{PEOPLE}"
CA, SECRET, CLIENT, KEY = (f"/etc/pam_sc/{name}" for name in ("ldap-ca.pem", "ldap.secret", "client.pem", "client.key"))
_CARDS = iter(range(1_000))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world; each case brings its own card and configuration."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("directory") / "world") as world:
        yield Rig(world)


@pytest.fixture(scope="module")
def alice(rig: Rig) -> Issued:
    """A certificate that names nobody: only the directory knows whose it is."""
    return rig.setup.authority.issue(common_name=None)


@pytest.fixture(scope="module")
def shared(rig: Rig) -> Issued:
    """A certificate that two people have."""
    return rig.setup.authority.issue(common_name=None)


@pytest.fixture(scope="module")
def ldap_ca() -> CertificateAuthority:
    return CertificateAuthority("LDAP CA")


@pytest.fixture(scope="module")
def slapd(
    rig: Rig, alice: Issued, shared: Issued, ldap_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Directory]:
    """A directory that shows certificates to `asker` alone."""
    client = ldap_ca.issue(common_name="asker")
    for path, content, mode in ((CA, ldap_ca.pem, 0o644), (SECRET, f"{PASSWORD}\n".encode(), 0o600),
                                (CLIENT, client.pem, 0o644), (KEY, client.key_pem, 0o600)):
        rig.world.put(path, content, mode=mode)
    entries = people(
        person("alice", certificates=[rig.setup.authority.issue().der, alice.der]), person("bob", certificates=[shared.der]),
        person("carol", certificates=[shared.der]), person("asker", password=PASSWORD),
        referral("elsewhere", f"ldap://127.0.0.1:9/{PEOPLE}"),
    )
    database = f"""access to attrs=userPassword by anonymous auth
access to attrs=userCertificate by dn.exact="{ASKER}" read by * none
access to * by * read"""
    with directory(tmp_path_factory.mktemp("slapd"), entries, tls=server_certificate(ldap_ca, "localhost"),
                   client_ca=ldap_ca.pem, options=f'authz-regexp "cn=asker.*" "{ASKER}"', database=database) as running:
        yield running


def mapper(uri: str | Sequence[str], **changes: str | None) -> str:
    """The table of a mapper that asks with a password over verified TLS; None takes a key away."""
    uris = [uri] if isinstance(uri, str) else list(uri)
    keys: dict[str, str | None] = {
        "base": PEOPLE, "ca": CA, "bind_dn": ASKER, "password_file": SECRET, "referrals": "ignore", **changes,
    }
    lines = [f'{key} = "{value}"' for key, value in keys.items() if value is not None]
    return "\n".join(['[[mapper]]\nname = "ldap"', f"uri = {uris}".replace("'", '"'), *lines, ""])


def ldaps(slapd: Directory) -> str:
    return slapd.url("", scheme="ldaps", host="localhost").rstrip("/")


@pytest.fixture
def login(rig: Rig) -> Callable[..., Outcome]:
    """Log in with a certificate under a mapper."""

    def attempt(leaf: Issued | list[Issued], table: str, *arguments: str, more: str = "", **options: object) -> Outcome:
        revocation = options.pop("revocation", None)
        leaves = leaf if isinstance(leaf, list) else [leaf]
        config = rig.setup.card(f"ldap{next(_CARDS)}", leaves, more=table + more, revocation=revocation)  # type: ignore[arg-type]
        return rig.login(config, "debug", *arguments, **options)  # type: ignore[arg-type]

    return attempt


def granted(outcome: Outcome) -> bool:
    assert PASSWORD not in repr(outcome)
    return outcome.codes["authenticate"] == codes.SUCCESS


def refused(outcome: Outcome, why: str, code: int = codes.AUTH_ERR) -> str:
    """Require this refusal before anybody was asked for a PIN; the detail that the log has for debugging."""
    assert (reason(outcome), outcome.codes["authenticate"]) == (why, code), outcome.log
    assert prompts(outcome) == ()
    assert PASSWORD not in repr(outcome)
    return "".join(line for line in outcome.log if " detail" in line)


# ---------------------------------------------------------------- who may log in


@pytest.mark.parametrize("how", ["password", "starttls", "client certificate"])
def test_account_whose_entry_holds_the_certificate_logs_in(
    slapd: Directory, alice: Issued, login: Callable[..., Outcome], how: str
) -> None:
    external: dict[str, Any] = {"bind_dn": None, "password_file": None, "sasl": "external", "client_certificate": CLIENT,
                                "client_key": KEY}
    table = {
        "password": mapper(ldaps(slapd)),
        "starttls": mapper(f"ldap://localhost:{slapd.port}", tls="starttls"),
        "client certificate": mapper(ldaps(slapd), **external),
    }[how]
    assert granted(login(alice, table))
    line = refused(login(alice, table, account="bob"), "not-mapped", codes.USER_UNKNOWN)
    assert "the account's entry does not hold what the certificate has" in line


def test_account_without_an_entry_is_told_apart_in_the_log(
    rig: Rig, slapd: Directory, alice: Issued, login: Callable[..., Outcome]
) -> None:
    line = refused(login(alice, mapper(ldaps(slapd), filter="(uidNumber=1)")), "not-mapped", codes.USER_UNKNOWN)
    assert "the directory has no entry of the account" in line


def test_certificate_that_nobody_has_maps_to_nobody(rig: Rig, slapd: Directory, login: Callable[..., Outcome]) -> None:
    line = refused(login(rig.setup.authority.issue(common_name=None), mapper(ldaps(slapd))), "not-mapped", codes.USER_UNKNOWN)
    assert "does not hold" in line


def test_card_names_the_account_that_the_directory_knows(
    slapd: Directory, alice: Issued, shared: Issued, login: Callable[..., Outcome]
) -> None:
    names_user = '[account]\ncard_names_user = ["test"]\n'
    outcome = login(alice, mapper(ldaps(slapd)), more=names_user, account=None)
    assert granted(outcome)
    refused(login(shared, mapper(ldaps(slapd)), more=names_user, account=None), "directory-several-entries")
    assert granted(login(shared, mapper(ldaps(slapd)), more=names_user, account="bob")), "who says which of them it is"


def test_without_the_right_to_see_certificates_nobody_maps(
    slapd: Directory, alice: Issued, login: Callable[..., Outcome]
) -> None:
    refused(login(alice, mapper(ldaps(slapd), bind_dn=None, password_file=None)), "not-mapped", codes.USER_UNKNOWN)


def test_directory_and_revocation_share_the_network(
    rig: Rig, slapd: Directory, login: Callable[..., Outcome], tmp_path_factory: pytest.TempPathFactory
) -> None:
    online = 'mode = "require"\nfetch = "login"\nloopback = "allow"\ntimeout = 2\n'
    folder = tmp_path_factory.mktemp("both")
    with OcspResponder(rig.setup.authority, folder / "ocsp") as responder:
        leaf = rig.setup.authority.issue(common_name=None, ocsp=[responder.url])
        with directory(folder / "slapd", people(person("alice", certificates=[leaf.der]))) as running:
            table = mapper(f"ldap://127.0.0.1:{running.port}", tls="off", ca=None, bind_dn=None, password_file=None)
            assert granted(login(leaf, table, revocation=online))
        responder.revoke(leaf)
        refused(login(leaf, table, revocation=online), "certificate-revoked")


# ---------------------------------------------------------------- directories that cannot be asked


@pytest.fixture
def dead() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"ldaps://localhost:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("dead", "directory-unreachable"),
        ("other CA", "directory-tls-failed"),
        ("other name", "directory-tls-failed"),
        ("no TLS", "directory-tls-failed"),
        ("wrong password", "directory-bind-refused"),
        ("referral", "directory-referral"),
        ("referral of the base", "directory-referral"),
        ("two entries", "directory-several-entries"),
        ("no base", "directory-answer-unusable"),
        ("secret missing", "mapper-failed"),
        ("secret for all", "mapper-failed"),
    ],
)
def test_each_trouble_is_a_refusal_of_its_own(
    rig: Rig, slapd: Directory, alice: Issued, login: Callable[..., Outcome], dead: str, trouble: str, why: str
) -> None:
    rig.world.put("/etc/pam_sc/other-ca.pem", CertificateAuthority("LDAP CA").pem)
    rig.world.put("/etc/pam_sc/wrong.secret", "wrong\n", mode=0o600)
    rig.world.put("/etc/pam_sc/open.secret", f"{PASSWORD}\n", mode=0o644)
    good = ldaps(slapd)
    table = {
        "dead": mapper(dead),
        "other CA": mapper(good, ca="/etc/pam_sc/other-ca.pem"),
        "other name": mapper(good.replace("localhost", "127.0.0.1")),
        "no TLS": mapper(f"ldaps://localhost:{slapd.port}"),
        "wrong password": mapper(good, password_file="/etc/pam_sc/wrong.secret"),
        "referral": mapper(good, referrals="refuse"),
        "referral of the base": mapper(good, base=f"cn=elsewhere,{PEOPLE}"),
        "two entries": mapper(good, filter="(|(uid={account})(uid=bob))"),
        "no base": mapper(good, base=f"ou=nobody,{SUFFIX}"),
        "secret missing": mapper(good, password_file="/etc/pam_sc/nothing"),
        "secret for all": mapper(good, password_file="/etc/pam_sc/open.secret"),
    }[trouble]
    refused(login(alice, table), why)
    assert granted(login(alice, mapper(good))), "with the one difference"


@pytest.mark.parametrize("after", [(), (BIND_OK,)])
def test_directory_that_hangs_is_a_refusal_in_time(
    alice: Issued, login: Callable[..., Outcome], after: tuple[bytes, ...]
) -> None:
    with serving(replies(*after), reads_head=False) as server:
        table = mapper(f"ldap://127.0.0.1:{server.port}", tls="off", ca=None)
        started = time.monotonic()
        refused(login(alice, table + "connect_timeout = 1\nsearch_timeout = 1\n"), "directory-timeout")
        assert time.monotonic() - started < 12


def test_directory_that_takes_all_the_time_is_no_way_around_a_required_card(
    rig: Rig, login: Callable[..., Outcome]
) -> None:
    leaves = [rig.setup.authority.issue(common_name=None) for _ in range(5)]
    with serving(replies(BIND_OK), reads_head=False) as server:
        table = mapper(f"ldap://127.0.0.1:{server.port}", tls="off", ca=None) + "connect_timeout = 60\nsearch_timeout = 60\n"
        refused(login(leaves, table, "timeout=4"), "directory-timeout")


def test_second_server_answers_for_a_dead_one(
    slapd: Directory, alice: Issued, login: Callable[..., Outcome], dead: str
) -> None:
    assert granted(login(alice, mapper([dead, ldaps(slapd)])))


def test_server_that_is_not_verified_is_in_every_log(
    slapd: Directory, alice: Issued, login: Callable[..., Outcome]
) -> None:
    url = ldaps(slapd).replace("localhost", "127.0.0.1")
    outcome = login(alice, mapper(url, ca=None, tls_verify="never"))
    assert granted(outcome)
    assert len(re.findall("whoever answers is believed", "\n".join(outcome.log))) == 1
    assert "believed" not in repr(login(alice, mapper(ldaps(slapd))).log)


def test_program_without_privilege_reads_no_secret(
    slapd: Directory, alice: Issued, login: Callable[..., Outcome]
) -> None:
    line = refused(login(alice, mapper(ldaps(slapd)), caller="alice"), "token-hidden", codes.AUTHINFO_UNAVAIL)
    assert PASSWORD not in line


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("alice", None),
        ("bob", "ldap: the account's entry does not hold what the certificate has"),
        ("root", "ldap: the directory has no entry of the account"),
    ],
)
def test_explain_asks_the_directory_as_a_login_does(
    rig: Rig, slapd: Directory, alice: Issued, account: str, said: str | None
) -> None:
    more = mapper(ldaps(slapd)) + "[account]\nallow_root = true\n"
    config = rig.setup.card(f"ldap{next(_CARDS)}", [alice], more=more)
    done = rig.world.run([*PAM_SC, "explain", account, "--config", config, "--json"])
    assert (said is None) == ("not-mapped" not in done.stdout)
    assert said is None or said in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def test_explain_says_which_server_failed_and_how(rig: Rig, alice: Issued, dead: str) -> None:
    config = rig.setup.card(f"ldap{next(_CARDS)}", [alice], more=mapper([dead, "ldaps://nowhere.invalid"]))
    done = rig.world.run([*PAM_SC, "explain", "alice", "--config", config, "--json"])
    assert "directory-unreachable" in done.stdout
    assert f"{dead[8:]}: its server refuses connections; nowhere.invalid: the name of its server cannot be" in done.stdout
