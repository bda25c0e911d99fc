# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam-sc as an administrator runs it: the installed command in a world, with a software card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.installation import PAM_SC, module_in, worker_in
from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.rig import Rig
from tests.support.softhsm import PIN, Entry

pytestmark = pytest.mark.root

"""What the script pam-sc does; the script itself names the interpreter of the place it was installed to."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for all; each test brings its own card or uses alice's."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("command") / "world") as world:
        yield Rig(world)


@pytest.fixture(scope="module")
def config(rig: Rig) -> str:
    """The configuration of a card with a good, an expired and a foreign certificate."""
    authority, foreign = rig.setup.authority, CertificateAuthority("Example CA")
    return rig.setup.card(
        "three",
        [authority.issue(not_after=now() - DAY, key="rsa2048"), authority.issue(key="p256"), foreign.issue(key="p384")],
    )


def asked(rig: Rig, *arguments: str, user: str | None = None) -> tuple[int, Any]:
    """Run pam-sc for JSON; its exit code and what it said."""
    done = rig.world.run([*PAM_SC, *arguments, "--json"], user=user)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def certificates(found: Any) -> list[Any]:
    slots = [slot for module in found["modules"] for slot in module["slots"] if slot["token"]]
    return [certificate for slot in slots for certificate in slot["token"]["certificates"]]


def test_paths_are_those_of_the_installation(rig: Rig) -> None:
    done = rig.world.run([*PAM_SC, "paths"])
    assert done.stdout.splitlines() == [
        f"module={module_in()}",
        f"worker={worker_in()}",
        "config=/etc/pam_sc/pam_sc.toml",
        "store=/var/lib/pam_sc/revocation",
    ]


@pytest.mark.parametrize("user", [None, "pam_sc_card"])
def test_inspect_judges_each_certificate_without_a_pin(rig: Rig, config: str, user: str | None) -> None:
    code, found = asked(rig, "inspect", "--config", config, user=user)
    by_reason = {(entry["refusal"] or {"reason": None})["reason"]: entry for entry in certificates(found)}
    assert set(by_reason) == {None, "certificate-expired", "untrusted"}
    assert by_reason[None]["accepted_for"] == ["alice"]
    assert by_reason[None]["mappers"] == [{"name": "cn", "sees": ["alice"]}]
    assert code == 0


def test_explain_stops_before_the_pin_and_uses_no_try(rig: Rig, config: str) -> None:
    for _ in range(4):
        code, found = asked(rig, "explain", "alice", "--config", config)
        assert (code, found["verdict"], found["step"]) == (0, "stopped", 9)
    assert asked(rig, "inspect", "--config", config)[1]["modules"][0]["slots"][0]["token"]["pin"]["state"] == "ok"


@pytest.mark.parametrize(
    ("account", "reason"), [("bob", "not-mapped"), ("root", "root-not-allowed"), ("nobody-here", "account-unknown")]
)
def test_explain_gives_the_reason_that_a_login_would_log(rig: Rig, config: str, account: str, reason: str) -> None:
    code, found = asked(rig, "explain", account, "--config", config)
    steps = {step["name"]: step["found"] for step in found["steps"]}
    refusals = {found["reason"], *(line.split(": ")[1] for line in steps["mapping"])}
    assert code == 1
    assert reason in refusals


def test_explain_says_which_source_answered_for_each_certificate_and_how_old_it_is(rig: Rig) -> None:
    authority = rig.setup.authority
    issuing = authority.subordinate("Stale Issuing")
    rig.world.put("/srv/stale/root.crl", authority.crl(this_update=now() - 3 * DAY))
    rig.world.put("/srv/stale/issuing.crl", issuing.crl(this_update=now() - 9 * DAY, next_update=now() - 2 * DAY))
    own = Issued(issuing.private_key, issuing.der)
    card = rig.setup.card("stale", [Entry(issuing.issue(), id=b"\1"), Entry(own, id=b"\2", key=None)])
    stale = rig.world.put(card, rig.world.path(card).read_text().replace("/srv/login/crls", "/srv/stale"))
    code, found = asked(rig, "explain", "alice", "--config", stale)
    assert (code, found["reason"]) == (1, "revocation-stale")
    leaf, issuer = next(path for path in found["paths"] if len(path) == 2)
    assert (leaf["situation"], leaf["mode"], leaf["decided"]) == ("stale", "named", "refused")
    assert (issuer["situation"], issuer["mode"], issuer["decided"]) == ("good", "named", "accepted")
    crl = next(answer for answer in issuer["answers"] if answer["kind"] == "crl")
    assert "/srv/stale/root.crl" in (crl["source"] or "") + crl["detail"]
    assert 0 <= crl["age_seconds"] - 3 * 86400 < 600
    told = rig.world.run([*PAM_SC, "explain", "alice", "--config", stale]).stdout
    assert "stale, refused (revocation-stale) by mode named" in told
    assert "9 days old, the next one was due 2 days ago" in told
    assert "3 days old, the next one is due in " in told
    seen = next(each for each in certificates(asked(rig, "inspect", "--config", stale)[1]) if each["path"])
    assert seen["path"][0]["situation"] == "stale"


@pytest.mark.parametrize(("pin", "said"), [(PIN, "granted: alice"), ("0000", "refused: pin-wrong-few-left at step 10")])
def test_explain_with_a_pin_goes_to_the_signature(rig: Rig, config: str, pin: str, said: str) -> None:
    child = rig.world.spawn([*PAM_SC, "explain", "alice", "--pin", "--config", config])
    child.expect_exact("PIN for login: ")
    child.sendline(pin)
    child.expect_exact(said)


@pytest.mark.parametrize(
    ("pin", "said"), [(PIN, "the stack returned 0 PAM_SUCCESS"), ("0000", "the stack returned 7 PAM_AUTH_ERR")]
)
def test_try_login_runs_the_stack_and_explains_it(rig: Rig, config: str, pin: str, said: str) -> None:
    rig.service(config, name="tried")
    child = rig.world.spawn([*PAM_SC, "try-login", "alice", "--service", "tried"])
    child.expect_exact("cannot be rehearsed")
    child.expect_exact("PIN for alice: ")
    child.sendline(pin)
    child.expect_exact(said)
    child.expect_exact("would ask for the PIN of token 'login'")


def test_check_config_is_clean_but_for_what_was_asked_for(rig: Rig, config: str) -> None:
    code, found = asked(rig, "check-config", config)
    assert code == 0, found
    assert {entry["severity"] for entry in found["findings"]} <= {"note"}
    assert {entry["topic"] for entry in found["policy"]} == {
        "login", "card", "certificate", "trust", "revocation", "mapping", "pin", "prompt", "unlock", "log", "monitor",
    }
    assert len(found["stig"]) == 4


def test_check_config_refuses_what_a_login_refuses(rig: Rig) -> None:
    config = rig.world.put("/etc/pam_sc/wrong.toml", 'crad = "required"\n')
    done = rig.world.run([*PAM_SC, "check-config", config])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pam-sc: /etc/pam_sc/wrong.toml:1: crad: found an unknown key, expected one of ")
    assert done.stderr.endswith("did you mean 'card'?\n")
