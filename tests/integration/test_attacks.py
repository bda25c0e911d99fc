# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks with honest modules: crafted certificates, other people's CRLs, other accounts, hostile environments.

Each differs from a granted login in one thing; code and reason are asserted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support import rig as codes
from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority, now
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

HOSTILE_VARIABLES = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPLATLIBDIR", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "LD_AUDIT", "SOFTHSM2_CONF", "OPENSC_CONF", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "P11_KIT_SYSTEM_CONFIG", "PKCS11SPY", "PKCS11SPY_OUTPUT", "PYKCS11LIB", "TZ", "TZDIR", "LOCPATH",
    "NLSPATH", "GCONV_PATH", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR", "HOSTALIASES", "MALLOC_TRACE", "HOME",
    "PAM_SC_CONFIG", "PCSCLITE_CSOCK_NAME", "TPM2_PKCS11_STORE",
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all attacks; each brings its own card."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("attacks") / "world") as world:
        yield Rig(world)


def name_with(common_name: str) -> bytes:
    """A DER Name whose commonName holds exactly these characters."""
    placeholder = "x" * len(common_name)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, placeholder)])
    return name.public_bytes().replace(placeholder.encode(), common_name.encode())


@pytest.mark.parametrize(
    "common_name",
    ["alice\0.evil", "mallory\nalice", "alice\n", "\0alice", "alice\x1b", "x/alice", "Alice", "alice ", " alice", "alic",
     "alicee"],
)
def test_a_name_that_only_looks_like_the_accounts_does_not_map(rig: Rig, common_name: str) -> None:
    issued = rig.setup.authority.issue(raw_subject=name_with(common_name))
    config = rig.setup.card(f"name-{common_name.encode().hex()}", [issued])
    outcome = rig.login(config)
    assert (outcome.code, reason(outcome)) == (codes.USER_UNKNOWN, "not-mapped")
    assert prompts(outcome) == ()


def test_the_same_certificate_with_the_exact_name_is_granted(rig: Rig) -> None:
    config = rig.setup.card("name-exact", [rig.setup.authority.issue(raw_subject=name_with("alice"))])
    assert rig.login(config).code == codes.SUCCESS


@pytest.mark.parametrize("common_name", ["mallory\nalice", "alice\n", "xalice", "alicex"])
def test_a_pattern_of_a_mapfile_matches_the_whole_name_or_nothing(rig: Rig, common_name: str) -> None:
    mapfile = rig.world.put("/srv/cn_map", "^alice$ -> alice\n")
    issued = rig.setup.authority.issue(raw_subject=name_with(common_name))
    config = mapped(rig, f"map-{common_name.encode().hex()}", issued, mapfile)
    outcome = rig.login(config)
    assert (outcome.code, reason(outcome)) == (codes.USER_UNKNOWN, "not-mapped")


def test_a_mapfile_is_a_list_of_who_may_not_a_list_of_exceptions(rig: Rig) -> None:
    mapfile = rig.world.put("/srv/cn_map", "somebody -> bob\n")
    config = mapped(rig, "map-miss", rig.setup.authority.issue(), mapfile)
    assert reason(rig.login(config)) == "not-mapped"


def test_a_mapfile_maps_the_listed_name(rig: Rig) -> None:
    mapfile = rig.world.put("/srv/cn_map", "# people\r\nAlice Example -> alice\r\n")
    issued = rig.setup.authority.issue(common_name="Alice Example")
    assert rig.login(mapped(rig, "map-hit", issued, mapfile)).code == codes.SUCCESS


def mapped(rig: Rig, name: str, issued: object, mapfile: str) -> str:
    """A card and a configuration whose mapper cn has this mapfile."""
    config = rig.setup.card(name, [issued])  # type: ignore[list-item]
    text = rig.world.path(config).read_text().replace('name = "cn"', f'name = "cn"\nmapfile = "{mapfile}"')
    return rig.world.put(config, text)


def test_self_signed_root_is_not_trusted(rig: Rig) -> None:
    forged = CertificateAuthority("root").issue(common_name="root")
    config = rig.setup.card("self-signed", [forged], more="[account]\nallow_root = true")
    outcome = rig.login(config, account="root")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "untrusted")


def test_a_card_that_keeps_the_verifier_busy_is_refused_by_the_verifier_itself(rig: Rig) -> None:
    """The shim knows nothing of `card = "required"`: its own time limit would answer that the card is unavailable."""
    stranger = CertificateAuthority("Stranger")
    names = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(number)) for number in range(2000)]
    heavy = [Entry(stranger.issue(key="p256", extra_subject=names), id=bytes([number]), key=None) for number in range(48)]
    config = rig.setup.card("heavy", heavy, top='card = "required"')
    outcome = rig.login(config, "timeout=4")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "card-timeout")
    assert prompts(outcome) == ()
    assert outcome.seconds < 6


def test_an_intermediate_on_the_card_is_used_and_a_foreign_one_is_not(rig: Rig) -> None:
    below = rig.setup.authority.subordinate("Issuing")
    (rig.setup.folder / "crls" / "issuing.crl").write_bytes(below.crl())
    with_issuer = [Entry(below.issue(), id=b"\1"), Entry(codes_issuer(below), id=b"\2", key=None)]
    assert rig.login(rig.setup.card("with-issuer", with_issuer)).code == codes.SUCCESS
    outcome = rig.login(rig.setup.card("without-issuer", [below.issue()]))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "untrusted")


def codes_issuer(authority: CertificateAuthority) -> object:
    """An authority's own certificate as something that a card can hold."""
    from tests.support.pki import Issued

    return Issued(authority.private_key, authority.der)


def test_a_revocation_is_not_hidden_by_the_crl_of_another_ca_of_the_same_name(rig: Rig) -> None:
    revoked = rig.setup.authority.issue()
    other = CertificateAuthority(rig.setup.authority.name)
    config = rig.setup.card("hidden-revocation", [revoked])
    crls = f"{INSIDE}/other-crls"
    rig.world.put(f"{crls}/other.crl", other.crl())
    text = rig.world.path(config).read_text().replace(f"{INSIDE}/crls", crls)
    outcome = rig.login(rig.world.put(config, text))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "revocation-unknown")


def test_a_stale_crl_still_refuses_what_it_lists(rig: Rig) -> None:
    revoked = rig.setup.authority.issue()
    config = rig.setup.card("stale", [revoked])
    crls = f"{INSIDE}/stale-crls"
    stale = rig.setup.authority.crl([revoked], this_update=now() - 9 * codes_day(), next_update=now() - codes_day())
    rig.world.put(f"{crls}/stale.crl", stale)
    text = rig.world.path(config).read_text().replace(f"{INSIDE}/crls", crls)
    text = text.replace("[revocation]\n", '[revocation]\nmode = "prefer"\n')
    outcome = rig.login(rig.world.put(config, text))
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "certificate-revoked")


def codes_day() -> object:
    """One day."""
    import datetime

    return datetime.timedelta(days=1)


@pytest.mark.parametrize("signature_hash", ["md5", "sha1"])
def test_a_broken_hash_below_the_anchor_is_refused(rig: Rig, signature_hash: str) -> None:
    old = CertificateAuthority("Old CA", "rsa2048")
    (rig.setup.folder / "anchors" / "old.pem").write_bytes(old.pem)
    (rig.setup.folder / "crls" / "old.crl").write_bytes(old.crl())
    config = rig.setup.card(f"hash-{signature_hash}", [old.issue(signature_hash=signature_hash)])
    outcome = rig.login(config)
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "algorithm-too-weak")


# ---------------------------------------------------------------- callers


def test_an_unprivileged_caller_gets_its_own_account_and_no_other(rig: Rig) -> None:
    alice = rig.world.account("alice")
    rig.setup.card_owner = (alice.uid, alice.gid)
    config = rig.setup.card("own", [rig.setup.authority.issue()])
    card_account = rig.world.account("pam_sc_card")
    rig.setup.card_owner = (card_account.uid, card_account.gid)
    assert rig.login(config, caller="alice").code == codes.SUCCESS
    outcome = rig.login(config, caller="bob")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "other-account")
    assert prompts(outcome) == ()


def test_without_a_name_an_unprivileged_caller_means_itself(rig: Rig) -> None:
    alice = rig.world.account("alice")
    rig.setup.card_owner = (alice.uid, alice.gid)
    config = rig.setup.card("nameless", [rig.setup.authority.issue()])
    card_account = rig.world.account("pam_sc_card")
    rig.setup.card_owner = (card_account.uid, card_account.gid)
    outcome = rig.login(config, caller="alice", account=None, name="login")
    assert (outcome.code, outcome.user) == (codes.SUCCESS, "alice")
    refused = rig.login(config, caller="bob", account=None, name="login")
    assert refused.code != codes.SUCCESS
    assert refused.user != "alice"


def test_a_configuration_of_the_callers_own_is_no_configuration_for_a_setuid_host(rig: Rig) -> None:
    config = rig.setup.card("theirs", [rig.setup.authority.issue()])
    text = rig.world.path(config).read_text()
    theirs = rig.world.put("/home/bob/pam_sc.toml", text, owner="bob")
    outcome = rig.login(theirs)
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")


def test_a_setuid_host_opens_no_file_of_the_attackers_environment(rig: Rig) -> None:
    config = rig.setup.card("environment", [rig.setup.authority.issue()])
    rig.service(config, name="su")
    evil = "/home/bob/evil"
    for inside in ("sitecustomize.py", "usercustomize.py", "pam_sc/__init__.py", "softhsm2.conf", "openssl.cnf"):
        rig.world.put(f"{evil}/{inside}", "raise SystemExit('injected')\n", owner="bob")
    rig.world.run(["chown", "-R", "bob:bob", evil])
    environment = dict.fromkeys(HOSTILE_VARIABLES, evil) | {"SOFTHSM2_CONF": f"{evil}/softhsm2.conf"}
    del environment["LD_PRELOAD"], environment["LD_LIBRARY_PATH"], environment["LD_AUDIT"]  # strace itself obeys these
    trace = rig.world.put("/srv/trace", "")
    command = ["strace", "-f", "-y", "-e", "trace=file,connect", "-o", trace, "-u", "bob",
               "-E", f"LD_PRELOAD={evil}/evil.so", "-E", f"LD_LIBRARY_PATH={evil}", "-E", f"LD_AUDIT={evil}/evil.so",
               "su", "alice", "-c", "echo GRANTED"]
    result = rig.world.run(command, input=f"{PIN}\n", env=environment)
    assert "GRANTED" in result.stdout
    traced = rig.world.path(trace).read_text(errors="replace")
    assert "pam_sc_worker" in traced  # the trace saw our processes
    ours = worker_processes(traced)
    assert len(ours) >= 3
    touched = [line for line in traced.splitlines() if evil in line and line.split()[0] in ours]
    assert touched == []


def worker_processes(traced: str) -> set[str]:
    """The process numbers of a trace that executed pam_sc_worker."""
    return set(re.findall(r'^(\d+) +execve\("[^"]*pam_sc_worker"', traced, flags=re.MULTILINE))
