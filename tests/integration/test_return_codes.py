# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every row of the table of return codes (docs/design.md), through libpam, for every entry point.

Each case differs from the granted login in one thing. The stack ends in pam_permit, so a failure that pam_sc let pass
would be a login.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import rig as codes
from tests.support.installation import module_in
from tests.support.namespace import is_available
from tests.support.pam_host import Answer, Outcome
from tests.support.pam_world import World
from tests.support.pcscd import opensc_module
from tests.support.pki import CertificateAuthority, fresh_key, now
from tests.support.rig import EVERY_FUNCTION, Rig, prompts, reason
from tests.support.softhsm import PIN, Entry, module_path

pytestmark = pytest.mark.root

DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One world for the whole table; each case brings its own card and configuration."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    with World.create(tmp_path_factory.mktemp("codes") / "world") as world:
        yield Rig(world)


@pytest.fixture(scope="module")
def good(rig: Rig) -> str:
    """The configuration of alice's good card."""
    return rig.setup.card("good", [rig.setup.authority.issue()])


@pytest.fixture(scope="module")
def spare(rig: Rig) -> str:
    """Another such card, whose tries do not matter to the other cases."""
    return rig.setup.card("spare", [rig.setup.authority.issue()])


def refused(outcome: Outcome, code: int, why: str | None) -> None:
    """Require a refusal with this code and reason, and that nothing after it says otherwise."""
    assert outcome.codes["authenticate"] == code
    assert reason(outcome) == why
    assert codes.SUCCESS not in list(outcome.codes.values())[:1]


def test_a_granted_login_is_a_success_in_every_function(rig: Rig, good: str) -> None:
    outcome = rig.login(good, functions=EVERY_FUNCTION)
    assert outcome.codes == dict.fromkeys(EVERY_FUNCTION, codes.SUCCESS)
    assert prompts(outcome) == ("PIN for login: ",)
    assert outcome.user == "alice"
    assert any("granted" in line for line in outcome.log)


@pytest.mark.parametrize("function", ["setcred", "acct_mgmt", "open_session", "close_session"])
def test_without_an_authentication_the_other_functions_are_no_success_of_ours(
    rig: Rig, good: str, function: str
) -> None:
    service = rig.service(good)
    whole = rig.world.path(f"/etc/pam.d/{service}").read_text().splitlines()[0].removeprefix("auth ")
    group = {"setcred": "auth", "acct_mgmt": "account"}.get(function, "session")
    rig.world.put(f"/etc/pam.d/{service}", f"{group} {whole}\n")
    outcome = codes.Login(service=service, user="alice", functions=[function], confdir="/etc/pam.d").run(
        lambda argv, text: rig.world.run(argv, input=text), program=codes.PROGRAM
    )
    assert outcome.code == codes.PERM_DENIED  # what libpam makes of a stack that only says PAM_IGNORE


def test_a_change_of_the_pin_that_nobody_answers_changes_nothing(rig: Rig, good: str) -> None:
    rig.service(good)
    line = rig.world.path(f"/etc/pam.d/{codes.SERVICE}").read_text().splitlines()[0].removeprefix("auth ")
    rig.world.put(f"/etc/pam.d/{codes.SERVICE}", f"password {line}\npassword required pam_permit.so\n")
    outcome = codes.Login(service=codes.SERVICE, user="alice", functions=["chauthtok"], confdir="/etc/pam.d").run(
        lambda argv, text: rig.world.run(argv, input=text), program=codes.PROGRAM
    )
    assert outcome.code == codes.CONV_ERR
    assert len(prompts(outcome)) == 1



REFUSALS = {
    "wrong PIN": ("alice", "000000"), "no answer": ("alice", {"null": True}), "conversation fails": ("alice", {"fail": 19}),
    "card of another account": ("bob", PIN), "account with uid 0": ("root", PIN), "no such account": ("eve", PIN),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_after_a_refusal_no_function_is_a_success_of_ours(rig: Rig, spare: str, name: str) -> None:
    """Nothing but pam_sc stands in the service, so whatever is no success of its own is none at all."""
    account, answer = REFUSALS[name]
    line = f"required {module_in()} config={spare}"
    rig.world.put("/etc/pam.d/alone", "".join(f"{group} {line}\n" for group in ("auth", "account", "session")))
    outcome = codes.Login(
        service="alone", user=account, answers=[answer], functions=EVERY_FUNCTION, confdir="/etc/pam.d"
    ).run(lambda argv, text: rig.world.run(argv, input=text), program=codes.PROGRAM)
    assert set(outcome.codes) == set(EVERY_FUNCTION)
    assert codes.SUCCESS not in outcome.codes.values()


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize("argument", ["unknown", "timeout=0", "timeout=x", "config=relative", "worker=relative", "debug=1"])
def test_an_argument_that_is_not_understood_refuses(rig: Rig, good: str, argument: str) -> None:
    outcome = rig.login(good, argument)
    refused(outcome, codes.SERVICE_ERR, None)
    assert sum(argument in line for line in outcome.log) == 1
    assert prompts(outcome) == ()


def broken_configurations(rig: Rig) -> dict[str, Callable[[str], str]]:
    """Ways to break a good configuration, by name."""
    return {
        "missing": lambda _text: "",
        "not TOML": lambda text: text + "[",
        "unknown key": lambda text: text + "\n[pin]\nallow_last_tries = true\n",
        "wrong type": lambda text: text + "\n[account]\nallow_root = 'yes'\n",
        "no mapper": lambda text: text.replace('[[mapper]]\nname = "cn"', ""),
        "no anchors": lambda text: text.replace("/anchors", "/crls"),
        "account missing": lambda text: text.replace("[trust]", '[token]\nrun_as = "ghost"\n[trust]'),
        "card process as root": lambda text: text.replace("[trust]", '[token]\nrun_as = "hidden"\n[trust]'),
        "card process as the verifier": lambda text: text.replace("[trust]", '[token]\nrun_as = "pam_sc"\n[trust]'),
    }


@pytest.mark.parametrize(
    "name",
    ["missing", "not TOML", "unknown key", "wrong type", "no mapper", "no anchors", "account missing",
     "card process as root", "card process as the verifier"],
)
def test_a_configuration_that_is_wrong_refuses(rig: Rig, good: str, name: str) -> None:
    text = broken_configurations(rig)[name](rig.world.path(good).read_text())
    config = rig.world.put("/srv/broken.toml", text) if text else "/srv/no-such-file.toml"
    outcome = rig.login(config)
    refused(outcome, codes.SERVICE_ERR, "configuration-unusable")
    assert prompts(outcome) == ()


@pytest.mark.parametrize(("mode", "owner"), [(0o666, "root"), (0o664, "root"), (0o644, "alice")])
def test_a_configuration_that_others_can_write_refuses(rig: Rig, good: str, mode: int, owner: str) -> None:
    config = rig.world.put("/srv/unsafe.toml", rig.world.path(good).read_text(), mode=mode, owner=owner)
    refused(rig.login(config), codes.SERVICE_ERR, "configuration-unusable")


def test_a_card_process_that_cannot_be_confined_refuses(rig: Rig, good: str) -> None:
    text = rig.world.path(good).read_text()
    text = text.replace("\nenvironment", '\nallow = ["no_such_system_call"]\nenvironment', 1)
    outcome = rig.login(rig.world.put("/srv/unconfined.toml", text))
    refused(outcome, codes.SERVICE_ERR, "isolation-failed")
    assert prompts(outcome) == ()


@pytest.mark.parametrize("worker", ["/bin/true", "/bin/false", "/bin/cat"])
def test_a_worker_that_ends_without_a_verdict_is_a_system_error(rig: Rig, good: str, worker: str) -> None:
    refused(rig.login(good, f"worker={worker}"), codes.SYSTEM_ERR, None)


def test_a_worker_that_others_can_write_refuses(rig: Rig, good: str) -> None:
    worker = rig.world.put("/srv/worker", "#!/bin/sh\n", mode=0o777)
    refused(rig.login(good, f"worker={worker}"), codes.SERVICE_ERR, None)


# ---------------------------------------------------------------- the account


def test_an_account_that_does_not_exist_is_unknown(rig: Rig, good: str) -> None:
    refused(rig.login(good, account="eve"), codes.USER_UNKNOWN, "account-unknown")


def test_a_name_that_cannot_be_an_account_is_unknown(rig: Rig, good: str) -> None:
    refused(rig.login(good, account="../alice"), codes.USER_UNKNOWN, "account-unknown")


def test_a_card_of_another_account_is_unknown(rig: Rig, good: str) -> None:
    outcome = rig.login(good, account="bob")
    refused(outcome, codes.USER_UNKNOWN, "not-mapped")
    assert prompts(outcome) == ()


def test_a_token_without_certificates_is_unknown(rig: Rig) -> None:
    refused(rig.login(rig.setup.card("empty", [])), codes.USER_UNKNOWN, "no-certificate")


@pytest.mark.parametrize("account", ["root", "hidden"])
def test_an_account_with_uid_0_is_refused_whatever_its_name(rig: Rig, account: str) -> None:
    config = rig.setup.card(f"uid0-{account}", [rig.setup.authority.issue(common_name=account)])
    refused(rig.login(config, account=account), codes.AUTH_ERR, "root-not-allowed")


def test_an_account_with_uid_0_is_granted_where_configured(rig: Rig) -> None:
    config = rig.setup.card(
        "root-allowed", [rig.setup.authority.issue(common_name="root")], more="[account]\nallow_root = true"
    )
    assert rig.login(config, account="root").code == codes.SUCCESS


def test_a_service_that_is_not_listed_is_refused(rig: Rig) -> None:
    config = rig.setup.card("services", [rig.setup.authority.issue()], more='[account]\nservices = ["sudo"]')
    refused(rig.login(config), codes.AUTH_ERR, "service-not-allowed")


def test_without_a_name_the_card_names_the_account_in_a_listed_service(rig: Rig, good: str) -> None:
    outcome = rig.login(good, account=None, name="login")
    assert (outcome.code, outcome.user) == (codes.SUCCESS, "alice")


def test_without_a_name_the_card_names_nobody_elsewhere(rig: Rig, good: str) -> None:
    outcome = rig.login(good, account=None)
    refused(outcome, codes.AUTH_ERR, "account-not-named")
    assert outcome.user != "alice"  # pam_permit asks for a name by itself, and gets the answer that is left


# ---------------------------------------------------------------- nothing that could be asked


UNAVAILABLE = ["no pcscd", "not a module", "remote", "hidden token", "not selected"]


def unavailable(rig: Rig, name: str, top: str) -> tuple[str, dict[str, str], str]:
    """A configuration (with `top` at its head) and PAM items for a card that cannot be asked; and the reason."""
    slug = f"{name.replace(' ', '-')}-{len(top)}"
    certificates = [rig.setup.authority.issue()]
    match name:
        case "no pcscd":
            return rig.setup.configure(slug, module=opensc_module(), top=top), {}, "card-service-down"
        case "not a module":
            text = rig.world.put("/srv/not-a-module.so", "text")
            return rig.setup.configure(slug, module=text, top=top), {}, "module-unusable"
        case "remote":
            return rig.setup.card(slug, certificates, top=top), {"rhost": "localhost"}, "remote-refused"
        case "hidden token":
            config = rig.setup.card(slug, certificates, top=top)
            Path(rig.setup.folder / "cards" / slug / "tokens").chmod(0o700)
            for path in (rig.setup.folder / "cards" / slug / "tokens").rglob("*"):
                rig.world.run(["chown", "-R", "root:root", f"{codes.INSIDE}/cards/{slug}/tokens"])
                assert path
            return config, {}, "token-hidden"
        case _:
            config = rig.setup.card(slug, certificates, top=top, more="")
            text = rig.world.path(config).read_text().replace("[trust]", '[token]\nselect = "pkcs11:token=other"\n[trust]')
            return rig.world.put(config, text), {}, "token-not-selected"


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_what_cannot_be_asked_is_unavailable(rig: Rig, name: str) -> None:
    config, items, why = unavailable(rig, name, "")
    refused(rig.login(config, **items), codes.AUTHINFO_UNAVAIL, why)


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_with_a_required_card_nothing_is_merely_unavailable(rig: Rig, name: str) -> None:
    config, items, why = unavailable(rig, name, 'card = "required"')
    refused(rig.login(config, **items), codes.AUTH_ERR, why)


def test_a_remote_login_is_granted_where_configured(rig: Rig) -> None:
    config = rig.setup.card("remote-allowed", [rig.setup.authority.issue()], more='[account]\nremote = "allow"')
    assert rig.login(config, rhost="host.example.test").code == codes.SUCCESS


# ---------------------------------------------------------------- certificates


def unsuitable(rig: Rig, name: str) -> list[object]:
    """What is on the card, by the name of what is wrong with it."""
    issue = rig.setup.authority.issue
    foreign = CertificateAuthority(rig.setup.authority.name)
    match name:
        case "certificate-expired":
            return [issue(not_before=now() - 2 * DAY, not_after=now() - DAY)]
        case "certificate-not-yet-valid":
            return [issue(not_before=now() + DAY, not_after=now() + 2 * DAY)]
        case "untrusted":
            return [foreign.issue()]
        case "key-usage-unsuitable":
            return [issue(key_usage=("keyEncipherment",))]
        case "extended-key-usage-unsuitable":
            return [issue(extended_key_usage=("1.3.6.1.5.5.7.3.1",))]
        case "key-too-weak":
            return [issue(key="rsa1024")]
        case "certificate-revoked":
            revoked = issue()
            rig.setup.revoke(revoked)
            return [revoked]
        case "no-private-key":
            return [Entry(issue(), key=None)]
        case "signature-invalid":
            return [Entry(issue(key="p256"), key=fresh_key("p256"))]
    raise AssertionError(name)


@pytest.mark.parametrize(
    "why",
    ["certificate-expired", "certificate-not-yet-valid", "untrusted", "key-usage-unsuitable",
     "extended-key-usage-unsuitable", "key-too-weak", "certificate-revoked"],
)
def test_a_certificate_that_is_not_acceptable_is_refused_before_the_pin(rig: Rig, why: str) -> None:
    outcome = rig.login(rig.setup.card(why, unsuitable(rig, why)))  # type: ignore[arg-type]
    refused(outcome, codes.AUTH_ERR, why)
    assert prompts(outcome) == ()


@pytest.mark.parametrize("why", ["no-private-key", "signature-invalid"])
def test_a_token_that_cannot_prove_the_certificate_is_refused(rig: Rig, why: str) -> None:
    outcome = rig.login(rig.setup.card(why, unsuitable(rig, why)))  # type: ignore[arg-type]
    refused(outcome, codes.AUTH_ERR, why)


def test_an_unknown_revocation_status_is_refused_where_it_is_required(rig: Rig) -> None:
    config = rig.setup.card("unknown-status", [rig.setup.authority.issue()])
    empty = f"{codes.INSIDE}/no-crls"
    rig.world.path(empty).mkdir(exist_ok=True)
    text = rig.world.path(config).read_text().replace("[revocation]\n", '[revocation]\nmode = "require"\n')
    config = rig.world.put(config, text.replace(f"{codes.INSIDE}/crls", empty))
    refused(rig.login(config), codes.AUTH_ERR, "revocation-unknown")


# ---------------------------------------------------------------- the PIN and the conversation


def test_a_wrong_pin_is_refused(rig: Rig, good: str) -> None:
    outcome = rig.login(good, answers=["000000"])
    refused(outcome, codes.AUTH_ERR, "pin-wrong-few-left")  # SoftHSM shows nothing finer
    assert prompts(outcome) == ("PIN for login: ",)


CONVERSATIONS: list[tuple[str, Answer, int, str | None]] = [
    ("fails", {"fail": 19}, codes.CONV_ERR, "conversation-failed"),
    ("again", {"fail": 30}, codes.INCOMPLETE, None),  # no refusal: the application comes back, and the log is quiet
    ("too long", {"length": 513}, codes.CONV_ERR, "answer-too-long"),
    ("a megabyte", {"length": 1 << 20}, codes.CONV_ERR, "answer-too-long"),
    ("empty", "", codes.AUTH_ERR, "pin-empty"),
    ("null", {"null": True}, codes.AUTH_ERR, "pin-not-given"),
    ("no response", {"response": "null"}, codes.AUTH_ERR, "pin-not-given"),
    ("too short", "1", codes.AUTH_ERR, "pin-form"),
    ("longest that is passed on", {"length": 512}, codes.AUTH_ERR, "pin-form"),
]


@pytest.mark.parametrize(("answer", "code", "why"), [c[1:] for c in CONVERSATIONS], ids=[c[0] for c in CONVERSATIONS])
def test_a_conversation_that_gives_no_pin_is_refused(
    rig: Rig, good: str, answer: Answer, code: int, why: str | None
) -> None:
    refused(rig.login(good, answers=[answer]), code, why)
    assert rig.login(good).code == codes.SUCCESS  # the card is as it was


def test_a_stacked_password_is_never_sent_to_the_card_by_default(rig: Rig, good: str) -> None:
    outcome = rig.login(good, answers=[PIN])
    assert prompts(outcome) == ("PIN for login: ",)
    assert rig.login(good, "use_first_pass").code == codes.AUTH_ERR


def test_use_first_pass_without_a_password_is_refused_without_a_prompt(rig: Rig, good: str) -> None:
    outcome = rig.login(good, "use_first_pass")
    refused(outcome, codes.AUTH_ERR, "no-stacked-pin")
    assert prompts(outcome) == ()


def test_the_log_never_holds_the_pin_or_who_it_was(rig: Rig, good: str) -> None:
    for outcome in (rig.login(good, "debug"), rig.login(good, "debug", answers=["314159265"])):
        log = "\n".join(outcome.log)
        assert "314159265" not in log
        assert PIN not in log
        assert "CN=" not in log
    assert module_path()
