# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins with a pam_pkcs11.conf as it is: the cases in which pam_pkcs11 grants, crashes or stays silent, and what holds here.

Each login is made twice, with the file itself and with the pam_sc.toml that `pam-sc migrate` writes from it: code and
reason must be the same. Where it does the machine no harm, pam_pkcs11 is asked with the very same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography import x509

from tests.support import rig as codes
from tests.support.installation import PAM_SC, module_in
from tests.support.loopback import Loopback, http_answer
from tests.support.namespace import is_available
from tests.support.pam_host import Answer
from tests.support.pam_world import HARNESS, World
from tests.support.peer_logins import OFFLINE, attempt, conf, decided, named, rewritten, theirs
from tests.support.pki import DAY, SERVER_AUTH, CertificateAuthority, Issued, fresh_key, now
from tests.support.rig import Rig, errors, prompts, reason
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

ONLINE = "cert_policy = ca,crl_online;"
FROM_HERE = "loopback = allow; timeout = 2;"
"""Keys of ours: the servers of these tests are on this machine."""
MAPFILE = "mapper cn {{ mapfile = file://{}; }}"
GRANTED = (codes.SUCCESS, None)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world with a CA; each case brings its own card and file."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("vectors") / "world") as world:
        yield Rig(world)


@pytest.fixture
def authority(rig: Rig) -> CertificateAuthority:
    """The CA that is trusted."""
    return rig.setup.authority


# ---------------------------------------------------------------- good cards, PINs and conversations


def test_what_the_command_writes_is_what_logs_in(rig: Rig, authority: CertificateAuthority) -> None:
    path = conf(rig, [authority.issue()])
    output = "/etc/pam_sc/written.toml"
    done = rig.world.run([*PAM_SC, "migrate", path, "--output", output])
    assert (done.returncode, done.stderr) == (1, ""), "slot_num is something to decide about"
    assert rig.world.path(output).read_text() == rig.world.path(rewritten(rig, path)).read_text()
    assert attempt(rig, output).code == codes.SUCCESS


@pytest.mark.parametrize("key", ["rsa2048", "p256", "p384"])
def test_a_good_card_logs_in(rig: Rig, authority: CertificateAuthority, key: str) -> None:
    path = conf(rig, [authority.issue(key=key)])
    assert decided(rig, path) == GRANTED
    assert theirs(rig, path)


@pytest.mark.parametrize(
    ("answer", "top", "expected"),
    [
        ("000000", "", (codes.AUTH_ERR, "pin-wrong-few-left")),
        ("", "", (codes.AUTH_ERR, "pin-empty")),
        ("", "nullok = true;", (codes.AUTH_ERR, "pin-empty")),
        ({"fail": 19}, "", (codes.CONV_ERR, "conversation-failed")),
        ({"response": "null"}, "", (codes.AUTH_ERR, "pin-not-given")),
    ],
    ids=["wrong", "empty", "empty and nullok", "the conversation fails", "no response"],
)
def test_a_pin_that_is_none_is_no_login(
    rig: Rig, authority: CertificateAuthority, answer: Answer, top: str, expected: tuple[int, str]
) -> None:
    assert decided(rig, conf(rig, [authority.issue()], top=top), answers=(answer,)) == expected


def test_use_first_pass_without_a_password_asks_nothing_and_crashes_nothing(
    rig: Rig, authority: CertificateAuthority
) -> None:
    outcome = attempt(rig, conf(rig, [authority.issue()]), "use_first_pass")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "no-stacked-pin")
    assert prompts(outcome) == ()


def test_what_a_file_says_without_blanks_or_with_on_is_heard(rig: Rig, authority: CertificateAuthority) -> None:
    path = conf(rig, [authority.issue()], top="nullok = on; quiet=on;", mappers="@")
    text = rig.world.path(path).read_text().replace("use_mappers = @;", "use_mappers=cn;")
    assert decided(rig, rig.world.put(path, text)) == GRANTED
    assert not theirs(rig, path)


def test_the_display_of_the_environment_decides_nothing(rig: Rig, authority: CertificateAuthority) -> None:
    path = conf(rig, [authority.issue()])
    for display in ("remote:0", ":0"):
        assert attempt(rig, path, caller_environment={"DISPLAY": display}).code == codes.SUCCESS


def test_a_missing_file_is_said_in_the_log(rig: Rig) -> None:
    outcome = attempt(rig, "/etc/pam_pkcs11/none.conf")
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")
    assert "cannot read" in "\n".join(outcome.log)
    assert "/etc/pam_pkcs11/none.conf" in "\n".join(outcome.log)


def test_the_tools_work_where_a_slot_is_chosen_by_its_description(rig: Rig, authority: CertificateAuthority) -> None:
    path = conf(rig, [authority.issue()], block=f'{OFFLINE} slot_description = "SoftHSM slot ID";')
    assert decided(rig, path) == GRANTED
    done = rig.world.run([*PAM_SC, "inspect", "--config", path, "--json"])
    assert done.returncode == 0, done.stderr
    assert "alice" in json.dumps(json.loads(done.stdout))
    found = rig.world.run([*PAM_SC, "find-user", "--config", path])
    assert (found.returncode, found.stdout) == (0, "alice\n"), found.stderr
    other = conf(rig, [authority.issue()], block=f'{OFFLINE} slot_description = "Other reader";')
    assert decided(rig, other)[0] == codes.AUTHINFO_UNAVAIL


# ---------------------------------------------------------------- certificates


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"not_after": now() - DAY}, "certificate-expired"),
        ({"not_before": now() + DAY}, "certificate-not-yet-valid"),
        ({"key_usage": ["keyEncipherment"], "extended_key_usage": [SERVER_AUTH]}, "key-usage-unsuitable"),
        ({"extended_key_usage": [SERVER_AUTH]}, "extended-key-usage-unsuitable"),
    ],
    ids=["expired", "not yet valid", "key usage", "extended key usage"],
)
def test_a_certificate_that_is_not_for_this_is_refused_before_the_pin(
    rig: Rig, authority: CertificateAuthority, wish: dict[str, object], expected: str
) -> None:
    path = conf(rig, [authority.issue(**wish)])
    assert decided(rig, path) == (codes.AUTH_ERR, expected)
    outcome = attempt(rig, path)
    assert prompts(outcome) == ()
    assert len(errors(outcome)) == 1


def test_an_old_signature_below_a_weak_key_is_refused(rig: Rig) -> None:
    old = CertificateAuthority("Old", "rsa2048")
    ca, crl = rig.world.put("/srv/old.pem", old.pem), rig.world.put("/srv/old.crl", old.crl())
    path = conf(rig, [old.issue(key="rsa1024", signature_hash="md5")], ca_dir=ca, crl_dir=crl)
    assert decided(rig, path) == (codes.AUTH_ERR, "key-too-weak")
    assert theirs(rig, path)


@pytest.mark.parametrize("policy", ["cert_policy = none;", "cert_policy = signature;", "", "cert_policy = no_signature;"])
def test_a_card_that_signed_itself_is_never_root(rig: Rig, policy: str) -> None:
    forged = CertificateAuthority("root").issue(common_name="root")
    for top, expected in (("", "root-not-allowed"), ("allow_root = true;", "untrusted")):
        path = conf(rig, [forged], block=policy, top=top)
        assert decided(rig, path, account="root") == (codes.AUTH_ERR, expected)


@pytest.mark.parametrize("policy", ["cert_policy = none;", "cert_policy = ca;"])
def test_a_card_that_signed_itself_is_an_account_for_the_peer_alone(rig: Rig, policy: str) -> None:
    path = conf(rig, [CertificateAuthority("alice").issue()], block=policy)
    assert decided(rig, path) == (codes.AUTH_ERR, "untrusted")
    assert theirs(rig, path) is ("none" in policy)


@pytest.mark.parametrize("policy", ["cert_policy = ca,no_signature,crl_offline;", OFFLINE])
def test_somebody_elses_certificate_on_a_card_of_ones_own_proves_nothing(
    rig: Rig, authority: CertificateAuthority, policy: str
) -> None:
    path = conf(rig, [Entry(authority.issue(), key=fresh_key("rsa2048"))], block=policy)
    assert decided(rig, path)[0] == codes.AUTH_ERR
    assert theirs(rig, path) is ("no_signature" in policy)


def test_a_name_outside_of_what_its_ca_may_issue_for_is_refused(rig: Rig, authority: CertificateAuthority) -> None:
    allowed = x509.NameConstraints([x509.RFC822Name("example.test")], None)
    below = authority.subordinate("Constrained", extensions=[(allowed, True)])
    ca = rig.world.put("/srv/constrained/root.pem", authority.pem)
    crls = "/srv/constrained/crls"
    for index, each in enumerate((authority, below)):
        rig.world.put(f"{crls}/{index}.pem", each.crl())
    issuer = Entry(Issued(below.private_key, below.der), id=b"\2", key=None)
    outcomes = {}
    for mail in ("alice@example.test", "alice@evil.test"):
        leaf = Entry(below.issue(san=[x509.RFC822Name(mail)]), id=b"\1")
        outcomes[mail] = decided(rig, conf(rig, [leaf, issuer], ca_dir=ca, crl_dir=crls))
    assert outcomes["alice@example.test"] == GRANTED
    assert outcomes["alice@evil.test"][0] == codes.AUTH_ERR
    assert outcomes["alice@evil.test"][1] is not None


def test_a_certificate_without_a_key_is_passed_over(rig: Rig, authority: CertificateAuthority) -> None:
    keyless, good = Entry(authority.issue(), id=b"\1", key=None), Entry(authority.issue(), id=b"\2")
    assert decided(rig, conf(rig, [keyless, good])) == GRANTED
    assert decided(rig, conf(rig, [keyless])) == (codes.AUTH_ERR, "no-private-key")


# ---------------------------------------------------------------- revocation


@pytest.mark.parametrize("listed", [True, False])
def test_a_crl_at_hand_counts(rig: Rig, authority: CertificateAuthority, listed: bool) -> None:
    leaf = authority.issue()
    crl = rig.world.put("/srv/listed.crl", authority.crl([leaf] if listed else []))
    path = conf(rig, [leaf], crl_dir=crl)
    assert decided(rig, path) == ((codes.AUTH_ERR, "certificate-revoked") if listed else GRANTED)
    assert theirs(rig, path) is not listed


def test_an_argument_adds_to_the_cert_policy_of_the_file(rig: Rig, authority: CertificateAuthority) -> None:
    leaf = authority.issue()
    path = conf(rig, [leaf], crl_dir=rig.world.put("/srv/nothing.crl", CertificateAuthority("Other").crl()))
    outcome = attempt(rig, path, "cert_policy=ca")
    assert (outcome.code, reason(outcome)) == (codes.AUTH_ERR, "revocation-unknown")
    assert not theirs(rig, path, "cert_policy=ca")
    lenient = conf(rig, [leaf], block="cert_policy = ca;")
    assert attempt(rig, lenient, "cert_policy=ca").code == codes.SUCCESS
    assert theirs(rig, lenient, "cert_policy=ca")


@pytest.mark.parametrize("pem", [True, False], ids=["PEM", "DER"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_crl_that_is_fetched_counts(rig: Rig, authority: CertificateAuthority, listed: bool, pem: bool) -> None:
    with Loopback(b"") as server:
        leaf = authority.issue(crl_distribution_points=[server.url()])
        server.answer = http_answer(authority.crl([leaf] if listed else [], pem=pem))
        path = conf(rig, [leaf], block=ONLINE + FROM_HERE, crl_dir="/srv/no-crls")
        assert decided(rig, path) == ((codes.AUTH_ERR, "certificate-revoked") if listed else GRANTED)
        assert server.connections > 0
        assert theirs(rig, path) is not listed


def test_a_crl_of_another_trusted_ca_hides_no_revocation(rig: Rig, authority: CertificateAuthority) -> None:
    other = CertificateAuthority("Other trusted")
    both = rig.world.put("/srv/both.pem", authority.pem + other.pem)
    with Loopback(b"") as server:
        leaf = authority.issue(crl_distribution_points=[server.url()])
        server.answer = http_answer(other.crl())
        path = conf(rig, [leaf], block=ONLINE + FROM_HERE, ca_dir=both, crl_dir="/srv/no-crls")
        code, why = decided(rig, path)
    assert code == codes.AUTH_ERR
    assert why is not None
    assert why.startswith("revocation-")


def test_ten_bytes_are_no_crl(rig: Rig, authority: CertificateAuthority) -> None:
    with Loopback(http_answer(b"0123456789")) as server:
        leaf = authority.issue(crl_distribution_points=[server.url()])
        path = conf(rig, [leaf], block=ONLINE + FROM_HERE, crl_dir="/srv/no-crls")
        assert decided(rig, path) == (codes.AUTH_ERR, "revocation-not-at-hand")
        assert server.connections > 0


@pytest.mark.parametrize("word", ["crl_online", "crl_offline", "crl_auto", "ocsp_on"])
def test_revocation_without_ca_is_an_error_that_is_said_when_the_file_is_read(
    rig: Rig, authority: CertificateAuthority, word: str
) -> None:
    path = conf(rig, [authority.issue()], block=f"cert_policy = signature, {word};")
    line = rig.world.path(path).read_text().partition("cert_policy")[0].count("\n") + 1
    outcome = attempt(rig, path)
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")
    assert prompts(outcome) == ()
    assert f"{path}:{line}: cert_policy: {word} without " in "\n".join(outcome.log)
    done = rig.world.run([*PAM_SC, "migrate", path])
    assert (done.returncode, done.stdout) == (2, "")
    assert theirs(rig, path) is (word == "ocsp_on")


# ---------------------------------------------------------------- mapping


@pytest.mark.parametrize(
    ("common_name", "lines", "peer_grants"),
    [
        ("mallory\nalice", "^alice$ -> alice\n", True),
        ("alice\0.evil", "alice -> alice\n", True),
        ("alice", "somebody -> bob\n", True),
        ("mallory", "alice -> alice\n", False),
    ],
    ids=["a pattern in one of two lines", "the text before a NUL", "what is not listed", "another name"],
)
def test_what_a_mapfile_does_not_list_as_a_whole_does_not_map(
    rig: Rig, authority: CertificateAuthority, common_name: str, lines: str, peer_grants: bool
) -> None:
    mapfile = rig.world.put("/srv/vectors/cn_map", lines)
    path = conf(rig, [authority.issue(raw_subject=named(common_name))], blocks=MAPFILE.format(mapfile))
    assert decided(rig, path) == (codes.USER_UNKNOWN, "not-mapped")
    assert theirs(rig, path) is peer_grants


def test_what_a_mapfile_lists_maps(rig: Rig, authority: CertificateAuthority) -> None:
    mapfile = rig.world.put("/srv/vectors/cn_map", "Alice Example -> alice\n")
    path = conf(rig, [authority.issue(common_name="Alice Example")], blocks=MAPFILE.format(mapfile))
    assert decided(rig, path) == GRANTED
    assert theirs(rig, path)


def test_a_file_that_insists_takes_what_is_not_listed_as_a_name(rig: Rig, authority: CertificateAuthority) -> None:
    mapfile = rig.world.put("/srv/vectors/cn_map", "somebody -> bob\n")
    blocks = MAPFILE.format(mapfile).replace("}", "unlisted = same; }")
    assert decided(rig, conf(rig, [authority.issue()], blocks=blocks)) == GRANTED


@pytest.mark.parametrize(("domain", "expected"), [("example.test", GRANTED), ("evil.test", (codes.USER_UNKNOWN, "not-mapped"))])
def test_a_upn_of_another_domain_does_not_map(
    rig: Rig, authority: CertificateAuthority, domain: str, expected: tuple[int, str | None]
) -> None:
    value = f"alice@{domain}".encode()
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c" + bytes([len(value)]) + value)
    blocks = 'mapper ms { ignoredomain = false; domainname = "example.test"; }'
    assert decided(rig, conf(rig, [authority.issue(san=[upn])], mappers="ms", blocks=blocks)) == expected


@pytest.mark.parametrize(
    ("lines", "expected"), [("somebody -> bob\n", (codes.USER_UNKNOWN, "not-mapped")), ("alice -> bob\n", GRANTED)]
)
def test_without_a_name_the_mapfile_decides_who_it_is(
    rig: Rig, authority: CertificateAuthority, lines: str, expected: tuple[int, str | None]
) -> None:
    mapfile = rig.world.put("/srv/vectors/cn_map", lines)
    path = conf(rig, [authority.issue()], blocks=MAPFILE.format(mapfile))
    assert decided(rig, path, account=None, name="login") == expected
    if expected == GRANTED:
        assert attempt(rig, path, account=None, name="login").user == "bob"


@pytest.mark.parametrize(
    ("top", "expected"),
    [("", GRANTED), ("card_names_user = login;", GRANTED), ("card_names_user = other;", (codes.AUTH_ERR, "account-not-named")),
     ("card_names_user = ;", (codes.AUTH_ERR, "account-not-named"))],
)  # fmt: skip
def test_without_a_name_and_a_mapfile_a_common_name_is_the_account_where_the_option_says_so(
    rig: Rig, authority: CertificateAuthority, top: str, expected: tuple[int, str | None]
) -> None:
    """pam_pkcs11 finds nobody then; here card_names_user decides, of which login is a part unless the file says otherwise."""
    path = conf(rig, [authority.issue()], blocks="mapper cn { mapfile = none; }", top=top)
    assert decided(rig, path, account=None, name="login") == expected
    if expected == GRANTED:
        assert attempt(rig, path, account=None, name="login").user == "alice"
    assert decided(rig, path, account=None, name="vector") == (codes.AUTH_ERR, "account-not-named")


def test_without_a_name_an_account_of_the_machine_is_found_by_its_name_or_gecos(
    rig: Rig, authority: CertificateAuthority
) -> None:
    for common_name in ("alice", "Alice Example"):
        path = conf(rig, [authority.issue(common_name=common_name)], mappers="pwent")
        assert decided(rig, path, account=None, name="login") == GRANTED
        assert attempt(rig, path, account=None, name="login").user == "alice"


# ---------------------------------------------------------------- one process, two services

_TWO = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pam_host import _Application
first, second = (_Application(order) for order in json.load(sys.stdin))
first._libc.openlog(b"pam_host", 0x20, 10 << 3)
codes = []
for each in (first, second):  # the first handle stays open
    each._start()
    codes.append(each._pam.pam_authenticate(each._handle, 0))
print(json.dumps(codes))
"""


def test_what_one_service_says_does_not_hold_for_the_next_in_the_same_process(
    rig: Rig, authority: CertificateAuthority
) -> None:
    """Neither the CA that the first one names, nor its wish that no signature be asked for."""
    stranger = CertificateAuthority("Stranger")
    ca, crl = rig.world.put("/srv/stranger.pem", stranger.pem), rig.world.put("/srv/stranger.crl", stranger.crl())
    path = conf(rig, [stranger.issue()])
    arguments = f"ca_dir={ca} crl_dir={crl} cert_policy=ca,no_signature,crl_offline"
    for name, more in (("first", arguments), ("second", "")):
        rig.world.pam_service(name, [f"required {module_in()} config_file={path} {more}"])
    order = {"user": "alice", "answers": [PIN], "confdir": "/etc/pam.d", "items": {}, "flags": 0, "functions": []}
    program = rig.world.put("/srv/two.py", _TWO)
    done = rig.world.run(["/usr/bin/python3", "-I", program, f"{HARNESS}/tests/support"],
                         input=json.dumps([{**order, "service": name} for name in ("first", "second")]))  # fmt: skip
    assert json.loads(done.stdout) == [codes.SUCCESS, codes.AUTH_ERR], done.stderr
