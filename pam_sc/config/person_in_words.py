# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say in plain sentences what a person meets: which card and certificate count, who may use one, PIN, prompt and unlocking.

Pure. The value of a variable of a module is never said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pam_sc.config.model import (
    DEFAULT_HOLD_SERVICES,
    AccountSettings,
    CertificateSettings,
    Configuration,
    LogSettings,
    ModuleSettings,
    PinSettings,
    PromptSettings,
)
from pam_sc.config.wording import counted, listed
from pam_sc.decision.policy import Members, Otherwise, TokenSelector, UnlockRules


def account_in_words(account: AccountSettings) -> Iterator[str]:
    """Who must, may and must not."""
    if _some(account.must_use):
        yield f"A card is demanded of {_members(account.must_use)}, whatever holds for others."
    if account.may_use is not None:
        yield f"Only {_members(account.may_use)} may use a card."
    if _some(account.must_not_use):
        yield f"A card is refused to {_members(account.must_not_use)}."


def _some(members: Members) -> bool:
    return bool(members.accounts or members.groups)


def _members(members: Members) -> str:
    groups = [f"everybody in the group {group}" for group in sorted(members.groups)]
    return listed([*sorted(members.accounts), *groups] or ["nobody"])


# ---------------------------------------------------------------- the card


def token_in_words(configuration: Configuration) -> Iterator[str]:
    """Which tokens count, and who talks to them."""
    token = configuration.token
    for module in token.modules:
        yield from _module(module)
    chosen = _selector(token.select) if token.select is not None else ()
    yield f"Only a token with {listed(chosen)} counts." if chosen else "Every token that is present counts."
    yield f"What talks to the card runs as the account {token.run_as}."
    if token.login_first:
        yield "A card that shows no certificate gets its PIN before anything on it was judged."


def _module(module: ModuleSettings) -> Iterator[str]:
    # Names alone: somebody may have written a PIN into a value.
    seen = f"which sees the variables {listed(module.environment)}" if module.environment else "which sees no variables"
    yield f"Cards are reached through {module.path}, {seen}."
    if module.allow:
        yield f"{module.path} may also make the system calls {listed(module.allow)}."


def _selector(select: TokenSelector) -> list[str]:
    wanted = {name: value for name, value in vars(select).items() if name not in ("text", "certificate")}
    if select.certificate is not None:
        wanted |= {"certificate's id": select.certificate.object_id, "certificate's label": select.certificate.label}
    return [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in wanted.items() if value is not None]


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)


def certificate_in_words(certificate: CertificateSettings) -> Iterator[str]:
    """Which certificates count, and which first."""
    if certificate.select is not None:
        yield f"Of a card only the certificate with {certificate.select.text} counts."
    else:
        yield "Every certificate of a card counts that can log in as the account."
    if certificate.prefer:
        yield f"Of several, that with {listed([each.text for each in certificate.prefer])} comes first, in this order."
    if certificate.warn_days:
        yield f"A certificate that expires within {counted(certificate.warn_days, 'day')} is announced after the login."
    else:
        yield "That a certificate will expire is never announced."


# ---------------------------------------------------------------- the PIN


def pin_in_words(pin: PinSettings) -> Iterator[str]:
    """What may be tried."""
    if pin.allow_last_try:
        yield "The last PIN try of a card may be used: a wrong PIN then locks it."
    else:
        yield "The last PIN try of a card is never used, so that a login locks no card."
    yield f"One login asks for a PIN {'once' if pin.prompts == 1 else f'up to {pin.prompts} times'}."
    yield f"A PIN is sent to the card only if it has {_form(pin)}."
    if pin.pinpad:
        yield "A reader with a keypad of its own takes the PIN there."
    else:
        yield "A reader with a keypad of its own is refused."
    if pin.allow_no_pin:
        yield "A card that asks for no PIN logs in whoever holds it."
    else:
        yield "A card that asks for no PIN is refused."
    yield f"A card that shows no counter of tries is left alone after {counted(pin.wrong_max, 'wrong PIN')} in a row."
    yield "A card proves itself by signing a fresh challenge, always."


def _form(pin: PinSettings) -> str:
    """The conditions, each where there is one."""
    wanted = ["a length that the card takes"]
    if pin.min_length:
        wanted.append(f"at least {counted(pin.min_length, 'byte')}")
    if pin.max_length:
        wanted.append(f"at most {counted(pin.max_length, 'byte')}")
    if pin.pattern is not None:
        wanted.append(f"the form {pin.pattern}")
    return listed(wanted)


# ---------------------------------------------------------------- what is read


def prompt_in_words(prompt: PromptSettings) -> Iterator[str]:
    """What the person reads and is asked."""
    called = f"the {prompt.token_type}" if prompt.token_type is not None else "the card by its label"
    yield f"The question for the PIN names {called}."
    yield "Beside it nothing is shown." if prompt.quiet else "The person reads why a login was refused."
    if prompt.choose:
        yield "Between several cards, or several accounts of one, the person is asked."
    else:
        yield "Between several cards nobody is asked: the first that would do is taken; several accounts are refused."
    if prompt.hold is not False:
        where = f"In {listed(sorted(DEFAULT_HOLD_SERVICES))} a" if prompt.hold is None else "A"
        yield f"{where} login that is refused at once ends only when the card is removed, or after a minute."


def unlock_in_words(unlock: UnlockRules) -> Iterator[str]:
    """What holds where a session is unlocked."""
    if not unlock.services:
        yield "No service unlocks a session."
        return
    yield f"A session is unlocked in {listed(sorted(unlock.services))}."
    if unlock.same_card:
        yield f"Only the card that opened the session unlocks it, in GDM too; {_OTHERWISE[unlock.otherwise]}."
    else:
        yield "Any card of the account unlocks it."


_OTHERWISE: Mapping[Otherwise, str] = {
    Otherwise.CARD: "one that was opened without a card is unlocked by any card of the account",
    Otherwise.REFUSE: "one that was opened without a card is unlocked by none",
    Otherwise.IGNORE: "where it was opened without a card, pam_sc.so is as good as not there (PAM_IGNORE)",
}


def texts_in_words(texts: Mapping[str, str]) -> Iterator[str]:
    """Which texts are the administrator's own."""
    for name, text in texts.items():
        yield f"Instead of our own text {name}, in every language: {text!r}." if text else f"The text {name} is not shown."


def log_in_words(log: LogSettings) -> Iterator[str]:
    """What the log names."""
    if log.identity:
        yield "The log names certificates and cards, which is personal data."
    else:
        yield "The log names no certificate and no card, only what stands for them on this machine."
