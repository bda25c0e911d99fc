# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what a configuration decides, in plain sentences: one for each decision, from the frozen configuration alone.

For people who must answer for it. Pure: no file is opened, so a sentence says what a login will look for, never what
it would find today. A field of the model on which no sentence depends is a defect (a test walks them all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pam_sc.config.mapping_in_words import mapping_in_words
from pam_sc.config.model import (
    CaSettings,
    Configuration,
    Fetch,
    LookupSettings,
    OcspNonce,
)
from pam_sc.config.monitor_in_words import monitor_in_words
from pam_sc.config.person_in_words import (
    account_in_words,
    certificate_in_words,
    log_in_words,
    pin_in_words,
    prompt_in_words,
    texts_in_words,
    token_in_words,
    unlock_in_words,
)
from pam_sc.config.wording import counted, listed, size
from pam_sc.decision.policy import Algorithms, RevocationMode, RevocationSource
from pam_sc.record import record


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
    if configuration.services:
        yield f"The services {listed(configuration.services)} have settings of their own."
    yield from _where_and_who(configuration)


def _where_and_who(configuration: Configuration) -> Iterator[str]:
    account = configuration.account
    if account.services is None:
        yield "A card counts in every PAM service whose stack names pam_sc.so."
    else:
        yield f"A card counts only in the PAM services {listed(sorted(account.services))}."
    if configuration.card_required:
        yield "Where there is no card, or no reader, the answer is a refusal: no later module may take its place."
    else:
        yield "Where there is no card, or no reader, a later module of the stack may ask for something else."
    wait = f"A card that is not there is waited for, for {counted(configuration.wait_s, 'second')} at most."
    yield wait if configuration.wait_s else "No card is waited for."
    if account.remote_allowed:
        yield "A card in this machine's reader counts for logins over the network too."
    else:
        yield "Logins over the network are refused: a card counts only for somebody who sits here."
    yield "A card may log in as root." if account.allow_root else "No card logs in as root (uid 0, whatever its name)."
    if account.card_names_user:
        yield ("Where no user name was typed, the card names the account in"
               f" {listed(sorted(account.card_names_user))}; elsewhere such a login is refused.")
    else:
        yield "A user name is always needed: nowhere does the card name the account."
    if account.privileged_services:
        yield (f"Files in homes and full names (GECOS) are not believed in {listed(sorted(account.privileged_services))},"
               " unless a mapper names the service.")
    else:
        yield ("Files in homes and full names (GECOS) are believed in every service, but not for a setuid program, unless a"
               " mapper names the service.")
    yield from account_in_words(account)


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
        yield f"The path must be valid for one of the certificate policies {listed(sorted(trust.policies))}."
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
        yield f"CRLs are fetched from {listed(lookup.sources)} too."
    yield (f"A login fetches for {counted(lookup.timeout_s, 'second')} at most; nothing larger than {size(lookup.max_bytes)}"
           " is read.")
    yield f"Clocks may differ by {counted(lookup.clock_skew_s, 'second')}."
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


# ---------------------------------------------------------------- services


def service_in_words(whole: Configuration, service: str, own: Configuration) -> tuple[Sentence, ...]:
    """Return what a service decides otherwise than the rest of the file; one sentence that says so where that is nothing."""
    said = set(in_words(whole))
    return tuple(each for each in in_words(own) if each not in said) or (
        Sentence("login", f"In {service} the same holds as elsewhere."),
    )


_TOPICS: Mapping[str, Callable[[Configuration], Iterator[str]]] = {
    "login": _login,
    "card": token_in_words,
    "trust": _trust,
    "revocation": _revocation,
    "mapping": lambda configuration: mapping_in_words(configuration.mappers),
    "certificate": lambda configuration: certificate_in_words(configuration.certificate),
    "pin": lambda configuration: pin_in_words(configuration.pin),
    "prompt": lambda configuration: prompt_in_words(configuration.prompt),
    "unlock": lambda configuration: unlock_in_words(configuration.unlock),
    "monitor": monitor_in_words,
    "texts": lambda configuration: texts_in_words(configuration.texts),
    "log": lambda configuration: log_in_words(configuration.log),
}
