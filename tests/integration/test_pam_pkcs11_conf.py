# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins with a pam_pkcs11.conf: it is read as it is, and where pam_pkcs11 would let anybody in, nobody gets in.

Each case differs from the granted login in one thing. The stack ends in pam_permit, so a failure that pam_sc let pass
would be a login.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import pytest

from tests.support import rig as codes
from tests.support.installation import module_in
from tests.support.namespace import is_available
from tests.support.pam_host import Login, Outcome
from tests.support.pam_world import HARNESS, World
from tests.support.pki import CertificateAuthority
from tests.support.rig import INSIDE, Rig, prompts, reason
from tests.support.softhsm import PIN, module_path

pytestmark = pytest.mark.root


@dataclass(slots=True)
class Peer:
    """A rig whose configurations are in pam_pkcs11's format."""

    rig: Rig
    stranger: CertificateAuthority = field(default_factory=lambda: CertificateAuthority("Nobody's CA"))
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        trusted = self.rig.setup.authority
        cards = {
            "good": trusted.issue(), "stranger": self.stranger.issue(), "bob": trusted.issue(common_name="bob"),
            "revoked": trusted.issue(),
        }  # fmt: skip
        self.rig.setup.revoke(cards["revoked"])
        for name, issued in cards.items():
            self.tokens[name] = self.rig.setup.token(name, [issued]).configuration
        self.rig.world.put("/etc/pam_pkcs11/cn_map", "Alice Example -> alice\n")

    def write(self, *, token: str = "good", whole: str = "", module: str = "", policy: str | None = "ca, signature",
              mappers: str = "use_mappers = cn;", path: str = "/etc/pam_pkcs11/pam_pkcs11.conf") -> str:
        """Write a configuration: keys of the whole in line 2, of the module in line 6, cert_policy in line 7."""
        said = "" if policy is None else f"cert_policy = {policy};"
        return self.rig.world.put(path, f"""pam_pkcs11 {{
  {whole}
  pkcs11_module default {{
    module = {module_path()};
    environment = "SOFTHSM2_CONF={self.tokens[token]}"; ca_dir = {INSIDE}/anchors; crl_dir = {INSIDE}/crls;
    {module}
    {said}
  }}
  {mappers}
}}
""")

    def login(self, *arguments: str, answers: tuple[str, ...] = (PIN,), **keys: str) -> Outcome:
        """Log alice in with a configuration of these keys."""
        return self.rig.login(self.write(**keys), *arguments, answers=answers)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One world for all; each case writes its own configuration."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("peer") / "world") as world:
        yield Peer(Rig(world))


def unsafe(outcome: Outcome) -> list[str]:
    """What the log says of unsafe settings."""
    return [line.partition(".conf: ")[2].partition(";")[0] for line in outcome.log if "unsafe in" in line]


def granted(outcome: Outcome) -> bool:
    """Whether alice got in, with nothing else said."""
    assert outcome.code != codes.SUCCESS or outcome.user == "alice"
    return outcome.code == codes.SUCCESS


# ---------------------------------------------------------------- the file


def test_a_login_needs_nothing_but_the_peers_file(peer: Peer) -> None:
    config = peer.write()
    peer.rig.world.pam_service("peer", [f"required {module_in()} config_file={config}", "required pam_permit.so"])
    attempt = codes.Login(service="peer", user="alice", answers=(PIN,), confdir="/etc/pam.d")
    outcome = attempt.run(lambda argv, text: peer.rig.world.run(argv, input=text), program=codes.PROGRAM)
    assert granted(outcome), outcome.log
    assert prompts(outcome) == ("PIN for login: ",)
    assert unsafe(outcome) == []


def test_a_mapper_list_without_blanks_is_read(peer: Peer) -> None:
    assert granted(peer.login(mappers="use_mappers=cn;"))


def test_the_settings_that_stigs_ask_for_are_read(peer: Peer) -> None:
    stig = {"policy": "ca,signature,ocsp_on,crl_auto", "mappers": "use_mappers=pwent;"}
    assert granted(peer.login(**stig)), "the CRL at hand says that no certificate is revoked"
    assert reason(peer.login(token="revoked", **stig)) == "certificate-revoked"


def test_the_word_for_a_card_is_in_the_question(peer: Peer) -> None:
    assert prompts(peer.login(module='token_type = "ID card";')) == ("ID card PIN: ",)


def test_quiet_leaves_out_messages_and_no_log(peer: Peer) -> None:
    quiet = peer.login(whole="quiet = true;", token="stranger")
    loud = peer.login(token="stranger")
    assert (codes.errors(quiet), reason(quiet)) == ((), "untrusted")
    assert codes.errors(loud) != ()


@pytest.mark.parametrize(("text", "why"), [
    ("", "1: pam_pkcs11: found none of the block pam_pkcs11, expected one"),
    ("pam_pkcs11 { use_mappers = cn mail; }", "1: found a word, expected"),
    ("pam_pkcs11 { use_mappers = own; }", "use_mappers: 'own' is no mapper of pam_pkcs11"),
])  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused_and_said(peer: Peer, text: str, why: str) -> None:
    config = peer.rig.world.put("/etc/pam_pkcs11/broken.conf", text)
    outcome = peer.rig.login(config)
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")
    assert any(why in line for line in outcome.log), outcome.log
    assert prompts(outcome) == ()


def test_a_missing_file_is_refused_and_named(peer: Peer) -> None:
    outcome = peer.rig.login("/etc/pam_pkcs11/nowhere.conf")
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")
    assert any("cannot read the configuration: cannot read '/etc/pam_pkcs11/nowhere.conf'" in line for line in outcome.log)


# ---------------------------------------------------------------- where the peer is unsafe


@pytest.mark.parametrize("policy", [None, "none", "signature", "no_signature", "crl_offline, none"])
def test_no_policy_makes_a_stranger_welcome(peer: Peer, policy: str | None) -> None:
    outcome = peer.rig.login(peer.write(token="stranger", policy=policy))
    assert outcome.code != codes.SUCCESS
    assert reason(outcome) == "untrusted"
    assert unsafe(outcome) == [f"cert_policy (line {3 if policy is None else 7})"]


@pytest.mark.parametrize("word", ["on", "true"])
def test_an_empty_pin_is_never_sent(peer: Peer, word: str) -> None:
    outcome = peer.login(whole=f"nullok = {word};", answers=("",))
    assert outcome.code != codes.SUCCESS
    assert reason(outcome) == "pin-empty"
    assert unsafe(outcome) == ["nullok (line 2)"]


@pytest.mark.parametrize("policy", ["ca", "ca, crl_offline", "ca, crl_auto"])
def test_a_revoked_card_is_refused_whatever_the_policy_says_of_crls(peer: Peer, policy: str) -> None:
    assert reason(peer.login(token="revoked", policy=policy)) == "certificate-revoked"
    assert granted(peer.login(policy=policy))


def test_a_crl_that_is_asked_for_and_not_at_hand_is_a_refusal(peer: Peer) -> None:
    peer.rig.world.path("/srv/empty").mkdir(exist_ok=True)
    assert reason(peer.login("crl_dir=/srv/empty", policy="ca, crl_offline")) == "revocation-unknown"
    assert granted(peer.login("crl_dir=/srv/empty", policy="ca"))


def test_a_mapfile_is_an_allow_list_unless_the_file_insists(peer: Peer) -> None:
    block = "use_mappers = cn; mapper cn {{ mapfile = file:///etc/pam_pkcs11/cn_map; {} }}"
    refused = peer.login(mappers=block.format(""))
    assert reason(refused) == "not-mapped"
    assert unsafe(refused) == ["mapfile (line 9)"]
    insisting = peer.login(mappers=block.format("unlisted = same;"))
    assert granted(insisting)
    assert unsafe(insisting) == ["unlisted (line 9)"]


def test_a_card_of_somebody_else_stays_so(peer: Peer) -> None:
    assert reason(peer.login(token="bob")) == "not-mapped"


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("nodebug", "nullok", "card_only", "dont_wait_for_card"), ("wait_for_card",), ("slot_num=1",), ("slot_num=0",),
        ("slot_description=SoftHSM",), ("slot_description=none",), (f"ca_dir=file://{INSIDE}/anchors",),
        (f"crl_dir={INSIDE}/crls/ca.crl",), ("cert_policy=ca,crl_offline",), ("nss_dir=/etc/pki",),
        (f"pkcs11_module={module_path()}",), ("try_first_pass",),
    ],
)  # fmt: skip
def test_an_argument_of_the_peers_is_taken(peer: Peer, arguments: tuple[str, ...]) -> None:
    outcome = peer.login(*arguments)
    assert granted(outcome), outcome.log


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("slot_num=2", "token-not-selected"), ("slot_description=softhsm", "token-not-selected"),
        ("slot_description=oftHSM", "token-not-selected"), ("slot_num=two", "configuration-unusable"),
        ("pkcs11_module=/usr/lib/nowhere.so", "configuration-unusable"), ("ca_dir=/srv/strangers", "untrusted"),
        ("cert_policy=ca,crls", "configuration-unusable"),
    ],
)  # fmt: skip
def test_an_argument_comes_before_the_file(peer: Peer, argument: str, why: str) -> None:
    peer.rig.world.put("/srv/strangers/ca.pem", peer.stranger.pem)
    outcome = peer.login(argument)
    assert outcome.code != codes.SUCCESS
    assert reason(outcome) == why


def test_an_argument_says_which_card_it_is(peer: Peer) -> None:
    assert prompts(peer.login("token_type=badge", module="token_type = card;")) == ("badge PIN: ",)


def test_an_argument_cannot_switch_a_check_off(peer: Peer) -> None:
    outcome = peer.login("cert_policy=none", token="stranger")
    assert reason(outcome) == "untrusted"
    assert unsafe(outcome) == ["cert_policy (argument)"]


def test_an_argument_of_the_peers_is_refused_with_our_own_format(peer: Peer) -> None:
    outcome = peer.rig.login(peer.rig.setup.card("ours", [peer.rig.setup.authority.issue()]), "ca_dir=/etc/anchors")
    assert (outcome.code, reason(outcome)) == (codes.SERVICE_ERR, "configuration-unusable")
    assert any("instead of it, write [trust] anchors" in line for line in outcome.log), outcome.log


# ---------------------------------------------------------------- folders and calls


def test_certificates_and_crls_may_lie_in_one_folder_under_names_of_hashes(peer: Peer) -> None:
    folder = "/srv/mixed"
    authority = peer.rig.setup.authority
    crl = peer.rig.world.path(f"{INSIDE}/crls/ca.crl").read_bytes()
    for data, command, dot in ((authority.pem, "x509", ""), (crl, "crl", "r")):
        hashed = subprocess.run(["openssl", command, "-noout", "-hash"], input=data, capture_output=True, check=True)
        peer.rig.world.put(f"{folder}/{hashed.stdout.decode().strip()}.{dot}0", data)
    arguments = (f"ca_dir={folder}", f"crl_dir={folder}", "cert_policy=ca,crl_offline")
    assert granted(peer.login(*arguments))
    assert reason(peer.login(*arguments, token="revoked")) == "certificate-revoked"


TWO_CALLS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.support.pam_host import _Application
first, second = map(_Application, json.load(sys.stdin))
first._start()
code = first._pam.pam_authenticate(first._handle, 0)
print(json.dumps([code, [said.text for said in first.said], second.run()["codes"]["authenticate"],
                  [said.text for said in second.said]]))
"""


def test_what_one_service_says_does_not_stay_for_the_next_in_the_same_process(peer: Peer) -> None:
    peer.rig.service(peer.write(path="/etc/a.conf"), "token_type=A", "cert_policy=none", name="a")
    peer.rig.service(peer.write(token="stranger", path="/etc/b.conf"), name="b")
    orders = [asdict(Login(service=name, user="alice", answers=[PIN], confdir="/etc/pam.d")) for name in ("a", "b")]
    result = peer.rig.world.run(["/usr/bin/python3", "-I", "-c", TWO_CALLS, HARNESS], input=json.dumps(orders))
    assert result.returncode == 0, result.stderr
    first, asked, second, said = json.loads(result.stdout)
    assert (first, asked) == (codes.SUCCESS, ["A PIN: "])
    assert second != codes.SUCCESS
    assert not any("PIN" in text for text in said), "B's own card is a stranger's, so nobody is asked for a PIN"
