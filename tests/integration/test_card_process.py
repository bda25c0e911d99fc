# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card process and its client with SoftHSM: what they report and sign, and why they refuse."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from pam_sc.card.client import ModuleSetup, RunAs, SignOrder, start_card_process
from pam_sc.decision.card_report import PinState, TokenReport
from pam_sc.decision.challenge import SigningChoice, _choices_of
from pam_sc.decision.evidence import KeyKind
from pam_sc.decision.possession import CardFailure, NotSigned, Signed
from pam_sc.decision.proof import verify_signature
from pam_sc.decision.reasons import Reason
from pam_sc.errors import CardIsolationFailed, CardProcessLost, ConfigError
from pam_sc.record import replace
from tests.support.card_worker import (
    Card,
    candidate_for,
    certificate_called,
    order_for,
    softhsm,
    soon,
    started,
    the_token,
    write_worker,
)
from tests.support.soft_token import KEY_KINDS, SOFTHSM, SoftToken, certificate_of, key_of, public_der

CHALLENGE = b"pam_sc-challenge-v1\0for a test"
PIN = b"123456"
KINDS = {kind.value: kind for kind in KeyKind} | {"RSA-2048": KeyKind.RSA, "RSA-3072": KeyKind.RSA}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_worker(tmp_path_factory.mktemp("worker"))


@pytest.fixture(scope="module")
def every_key(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    token = SoftToken.create(tmp_path_factory.mktemp("every-key"))
    for number, kind in enumerate(KEY_KINDS, start=1):
        token.add(key_of(kind), certificate_of(key_of(kind), kind), bytes([number]), kind)
    return token


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return SoftToken.create(tmp_path / "token")


def ecdsa(challenge: bytes = CHALLENGE) -> SigningChoice:
    return SigningChoice("CKM_ECDSA", hashlib.sha256(challenge).digest())


def only_order(card: Card, *choices: SigningChoice, context_login: bool = True) -> SignOrder:
    token = the_token(card.report())
    return order_for(token, token.certificates[0], *(choices or (ecdsa(),)), context_login=context_login)


def failure_of(outcome: Signed | NotSigned) -> CardFailure:
    assert isinstance(outcome, NotSigned), outcome
    return outcome.failure


# ---------------------------------------------------------------- reports


def test_a_report_shows_token_and_certificates_in_order(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        report = card.report()
    token = the_token(report)
    assert (token.label, token.login_required, token.pin_state) == ("login", True, PinState.OK)
    assert [certificate.label for certificate in token.certificates] != []
    assert {certificate.label for certificate in token.certificates} == set(KEY_KINDS)
    assert [certificate.ref.index for certificate in token.certificates] == list(range(len(KEY_KINDS)))
    assert certificate_called(token, "P-256").der == certificate_of(key_of("P-256"), "P-256")
    assert certificate_called(token, "P-256").object_id == bytes([KEY_KINDS.index("P-256") + 1])
    assert {"CKM_ECDSA", "CKM_RSA_PKCS", "CKM_EDDSA", "CKM_SHA256_RSA_PKCS_PSS"} <= token.mechanisms
    assert "CKM_ECDSA_SHA256" not in token.mechanisms
    assert (report.modules[0].manufacturer, report.modules[0].version) == ("SoftHSM", "2.6")


def test_a_slot_without_an_initialized_token_is_an_empty_slot(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        slots = card.report().modules[0].slots
    assert [slot.token is None for slot in slots] == [False, True]
    assert all(slot.failure is None for slot in slots)


def test_two_tokens_are_reported_with_their_own_certificates(worker: str, tmp_path: Path) -> None:
    for label, kind in (("one", "P-256"), ("two", "P-384")):
        SoftToken.create(tmp_path, label).add(key_of(kind), certificate_of(key_of(kind)), label=label)
    with started(worker, [softhsm(SoftToken(tmp_path / "softhsm2.conf", "one", "123456"))]) as card:
        tokens = [token for _, _, token in card.report().tokens()]
    assert {(token.label, token.certificates[0].label) for token in tokens} == {("one", "one"), ("two", "two")}


def test_an_unparsable_certificate_does_not_hide_the_others(worker: str, token: SoftToken) -> None:
    token.add(None, b"no certificate at all", b"\x07", "bad")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), b"\x01", "good")
    with started(worker, [softhsm(token)]) as card:
        found = the_token(card.report())
    assert certificate_called(found, "bad").der == b"no certificate at all"
    assert certificate_called(found, "good").failure is None


def test_a_module_that_is_not_there_does_not_hide_the_next(worker: str, every_key: SoftToken) -> None:
    with started(worker, [ModuleSetup("/nonexistent/module.so", {}), softhsm(every_key)]) as card:
        report = card.report()
    assert report.modules[0].failure is not None
    assert report.modules[0].failure.reason is Reason.MODULE_UNUSABLE
    assert "there is no such file" in report.modules[0].failure.detail
    assert the_token(report).ref.module == 1


def test_a_library_that_is_no_module_is_unusable(worker: str) -> None:
    import _ctypes
    with started(worker, [ModuleSetup(_ctypes.__file__, {})]) as card:
        (module,) = card.report().modules
    assert module.failure is not None
    assert module.failure.reason is Reason.MODULE_UNUSABLE
    assert "C_GetFunctionList" in module.failure.detail


def test_a_file_that_is_no_library_is_unusable_and_says_why(worker: str, tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    path.write_text("not an ELF file")
    with started(worker, [ModuleSetup(str(path), {})]) as card:
        (module,) = card.report().modules
    assert module.failure is not None
    assert module.failure.reason is Reason.MODULE_UNUSABLE
    assert "invalid ELF header" in module.failure.detail or "file too short" in module.failure.detail


# ---------------------------------------------------------------- hidden tokens


NOBODY = RunAs(65534, 65534, ())
needs_root = pytest.mark.root


@pytest.fixture
def open_token(token: SoftToken) -> SoftToken:
    """A token whose files every account may read and write."""
    token.add(key_of("P-256"), certificate_of(key_of("P-256")))
    for parent in token.conf.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o055)
    for path in (token.conf, *token.conf.parent.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return token


@needs_root
def test_a_token_that_the_account_may_read_is_reported(worker: str, open_token: SoftToken) -> None:
    with started(worker, [softhsm(open_token)], NOBODY) as card:
        assert the_token(card.report()).label == "login"


@needs_root
@pytest.mark.parametrize("hidden", ["softhsm2.conf", "tokens", "tokens/*", "tokens/*/token.object"])
def test_a_token_hidden_by_file_permissions_is_a_reason_of_its_own(
    worker: str, open_token: SoftToken, hidden: str,
) -> None:
    (path,) = open_token.conf.parent.glob(hidden)
    path.chmod(0)
    with started(worker, [softhsm(open_token)], NOBODY) as card:
        (module,) = card.report().modules
    assert module.failure is not None
    assert module.failure.reason is Reason.TOKEN_HIDDEN
    assert str(path) in module.failure.detail
    assert "65534" in module.failure.detail


@needs_root
def test_softhsm_without_a_variable_is_hidden_by_its_default_configuration(worker: str) -> None:
    default = Path("/etc/softhsm/softhsm2.conf")
    if not default.exists() or default.parent.stat().st_mode & 0o001:
        pytest.skip("SoftHSM's own configuration is not hidden on this machine")
    with started(worker, [ModuleSetup(SOFTHSM, {})], NOBODY) as card:
        (module,) = card.report().modules
    assert module.failure is not None
    assert module.failure.reason is Reason.TOKEN_HIDDEN
    assert str(default) in module.failure.detail


@needs_root
def test_no_token_at_all_is_not_a_hidden_token(worker: str, open_token: SoftToken) -> None:
    shutil.rmtree(next(open_token.conf.parent.glob("tokens/*")))
    with started(worker, [softhsm(open_token)], NOBODY) as card:
        (module,) = card.report().modules
    assert module.failure is None
    assert [slot.token for slot in module.slots] == [None]


# ---------------------------------------------------------------- signatures


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_signature_of_each_kind_of_key_verifies(worker: str, every_key: SoftToken, kind: str) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        token = the_token(card.report())
        every = _choices_of(KINDS[kind], CHALLENGE)
        offered = tuple(choice for choice in every if choice.mechanism in token.mechanisms)
        for choice in offered:
            signed = card.sign(order_for(token, certificate_called(token, kind), choice), PIN)
            assert isinstance(signed, Signed)
            assert verify_signature(public_der(key_of(kind)), signed.mechanism, CHALLENGE, signed.signature) is None
    assert len(offered) == (4 if kind.startswith("RSA") else 1)


def test_the_next_mechanism_is_tried_where_the_first_is_refused(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        token = the_token(card.report())
        choices = (SigningChoice("CKM_ECDSA_SHA256", CHALLENGE), ecdsa())
        signed = card.sign(order_for(token, certificate_called(token, "P-256"), *choices), PIN)
    assert isinstance(signed, Signed)
    assert signed.mechanism == "CKM_ECDSA"


def test_a_key_that_takes_no_mechanism_is_refused(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        token = the_token(card.report())
        outcome = card.sign(order_for(token, certificate_called(token, "P-256"),
                                      SigningChoice("CKM_ECDSA_SHA256", CHALLENGE)), PIN)
    assert failure_of(outcome) is CardFailure.MECHANISM_REFUSED
    assert isinstance(outcome, NotSigned)
    assert "CKR_MECHANISM_INVALID" in outcome.detail


def test_a_wrong_pin_is_refused_and_the_right_one_still_works(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        token = the_token(card.report())
        order = order_for(token, certificate_called(token, "P-256"), ecdsa())
        assert failure_of(card.sign(order, b"654321")) is CardFailure.PIN_WRONG_FEW_LEFT
    with started(worker, [softhsm(every_key)]) as card:
        assert isinstance(card.sign(only_order_of(card, "P-256"), PIN), Signed)


def only_order_of(card: Card, label: str) -> SignOrder:
    token = the_token(card.report())
    return order_for(token, certificate_called(token, label), ecdsa())


@pytest.mark.parametrize("pin", [b"123", b"1" * 256, b"1234\x0056"])
def test_an_answer_that_cannot_be_a_pin_is_not_sent(worker: str, every_key: SoftToken, pin: bytes) -> None:
    """SoftHSM takes 4 to 255 bytes."""
    with started(worker, [softhsm(every_key)]) as card:
        assert failure_of(card.sign(only_order_of(card, "P-256"), pin)) is CardFailure.PIN_FORM


def test_after_a_refused_form_the_next_order_takes_the_next_answer(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        assert failure_of(card.sign(order, b"1")) is CardFailure.PIN_FORM
        assert isinstance(card.sign(order, PIN), Signed)


def test_an_order_without_a_secret_ends_the_process(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        with pytest.raises(CardProcessLost) as lost:
            card.client.sign(order, soon())
    assert lost.value.pin_sent is False


def test_an_empty_secret_ends_the_process_before_the_token_sees_it(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        card.process._secrets.sendall(b"\0\0\0\0")
        with pytest.raises(CardProcessLost) as lost:
            card.client.sign(order, soon())
    assert lost.value.pin_sent is False


# ---------------------------------------------------------------- the key


def test_a_certificate_without_a_key_is_refused(worker: str, token: SoftToken) -> None:
    token.add(None, certificate_of(key_of("P-256")))
    with started(worker, [softhsm(token)]) as card:
        assert failure_of(card.sign(only_order(card), PIN)) is CardFailure.NO_PRIVATE_KEY


@pytest.mark.parametrize("kind", ["RSA-2048", "P-256", "P-521", "Ed25519"])
def test_a_key_with_another_id_is_found_by_its_public_key(worker: str, token: SoftToken, kind: str) -> None:
    token.add(key_of(kind, 1), None, b"\x02", "decoy", public_key=True)
    token.add(key_of(kind), certificate_of(key_of(kind)), b"\x01", key_id=b"\x09", public_key=True)
    choice = next(choice for choice in _choices_of(KINDS[kind], CHALLENGE) if "SHA" not in choice.mechanism)
    with started(worker, [softhsm(token)]) as card:
        signed = card.sign(only_order(card, choice), PIN)
    assert isinstance(signed, Signed)
    assert verify_signature(public_der(key_of(kind)), signed.mechanism, CHALLENGE, signed.signature) is None


def test_without_a_public_key_object_an_ec_key_with_another_id_is_not_found(worker: str, token: SoftToken) -> None:
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), b"\x01", key_id=b"\x09")
    with started(worker, [softhsm(token)]) as card:
        assert failure_of(card.sign(only_order(card), PIN)) is CardFailure.NO_PRIVATE_KEY


def test_of_two_keys_with_the_id_the_one_with_the_public_key_signs(worker: str, token: SoftToken) -> None:
    token.add(key_of("RSA-2048", 1), None, b"\x01", "decoy")
    token.add(key_of("RSA-2048"), certificate_of(key_of("RSA-2048")), b"\x01")
    choice = _choices_of(KeyKind.RSA, CHALLENGE)[0]
    with started(worker, [softhsm(token)]) as card:
        signed = card.sign(only_order(card, choice), PIN)
    assert isinstance(signed, Signed)
    assert verify_signature(public_der(key_of("RSA-2048")), signed.mechanism, CHALLENGE, signed.signature) is None


def test_another_key_under_the_certificates_id_gives_a_signature_that_does_not_verify(
    worker: str, token: SoftToken,
) -> None:
    token.add(key_of("P-256", 1), certificate_of(key_of("P-256")))
    with started(worker, [softhsm(token)]) as card:
        signed = card.sign(only_order(card), PIN)
    assert isinstance(signed, Signed)
    assert verify_signature(public_der(key_of("P-256")), signed.mechanism, CHALLENGE, signed.signature) is not None


def test_a_key_that_wants_a_pin_for_each_signature_gets_it(worker: str, token: SoftToken) -> None:
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), always_authenticate=True)
    with started(worker, [softhsm(token)]) as card:
        signed = card.sign(only_order(card), PIN)
    assert isinstance(signed, Signed)
    assert verify_signature(public_der(key_of("P-256")), signed.mechanism, CHALLENGE, signed.signature) is None


def test_a_key_that_wants_a_pin_for_each_signature_gets_none_without_digital_signature(
    worker: str, token: SoftToken,
) -> None:
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), always_authenticate=True)
    with started(worker, [softhsm(token)]) as card:
        outcome = card.sign(only_order(card, context_login=False), PIN)
    assert failure_of(outcome) is CardFailure.SIGNING_FAILED
    assert isinstance(outcome, NotSigned)
    assert "PIN for each signature" in outcome.detail


def test_a_certificate_without_a_key_is_passed_over_for_the_next_one(worker: str, token: SoftToken) -> None:
    token.add(None, certificate_of(key_of("P-384")), b"\x02", "keyless")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), b"\x01", "good")
    with started(worker, [softhsm(token)]) as card:
        found = the_token(card.report())
        keyless, good = (certificate_called(found, label) for label in ("keyless", "good"))
        candidates = (candidate_for(keyless, ecdsa()), candidate_for(good, ecdsa()))
        signed = card.sign(SignOrder(token=found, candidates=candidates), PIN)
    assert isinstance(signed, Signed)
    assert signed.certificate == good.ref


def test_of_several_candidates_without_a_key_the_first_is_told(worker: str, token: SoftToken) -> None:
    token.add(None, certificate_of(key_of("P-384")), b"\x02", "keyless")
    token.add(key_of("P-256"), certificate_of(key_of("P-256")), b"\x01", "good")
    with started(worker, [softhsm(token)]) as card:
        found = the_token(card.report())
        keyless, good = (certificate_called(found, label) for label in ("keyless", "good"))
        refused = candidate_for(good, SigningChoice("CKM_ECDSA_SHA256", CHALLENGE))
        order = SignOrder(token=found, candidates=(candidate_for(keyless, ecdsa()), refused))
        assert failure_of(card.sign(order, PIN)) is CardFailure.NO_PRIVATE_KEY


# ---------------------------------------------------------------- the token must be the same


def changed_token(token: TokenReport, **fields: str) -> TokenReport:
    return replace(token, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["label", "manufacturer", "model", "serial"])
def test_a_token_that_says_otherwise_than_before_is_changed(worker: str, every_key: SoftToken, field: str) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        order = replace(order, token=changed_token(order.token, **{field: "another"}))
        assert failure_of(card.sign(order, PIN)) is CardFailure.TOKEN_CHANGED


def test_a_certificate_that_is_gone_means_a_changed_token(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        (candidate,) = order.candidates
        der = candidate.certificate.der[:-1] + bytes([candidate.certificate.der[-1] ^ 1])
        gone = replace(candidate, certificate=replace(candidate.certificate, der=der))
        assert failure_of(card.sign(replace(order, candidates=(candidate, gone)), PIN)) is CardFailure.TOKEN_CHANGED


def test_a_slot_that_is_gone_means_a_removed_token(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        gone = replace(order.token, ref=replace(order.token.ref, slot_id=12345))
        assert failure_of(card.sign(replace(order, token=gone), PIN)) is CardFailure.TOKEN_REMOVED


# ---------------------------------------------------------------- setting up and ending


def test_variables_that_differ_between_modules_are_refused(worker: str) -> None:
    modules = [ModuleSetup("/a.so", {"X": "1"}), ModuleSetup("/b.so", {"X": "2"})]
    with start_card_process(worker) as process, pytest.raises(ConfigError, match="X differs"):
        process.client.set_up(modules, None, soon())


def test_a_sandbox_that_cannot_be_set_is_an_isolation_failure(worker: str, every_key: SoftToken) -> None:
    module = replace(softhsm(every_key), allow=("fail",))
    with started(worker, [module]) as card, pytest.raises(CardIsolationFailed, match="seccomp"):
        card.report()


def test_a_worker_that_ends_at_once_is_a_lost_process() -> None:
    with started("/bin/true", [ModuleSetup("/a.so", {})]) as card, pytest.raises(CardProcessLost):
        card.report()


def test_a_worker_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        start_card_process(str(tmp_path / "nothing"))


def test_the_card_process_has_its_five_descriptors_and_no_others(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        card.report()
        names = {int(path.name): os.readlink(path) for path in Path(f"/proc/{card.process._pid}/fd").iterdir()}
    assert sorted(names) == [0, 1, 2, 3, 4]
    assert {names[0], names[1], names[2]} == {"/dev/null"}
    assert names[3] != names[4]
    assert all(names[number].startswith("socket:") for number in (3, 4))


def test_after_the_end_the_next_order_starts_afresh(worker: str, every_key: SoftToken) -> None:
    with started(worker, [softhsm(every_key)]) as card:
        order = only_order_of(card, "P-256")
        assert isinstance(card.sign(order, PIN), Signed)
        card.client.end(soon())
        assert isinstance(card.sign(order, PIN), Signed)
