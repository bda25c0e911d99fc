# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets: read from the secrets channel, judged by their form, wiped. Nothing here gives one to a token.

An empty secret never goes anywhere. No message, exception or log line holds a PIN or its length.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections.abc import Iterator

from pam_sc.card import sentences
from pam_sc.card.constants import MAX_SECRET
from pam_sc.card.module import TokenInfo
from pam_sc.card.orders import PinRules
from pam_sc.decision.possession import CardFailure, NotSigned
from pam_sc.errors import PamScError, ProtocolError

SECRET_WAIT = 5.0
"""Seconds. The secret is in the channel before the order that needs it; nobody types while this runs."""


class NotPossibleError(PamScError):
    """The order ends here; `outcome` is the answer to it."""

    def __init__(self, failure: CardFailure, detail: str = "") -> None:
        super().__init__(f"cannot carry out the order: {failure.value}: {detail}")
        self.outcome = NotSigned(failure, detail)


@contextlib.contextmanager
def secrets_from(descriptor: int, count: int) -> Iterator[tuple[bytearray, ...]]:
    """The next `count` secrets of the channel, wiped at the end; ProtocolError if one is missing or malformed."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(secret_from(descriptor)) for _ in range(count))


@contextlib.contextmanager
def secret_from(descriptor: int) -> Iterator[bytearray]:
    """The next secret of the channel, wiped at the end; ProtocolError if there is none or it is malformed."""
    deadline = time.monotonic() + SECRET_WAIT
    secret = bytearray()
    try:
        length = int.from_bytes(_exactly(descriptor, 4, deadline), "big")
        if not 0 < length <= MAX_SECRET:
            raise ProtocolError("secret is malformed: its length is out of bounds")
        secret = _exactly(descriptor, length, deadline)
        yield secret
    finally:
        wipe(secret)


def _exactly(descriptor: int, count: int, deadline: float) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while view:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poller.poll(remaining * 1000):
            raise ProtocolError("secret is malformed: it does not come whole")
        got = os.readv(descriptor, [view])
        if not got:
            raise ProtocolError("secret is malformed: end of the channel")
        view = view[got:]
    return buffer


def wipe(secret: bytearray) -> None:
    """Overwrite a secret where it lies. Copies that PyKCS11 makes are out of reach; the process ends soon."""
    for index in range(len(secret)):
        secret[index] = 0


def require_form(pin: bytearray, info: TokenInfo, rules: PinRules) -> None:
    """Refuse what the token could not accept as a PIN, or the rules do not take as one, before the token sees it."""
    if not fits(pin, info, rules):
        raise NotPossibleError(CardFailure.PIN_FORM, sentences.NOT_SENT)


def fits(pin: bytearray, info: TokenInfo, rules: PinRules) -> bool:
    """Say whether a PIN has a form that both the token and the rules take. Lengths are bytes."""
    if not pin or 0 in pin:
        return False
    sane = info.pin_max > 0 and info.pin_min <= info.pin_max
    if sane and not info.pin_min <= len(pin) <= info.pin_max:
        return False
    if len(pin) < rules.min_length or 0 < rules.max_length < len(pin):
        return False
    return rules.pattern is None or _matches(rules.pattern, pin)


def _matches(pattern: str, pin: bytearray) -> bool:
    """Whether the pattern takes the whole PIN. What is no UTF-8, or no pattern, does not match."""
    try:
        return re.compile(pattern, re.ASCII).fullmatch(pin.decode()) is not None
    except (UnicodeDecodeError, re.error):
        return False
