# SPDX-License-Identifier: LGPL-2.1-or-later
"""The secret is read whole or not at all, judged by its form, and wiped."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pam_sc.card.module import TokenInfo
from pam_sc.card.orders import PinRules
from pam_sc.card.pin import NotPossibleError, require_form, secret_from, secrets_from
from pam_sc.decision.possession import CardFailure
from pam_sc.errors import ProtocolError


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_secret_is_read_and_wiped(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    ours.sendall(b"\0\0\0\x04" + b"1234" + b"\0\0\0\x02" + b"56")
    with secret_from(theirs.fileno()) as first:
        assert first == b"1234"
    assert first == bytes(4)
    with secret_from(theirs.fileno()) as second:
        assert second == b"56"


def test_three_secrets_are_read_in_their_order_and_wiped(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    ours.sendall(b"".join(len(secret).to_bytes(4) + secret for secret in (b"1234", b"56", b"7")))
    with secrets_from(theirs.fileno(), 3) as secrets:
        assert list(map(bytes, secrets)) == [b"1234", b"56", b"7"]
    assert list(map(bytes, secrets)) == [bytes(4), bytes(2), bytes(1)]


def test_no_secret_is_awaited_where_none_is_due(channel: tuple[socket.socket, socket.socket]) -> None:
    with secrets_from(channel[1].fileno(), 0) as secrets:
        assert secrets == ()


def test_a_secret_is_wiped_where_its_user_fails(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    ours.sendall(b"\0\0\0\x04" + b"1234")
    kept = bytearray()
    with pytest.raises(KeyError), secret_from(theirs.fileno()) as secret:
        kept = secret
        raise KeyError
    assert kept == bytes(4)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\0", b"\0\0\x02\x01", b"\0\0\0\x04123", b"\xff\xff\xff\xff1234"])
def test_a_secret_that_is_not_whole_or_out_of_bounds_is_refused(
    channel: tuple[socket.socket, socket.socket], sent: bytes,
) -> None:
    ours, theirs = channel
    ours.sendall(sent)
    ours.close()
    with pytest.raises(ProtocolError) as refused, secret_from(theirs.fileno()):
        raise AssertionError("there is no secret")
    assert "123" not in str(refused.value)


def info(pin_min: int, pin_max: int) -> TokenInfo:
    return TokenInfo(label=b"", manufacturer=b"", model=b"", serial=b"", flags=0, pin_min=pin_min, pin_max=pin_max)


@pytest.mark.parametrize(("pin", "pin_min", "pin_max"), [
    (b"1234", 4, 8), (b"12345678", 4, 8), (b"1", 0, 0), (b"1", 8, 4), (b"1" * 512, 0, 2**64 - 1), ("pässe".encode(), 6, 6),
])
def test_a_pin_within_bounds_may_be_sent(pin: bytes, pin_min: int, pin_max: int) -> None:
    require_form(bytearray(pin), info(pin_min, pin_max), PinRules())


@pytest.mark.parametrize(("pin", "pin_min", "pin_max"), [
    (b"123", 4, 8), (b"123456789", 4, 8), (b"", 0, 8), (b"", 0, 0), (b"12\x0034", 4, 8), (b"\0", 0, 0),
])
def test_a_pin_of_another_form_may_not(pin: bytes, pin_min: int, pin_max: int) -> None:
    with pytest.raises(NotPossibleError) as refused:
        require_form(bytearray(pin), info(pin_min, pin_max), PinRules())
    assert refused.value.outcome.failure is CardFailure.PIN_FORM


UNBOUND = info(0, 0)
DIGITS = PinRules(4, 6, "[0-9]+")


@pytest.mark.parametrize("pin", [b"1234", b"123456"])
def test_a_pin_that_keeps_the_rules_may_be_sent(pin: bytes) -> None:
    require_form(bytearray(pin), UNBOUND, DIGITS)


@pytest.mark.parametrize("pin", [b"123", b"1234567", b"1234a", b"a1234", b"12 34", b"1234\n", b"12\xff34", "1234\u0665".encode()])
def test_a_pin_that_breaks_one_rule_may_not(pin: bytes) -> None:
    with pytest.raises(NotPossibleError) as refused:
        require_form(bytearray(pin), UNBOUND, DIGITS)
    assert refused.value.outcome.failure is CardFailure.PIN_FORM


def test_the_rules_and_the_token_must_both_agree() -> None:
    for bounds, rules in ((info(5, 8), PinRules(4, 8)), (info(4, 8), PinRules(5, 8)), (info(4, 8), PinRules(0, 3))):
        with pytest.raises(NotPossibleError):
            require_form(bytearray(b"1234"), bounds, rules)
    require_form(bytearray(b"1234"), info(4, 8), PinRules(4, 8))


def test_a_pattern_knows_letters_beyond_ascii_by_name_only() -> None:
    require_form(bytearray("p\u00e4ss".encode()), UNBOUND, PinRules(pattern="[a-z\u00e4]+"))
    with pytest.raises(NotPossibleError):
        require_form(bytearray("p\u00e4ss".encode()), UNBOUND, PinRules(pattern=r"\w+"))


def test_a_pattern_that_is_none_takes_nothing() -> None:
    with pytest.raises(NotPossibleError):
        require_form(bytearray(b"1234"), UNBOUND, PinRules(pattern="("))
