# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc pin status` says of a token's PIN, in plain words and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from pam_sc.cli.output import Row
from pam_sc.config.model import PinSettings
from pam_sc.decision.card_report import PinState, TokenReport
from pam_sc.record import record

STATES = {
    PinState.OK: ("ok", ""),
    PinState.COUNT_LOW: ("few left", "a wrong PIN was given, and only a few tries are left"),
    PinState.FINAL_TRY: ("last try", "only one try is left; a login uses it only with [pin] allow_last_try"),
    PinState.LOCKED: ("locked", "unblock it with the PUK: pam-sc pin unblock"),
    PinState.NOT_SET: ("not set", "its issuer has to set the first PIN"),
}

_USABLE = frozenset({PinState.OK, PinState.COUNT_LOW})


@record
class TokenPin:
    """A token and how many wrong PINs are counted for it on this machine; None where that cannot be seen."""

    token: TokenReport
    counted: int | None = None


def usable(pin: TokenPin, settings: PinSettings) -> bool:
    """Say whether a login could try this PIN now."""
    return pin.token.pin_state in _USABLE and not _is_used_up(pin, settings)


def _is_used_up(pin: TokenPin, settings: PinSettings) -> bool:
    """Say whether as many wrong PINs are counted here as may be, for a token that shows no counter."""
    return pin.token.login_required and pin.token.pin_state is PinState.OK and (pin.counted or 0) >= settings.wrong_max


def status_rows(pins: Sequence[TokenPin], settings: PinSettings) -> list[Row]:
    """One line for each token, and what the configuration demands of a new PIN."""
    rows = [
        Row((_state(pin, settings),), f"{pin.token.label or 'a token without a label'}: {_facts(pin, settings)}")
        for pin in pins
    ]
    demanded = _demanded(settings)
    return [*rows, Row(("new PINs",), demanded)] if demanded else rows


def status_json(pins: Sequence[TokenPin], settings: PinSettings) -> dict[str, object]:
    """The same for programs."""
    return {
        "tokens": [_token_json(pin) for pin in pins],
        "new_pin": {"min_length": settings.min_length, "max_length": settings.max_length, "pattern": settings.pattern},
    }


def token_json(token: TokenReport) -> dict[str, object]:
    """Return which token it is."""
    return {
        "label": token.label, "serial": token.serial, "manufacturer": token.manufacturer, "model": token.model,
        "uri": uri_of(token),
    }  # fmt: skip


def uri_of(token: TokenReport) -> str:
    """Return a PKCS#11 URI (RFC 7512) that names this token."""
    named = (("token", token.label), ("serial", token.serial), ("model", token.model))
    return "pkcs11:" + ";".join(f"{name}={quote(value, safe='')}" for name, value in named if value)


def _token_json(pin: TokenPin) -> dict[str, object]:
    token = pin.token
    return {
        **token_json(token),
        "pin": token.pin_state.value if token.login_required else "not-needed",
        "to_be_changed": token.to_be_changed,
        "pinpad": token.protected_authentication_path,
        "min_length": token.pin_min,
        "max_length": token.pin_max,
        "wrong_counted_here": pin.counted,
    }


def _state(pin: TokenPin, settings: PinSettings) -> str:
    if _is_used_up(pin, settings):
        return "used up"
    return STATES[pin.token.pin_state][0] if pin.token.login_required else "no PIN"


def _facts(pin: TokenPin, settings: PinSettings) -> str:
    token = pin.token
    found = [
        STATES[token.pin_state][1] if token.login_required else "it asks for no PIN",
        "the PIN must be changed: pam-sc pin change" if token.to_be_changed else "",
        "the PIN is typed on the keypad of the reader" if token.protected_authentication_path else "",
        _length(token),
        f"it shows no counter of tries; wrong PINs counted here: {pin.counted}" if pin.counted else "",
        "its PIN is tried again after: sudo pam-sc pin forget" if _is_used_up(pin, settings) else "",
        uri_of(token),
    ]
    return "; ".join(each for each in found if each)


def _length(token: TokenReport) -> str:
    if not 0 < token.pin_max >= token.pin_min:
        return "it names no length of a PIN"
    return f"a PIN has {token.pin_min} to {token.pin_max} bytes"


def _demanded(settings: PinSettings) -> str:
    found = [
        f"at least {settings.min_length} bytes" if settings.min_length else "",
        f"at most {settings.max_length} bytes" if settings.max_length else "",
        f"match {settings.pattern}" if settings.pattern else "",
    ]
    said = ", ".join(each for each in found if each)
    return f"[pin] demands: {said}" if said else ""
