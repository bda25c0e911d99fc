# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what a configuration decides, in plain sentences: one for each decision, from the frozen configuration alone.

For people who must answer for it. Pure: no file is opened, so a sentence says what a login will look for, never what
it would find today. A field of the model on which no sentence depends is a defect (a test walks them all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pam_sc.config.mapping_in_words import mapping_in_words
from pam_sc.config.model import (
    CaSettings,
    Configuration,
    Fetch,
    LookupSettings,
    ModuleSettings,
    OcspNonce,
)
from pam_sc.decision.policy import Algorithms, RevocationMode, RevocationSource, TokenSelector
from pam_sc.record import record

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


@record
class Sentence:
    """One decision: the table of the configuration that it comes from, and what it means."""

    topic: str
    text: str


def in_words(configuration: Configuration) -> tuple[Sentence, ...]:
    """Return the sentences, in the order of a login."""
    return tuple(
        Sentence(topic, text) for topic, say in _TOPICS.items() for text in say(configuration) if text
    )


# ---------------------------------------------------------------- where and who


def _login(configuration: Configuration) -> Iterator[str]:
    account = configuration.account
    if account.services is None:
        yield "A card counts in every PAM service whose stack names pam_sc.so."
    else:
        yield f"A card counts only in the PAM services {_listed(sorted(account.services))}."
    if configuration.card_required:
        yield "Where there is no card, or no reader, the answer is a refusal: no later module may take its place."
    else:
        yield "Where there is no card, or no reader, a later module of the stack may ask for something else."
    if account.remote_allowed:
        yield "A card in this machine's reader counts for logins over the network too."
    else:
        yield "Logins over the network are refused: a card counts only for somebody who sits here."
    yield "A card may log in as root." if account.allow_root else "No card logs in as root (uid 0, whatever its name)."
    if account.card_names_user:
        yield ("Where no user name was typed, the card names the account in"
               f" {_listed(sorted(account.card_names_user))}; elsewhere such a login is refused.")
    else:
        yield "A user name is always needed: nowhere does the card name the account."
    if account.privileged_services:
        yield (f"Files in homes and full names (GECOS) are not believed in {_listed(sorted(account.privileged_services))},"
               " unless a mapper names the service.")
    else:
        yield ("Files in homes and full names (GECOS) are believed in every service, but not for a setuid program, unless a"
               " mapper names the service.")


# ---------------------------------------------------------------- the card


def _token(configuration: Configuration) -> Iterator[str]:
    token = configuration.token
    for module in token.modules:
        yield from _module(module)
    chosen = _selector(token.select) if token.select is not None else ()
    yield f"Only a token with {_listed(chosen)} counts." if chosen else "Every token that is present counts."
    yield f"What talks to the card runs as the account {token.run_as}."


def _module(module: ModuleSettings) -> Iterator[str]:
    # Names alone: somebody may have written a PIN into a value.
    seen = f"which sees the variables {_listed(module.environment)}" if module.environment else "which sees no variables"
    yield f"Cards are reached through {module.path}, {seen}."
    if module.allow:
        yield f"{module.path} may also make the system calls {_listed(module.allow)}."


def _selector(select: TokenSelector) -> list[str]:
    wanted = ((name, value) for name, value in vars(select).items() if name != "text" and value is not None)
    return [f"{name.replace('_', ' ')} {value!r}" for name, value in wanted]


def _pin(configuration: Configuration) -> Iterator[str]:
    if configuration.pin.allow_last_try:
        yield "The last PIN try of a card may be used: a wrong PIN then locks it."
    else:
        yield "The last PIN try of a card is never used, so that a login locks no card."
    yield "A card proves itself by signing a fresh challenge, always."


def _prompt(configuration: Configuration) -> Iterator[str]:
    prompt = configuration.prompt
    called = f"the {prompt.token_type}" if prompt.token_type is not None else "the card by its label"
    yield f"The question for the PIN names {called}."
    yield "Beside it nothing is shown." if prompt.quiet else "The person reads why a login was refused."


# ---------------------------------------------------------------- trust


def _trust(configuration: Configuration) -> Iterator[str]:
    trust = configuration.trust
    end = "a certificate, self-signed or not," if trust.partial_paths else "a self-signed certificate"
    yield f"Certificates must lead to {end} in {trust.anchors}."
    if trust.intermediates is None:
        yield "CA certificates in between come from the card."
    else:
        yield f"CA certificates in between come from the card and from {trust.intermediates}."
    yield _ALGORITHMS[trust.algorithms]
    if trust.strict:
        yield "Every CA must keep to every rule of RFC 5280."
    else:
        yield "CAs that leave out what RFC 5280 demands count too."
    if trust.policies is not None:
        yield f"The path must be valid for one of the certificate policies {_listed(sorted(trust.policies))}."
    else:
        yield "Any certificate policy will do."


_ALGORITHMS: Mapping[Algorithms, str] = {
    Algorithms.CURRENT: "Only keys and signatures that are sound today count.",
    Algorithms.LEGACY: "Old keys and signatures (SHA-1, RSA from 1024 bits) count too.",
    Algorithms.ANY: "Every key and signature counts, broken ones too.",
}


# ---------------------------------------------------------------- revocation


def _revocation(configuration: Configuration) -> Iterator[str]:
    revocation = configuration.revocation
    yield from _lookup(revocation.lookup)
    if revocation.crls is not None:
        yield f"CRLs at hand are those in {revocation.crls}."
    else:
        yield "There are no CRLs at hand but what was fetched."
    yield f"What was fetched lies in {revocation.store}."
    for authority in revocation.authorities:
        yield from _authority(authority, revocation.lookup)


def _authority(authority: CaSettings, whole: LookupSettings) -> Iterator[str]:
    """What differs for one CA; a sentence that the whole says already is not said again."""
    head = f"For what {authority.name!r} ({authority.certificate}) issues: "
    said = set(_lookup(whole))
    own = [text for text in _lookup(authority.lookup) if text not in said]
    yield from (head + text for text in own)
    if not own:
        yield head + "the same."


def _lookup(lookup: LookupSettings) -> Iterator[str]:
    yield _MODES[lookup.mode]
    if lookup.mode is RevocationMode.OFF:
        return
    yield _FETCHES[lookup.fetch]
    yield _sources(lookup)
    yield from _ocsp(lookup)
    if lookup.sources:
        yield f"CRLs are fetched from {_listed(lookup.sources)} too."
    yield (f"A login fetches for {_seconds(lookup.timeout_s)} at most; nothing larger than {_size(lookup.max_bytes)}"
           " is read.")
    yield f"Clocks may differ by {_seconds(lookup.clock_skew_s)}."
    if lookup.proxy is not None:
        yield f"Fetching goes through the proxy {lookup.proxy}."
    if lookup.loopback:
        yield "A certificate may name a server on this very machine."


_MODES: Mapping[RevocationMode, str] = {
    RevocationMode.REQUIRE: "It must be known that no certificate on the path is revoked.",
    RevocationMode.NAMED: "It must be known that no certificate on the path is revoked, where the certificate names a"
    " source or a CRL of its issuer is at hand.",
    RevocationMode.PREFER: "A revoked certificate is refused; one whose status cannot be found out is accepted.",
    RevocationMode.OFF: "Whether a certificate is revoked is not looked at.",
}

_FETCHES: Mapping[Fetch, str] = {
    Fetch.OFF: "Nobody uses the network for CRLs and OCSP answers.",
    Fetch.REFRESH: "Only pam-sc refresh uses the network for CRLs and OCSP answers, never a login.",
    Fetch.LOGIN: "A login may use the network for CRLs and OCSP answers that are not at hand.",
}

_KINDS: Mapping[RevocationSource, str] = {RevocationSource.OCSP: "OCSP answers", RevocationSource.CRL: "CRLs"}


def _sources(lookup: LookupSettings) -> str:
    kinds = [_KINDS[kind] for kind in lookup.rules().sources]
    if len(kinds) == 1:
        return f"Only {kinds[0]} count."
    also = f"then {kinds[1]} where those do not know" if lookup.either else f"{kinds[1]} only where there are none"
    return f"First {kinds[0]} are asked, {also}."


def _ocsp(lookup: LookupSettings) -> Iterator[str]:
    if RevocationSource.OCSP not in lookup.rules().sources:
        yield "OCSP responders are not asked."
        return
    responder = lookup.ocsp_responder
    if responder is not None:
        signed = f", its answers signed by {responder.certificate}" if responder.certificate is not None else ""
        yield f"The OCSP responder is {responder.url}{signed}, whatever certificates name."
    yield _NONCES[lookup.ocsp_nonce]


_NONCES: Mapping[OcspNonce, str] = {
    OcspNonce.OFF: "OCSP questions carry no nonce.",
    OcspNonce.OPTIONAL: "OCSP questions carry a nonce; an answer without it counts.",
    OcspNonce.REQUIRED: "OCSP questions carry a nonce, and only an answer that repeats it counts.",
}


# ---------------------------------------------------------------- words


def _listed(words: Iterable[str]) -> str:
    *first, last = list(words) or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def _seconds(count: int) -> str:
    return "1 second" if count == 1 else f"{count} seconds"


def _size(count: int) -> str:
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"


_TOPICS: Mapping[str, Callable[[Configuration], Iterator[str]]] = {
    "login": _login,
    "card": _token,
    "trust": _trust,
    "revocation": _revocation,
    "mapping": lambda configuration: mapping_in_words(configuration.mappers),
    "pin": _pin,
    "prompt": _prompt,
}
