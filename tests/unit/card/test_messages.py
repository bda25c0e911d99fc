# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each message survives the way there, and whatever is not one is an error of the protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.card.messages import (
    Kind,
    ModuleSetup,
    ProcessSetup,
    RunAs,
    Signature,
    failed_frame,
    merged_environment,
    outcome_frame,
    plain,
    read_failed,
    read_module,
    read_outcome,
    read_setup,
    require_plain,
    setup_frames,
)
from pam_sc.card.orders import (
    MAX_CANDIDATES,
    CandidateCommand,
    ChangeCommand,
    ChangeKind,
    PinRules,
    SignCommand,
    Target,
    change_frame,
    open_frame,
    read_change,
    read_open,
    read_sign,
    read_wait,
    sign_frame,
    wait_frame,
)
from pam_sc.decision.card_report import PinState
from pam_sc.decision.possession import CardFailure, NotSigned, PinWay
from pam_sc.errors import ConfigError, ProtocolError
from pam_sc.frames import Frame
from pam_sc.record import replace

CANDIDATE = CandidateCommand(
    certificate_sha256=b"h" * 32, object_id=b"\x01", public_key_der=b"spki", context_login=True,
    choices=(("CKM_ECDSA", b"digest"), ("CKM_ECDSA_SHA256", b"challenge")),
)
TARGET = Target(module=1, slot_id=2**63, label="M\u00fcller", manufacturer="", model="m", serial="01",
                pin_state=PinState.COUNT_LOW, way=PinWay.STACKED, rules=PinRules(4, 8, "[0-9\u00e4]+"))
COMMAND = SignCommand(TARGET, (CANDIDATE, replace(CANDIDATE, context_login=False)))
MODULES = (ModuleSetup("/a.so", {"A": "1", "B": ""}, ("fork",)), ModuleSetup("/b.so", {}))


@pytest.mark.parametrize("run_as", [None, RunAs(1, 2, ()), RunAs(2**32 - 1, 5, (5, 6))])
@pytest.mark.parametrize("pinpad", [True, False])
def test_a_setup_arrives_as_it_was_sent(run_as: RunAs | None, pinpad: bool) -> None:
    setup, *modules = setup_frames(MODULES, run_as, pinpad=pinpad)
    assert read_setup(setup) == ProcessSetup(run_as, 2, pinpad)
    assert tuple(map(read_module, modules)) == MODULES


def test_a_sign_arrives_as_it_was_sent() -> None:
    assert read_sign(sign_frame(COMMAND)) == COMMAND


def test_rules_that_rule_nothing_arrive_as_they_were_sent() -> None:
    assert read_open(open_frame(replace(TARGET, rules=PinRules()))).rules == PinRules()


@pytest.mark.parametrize("way", [PinWay.TYPED, PinWay.STACKED, PinWay.PINPAD, PinWay.NONE])
def test_an_open_arrives_as_it_was_sent(way: PinWay) -> None:
    target = replace(TARGET, way=way)
    assert read_open(open_frame(target)) == target


def test_a_token_is_not_opened_because_it_is_open() -> None:
    with pytest.raises(ProtocolError, match="what is open"):
        read_open(open_frame(replace(TARGET, way=PinWay.OPENED)))


@pytest.mark.parametrize("kind", ChangeKind)
def test_a_change_arrives_as_it_was_sent(kind: ChangeKind) -> None:
    command = ChangeCommand(TARGET, kind)
    assert read_change(change_frame(command)) == command


@pytest.mark.parametrize("way", [PinWay.OPENED, PinWay.NONE])
def test_a_pin_is_not_changed_without_one(way: PinWay) -> None:
    with pytest.raises(ProtocolError, match="without one"):
        read_change(change_frame(ChangeCommand(replace(TARGET, way=way), ChangeKind.CHANGE)))


def test_a_change_of_another_kind_is_refused() -> None:
    fields = change_frame(ChangeCommand(TARGET, ChangeKind.CHANGE)).fields
    with pytest.raises(ProtocolError, match="unknown ChangeKind"):
        read_change(Frame(Kind.CHANGE, (*fields[:-1], b"replace")))


@pytest.mark.parametrize("present", [True, False])
def test_a_wait_arrives_as_it_was_sent(present: bool) -> None:
    assert read_wait(wait_frame(present=present)) is present


@pytest.mark.parametrize("fields", [(), (b"\2",), (b"",), (b"\0\0",), (b"\1", b"")])
def test_a_wait_for_anything_else_is_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(ProtocolError):
        read_wait(Frame(Kind.WAIT, fields))


@pytest.mark.parametrize("outcome", [
    Signature(0, "CKM_EDDSA", b"x" * 64), Signature(7, "CKM_RSA_PKCS", b""), NotSigned(CardFailure.PIN_WRONG, "C_Login"),
    NotSigned(CardFailure.SIGNING_FAILED),
])
def test_an_outcome_arrives_as_it_was_sent(outcome: Signature | NotSigned) -> None:
    assert read_outcome(outcome_frame(outcome)) == outcome


def test_a_failure_to_set_up_arrives_as_it_was_sent() -> None:
    assert read_failed(failed_frame("isolation", "why")) == ("isolation", "why")


@pytest.mark.parametrize("fields", [
    (b"", b"", b"\0", b"\0"), (b"", b"", b"\x11", b"\0"), (b"1234", b"", b"\1", b"\0"), (b"", b"123", b"\1", b"\0"),
    (b"", b"", b"", b"\0"), (b"", b"", b"\1"), (b"", b"", b"\1", b"\2"), (b"", b"", b"\1", b""),
    (b"", b"", b"\1", b"\0", b""), (b"123456789", b"", b"\1", b"\0"),
])
def test_a_setup_that_differs_in_one_thing_is_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(ProtocolError):
        read_setup(Frame(Kind.SETUP, fields))


@pytest.mark.parametrize("fields", [
    (b"/a.so\0", b"", b""), (b"\xff", b"", b""), (b"/" * 4097, b"", b""), (b"/a", b"\0\0\0\1A", b""),
    (b"/a", b"\0\0\0\2A", b""), (b"/a", b"", b"\0\0\0\1\n"), (b"/a", b""),
])
def test_a_module_that_differs_in_one_thing_is_refused(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(ProtocolError):
        read_module(Frame(Kind.MODULE, fields))


@pytest.mark.parametrize(("at", "value"), [
    (0, b"\0"), (1, b"\0" * 7), (2, b"a\n"), (2, b"\xff"), (2, b"a" * 257), (6, b"sound"),
    (7, b"spoken"), (8, b"\0\0\0"), (9, b"\0\0\0\0\1"), (10, b"a\0"), (10, b"a" * 4001), (11, b""),
    (11, b"\0\0\0\0"),
])
def test_a_sign_that_differs_in_one_thing_is_refused(at: int, value: bytes) -> None:
    fields = list(sign_frame(COMMAND).fields)
    fields[at] = value
    with pytest.raises(ProtocolError):
        read_sign(Frame(Kind.SIGN, tuple(fields)))


@pytest.mark.parametrize("candidate", [
    replace(CANDIDATE, choices=(("CKM_RSA_X_509", b"x"),)), replace(CANDIDATE, certificate_sha256=b"h" * 33),
    replace(CANDIDATE, object_id=b"x" * 1025),
])
def test_a_candidate_that_differs_in_one_thing_is_refused(candidate: CandidateCommand) -> None:
    with pytest.raises(ProtocolError):
        read_sign(sign_frame(replace(COMMAND, candidates=(candidate,))))


def test_more_candidates_than_allowed_are_refused() -> None:
    assert len(read_sign(sign_frame(replace(COMMAND, candidates=(CANDIDATE,) * MAX_CANDIDATES))).candidates) == 8
    with pytest.raises(ProtocolError):
        read_sign(sign_frame(replace(COMMAND, candidates=(CANDIDATE,) * (MAX_CANDIDATES + 1))))


@pytest.mark.parametrize("frame", [
    Frame(Kind.SIGNED, (b"\0", b"CKM_EDDSA", b"x" * 1025)),
    Frame(Kind.SIGNED, (b"\0", b"CKM_RSA_X_509", b"x")),
    Frame(Kind.SIGNED, (b"\0", b"CKM_EDDSA")),
    Frame(Kind.SIGNED, (b"", b"CKM_EDDSA", b"x")),
    Frame(Kind.SIGNED, (b"\0", b"CKM_EDDSA", b"x", b"")),
    Frame(Kind.NOT_SIGNED, (b"granted", b"")),
    Frame(Kind.NOT_SIGNED, (b"timeout", b"")),
    Frame(Kind.NOT_SIGNED, (b"process-lost", b"")),
    Frame(Kind.NOT_SIGNED, (b"pinpad-timeout", b"")),
    Frame(Kind.NOT_SIGNED, (b"pin-wrong", b"\x1b[2J")),
    Frame(Kind.NOT_SIGNED, (b"pin-wrong", b"x" * 1025)),
    Frame(Kind.ENDED, (b"pin-wrong", b"")),
    Frame(0x99, (b"pin-wrong", b"")),
])
def test_an_outcome_that_no_card_process_may_give_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        read_outcome(frame)


def test_a_message_without_fields_has_none() -> None:
    require_plain(plain(Kind.READY))
    with pytest.raises(ProtocolError):
        require_plain(Frame(Kind.READY, (b"",)))


@given(st.integers(0, 255), st.lists(st.binary(max_size=40), max_size=9))
def test_arbitrary_fields_are_a_message_or_an_error_of_the_protocol(kind: int, fields: list[bytes]) -> None:
    for read in (read_setup, read_module, read_sign, read_open, read_change, read_wait, read_outcome, read_failed):
        try:
            read(Frame(kind, tuple(fields)))
        except ProtocolError:
            continue


def test_the_variables_of_all_modules_are_merged() -> None:
    modules = [ModuleSetup("/a", {"A": "1"}), ModuleSetup("/b", {"A": "1", "B": "2"})]
    assert merged_environment(modules) == {"A": "1", "B": "2"}


@pytest.mark.parametrize("second", [{"A": "2"}, {"": "1"}, {"B=C": "1"}, {"B": "1\0"}, {"B\0": "1"}])
def test_variables_that_cannot_all_be_set_are_refused(second: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot set the environment of '/b'"):
        merged_environment([ModuleSetup("/a", {"A": "1"}), ModuleSetup("/b", second)])
