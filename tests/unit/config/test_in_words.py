# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a configuration decides is said whole: each field of the model changes what is said, and nothing secret is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pam_sc.config import model
from pam_sc.config.in_words import Sentence, in_words, service_in_words
from pam_sc.config.model import (
    AccountSettings,
    CaSettings,
    CertificateSettings,
    Configuration,
    Fetch,
    LogSettings,
    LookupSettings,
    MapperSettings,
    ModuleSettings,
    OcspNonce,
    OcspResponder,
    PinSettings,
    PromptSettings,
    RevocationSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.decision.policy import (
    Algorithms,
    CertificateSelector,
    Members,
    Otherwise,
    RevocationMode,
    RevocationSource,
    UnlockRules,
)
from pam_sc.decision.uri import parse_token_uri
from pam_sc.record import replace

MODULE = ModuleSettings(path="/m.so")
RESPONDER = OcspResponder(url="http://ocsp.example.test/")
AUTHORITY = CaSettings(name="partner", certificate="/ca.pem", lookup=LookupSettings(), where="")
MAPPER = MapperSettings(name="cn", table={"mapfile": "/map"}, where="")
PLAIN = Configuration(
    source="/etc/pam_sc/pam_sc.toml",
    token=TokenSettings(modules=(MODULE,)),
    trust=TrustSettings(anchors="/anchors"),
    mappers=(MAPPER,),
)

CHANGES: dict[type, dict[str, Any]] = {
    Configuration: {
        "card_required": True, "token": ..., "trust": ..., "revocation": ..., "account": ..., "pin": ..., "prompt": ...,
        "mappers": ..., "certificate": ..., "log": ..., "wait_s": 10, "services": ("sudo",), "texts": {"pin": "Number: "},
        "monitor": {"action": "terminate"},
        "unlock": UnlockRules(same_card=True),
    },
    TokenSettings: {"modules": (MODULE, MODULE), "select": parse_token_uri("pkcs11:token=x"), "run_as": "readers",
        "login_first": True,
    },
    ModuleSettings: {"path": "/n.so", "environment": {"A": "b"}, "allow": ("getpeername",)},
    TrustSettings: {
        "anchors": "/b", "intermediates": "/i", "algorithms": Algorithms.ANY, "strict": False, "partial_paths": True,
        "policies": frozenset({"1.2.3"}),
    },
    RevocationSettings: {"crls": "/crls", "store": "/store", "lookup": ..., "authorities": (AUTHORITY,)},
    CaSettings: {"name": "other", "certificate": "/other.pem", "lookup": LookupSettings(timeout_s=1)},
    LookupSettings: {
        "mode": RevocationMode.REQUIRE, "fetch": Fetch.LOGIN, "ocsp": False, "ocsp_responder": RESPONDER,
        "ocsp_nonce": OcspNonce.REQUIRED, "order": (RevocationSource.CRL, RevocationSource.OCSP), "either": False,
        "sources": ("http://crl.example.test/",), "timeout_s": 11, "max_bytes": 1025, "clock_skew_s": 1,
        "proxy": "http://proxy.example.test:1", "loopback": True,
    },
    OcspResponder: {"url": "http://other.example.test/", "certificate": "/responder.pem"},
    AccountSettings: {
        "allow_root": True, "card_names_user": frozenset({"sudo"}), "services": frozenset({"sudo"}),
        "remote_allowed": True, "privileged_services": frozenset({"sudo"}), "must_use": Members(groups=frozenset({"admins"})),
        "may_use": Members(), "must_not_use": Members(accounts=frozenset({"alice"})),
    },
    PinSettings: {
        "allow_last_try": True, "prompts": 3, "min_length": 6, "max_length": 8, "pattern": "[0-9]+", "pinpad": True,
        "allow_no_pin": True, "wrong_max": 1,
    },
    PromptSettings: {"token_type": "badge", "quiet": True, "choose": True, "hold": True},
    CertificateSettings: {
        "select": CertificateSelector(text="label 'x'", label="x"), "warn_days": 0,
        "prefer": (CertificateSelector(text="position 1", position=1),),
    },
    LogSettings: {"identity": True},
    MapperSettings: {"name": "uid", "table": {}},
}  # fmt: skip
"""For each field a value that differs from PLAIN's; `...` for a record, whose own fields are below."""
PLACES = {
    (Configuration, "source"), (Configuration, "notes"), (Configuration, "places"), (CaSettings, "where"),
    (MapperSettings, "where"),
}  # fmt: skip
"""Fields that say where something stands or what is odd about it, and decide nothing."""


AROUND: dict[type, Callable[[Any], object]] = {
    ModuleSettings: lambda part: replace(PLAIN.token, modules=(part,)),
    TokenSettings: lambda part: replace(PLAIN, token=part),
    TrustSettings: lambda part: replace(PLAIN, trust=part),
    RevocationSettings: lambda part: replace(PLAIN, revocation=part),
    LookupSettings: lambda part: replace(PLAIN.revocation, lookup=part),
    CaSettings: lambda part: replace(PLAIN.revocation, authorities=(part,)),
    OcspResponder: lambda part: LookupSettings(ocsp_responder=part),
    AccountSettings: lambda part: replace(PLAIN, account=part),
    PinSettings: lambda part: replace(PLAIN, pin=part),
    PromptSettings: lambda part: replace(PLAIN, prompt=part),
    CertificateSettings: lambda part: replace(PLAIN, certificate=part),
    LogSettings: lambda part: replace(PLAIN, log=part),
    MapperSettings: lambda part: replace(PLAIN, mappers=(part,)),
}
"""The record around each kind of record, the rest as in PLAIN."""


def with_part(part: object) -> Configuration:
    """PLAIN with this record in its place."""
    while not isinstance(part, Configuration):
        part = AROUND[type(part)](part)
    return part


PLAIN_PARTS: dict[type, object] = {
    type(part): part
    for part in (
        PLAIN, PLAIN.token, MODULE, PLAIN.trust, PLAIN.revocation, AUTHORITY, PLAIN.revocation.lookup, RESPONDER,
        PLAIN.account, PLAIN.pin, PLAIN.prompt, PLAIN.certificate, PLAIN.log, MAPPER,
    )
}  # fmt: skip


def records_of_the_model() -> set[type]:
    return {
        value for value in vars(model).values()
        if isinstance(value, type) and value.__module__ == model.__name__ and hasattr(value, "__match_args__")
    }  # fmt: skip


def test_every_field_of_the_model_is_in_the_table() -> None:
    fields = {(kind, name) for kind in records_of_the_model() for name in kind.__annotations__}
    assert fields - PLACES == {(kind, name) for kind, changes in CHANGES.items() for name in changes}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, changes in CHANGES.items() for name, value in changes.items() if value is not ...]
)
def test_a_sentence_depends_on_every_field(kind: type, name: str) -> None:
    before = PLAIN_PARTS[kind]
    changed = CHANGES[kind][name]
    assert getattr(before, name) != changed
    assert in_words(with_part(replace(before, **{name: changed}))) != in_words(with_part(before))


@pytest.mark.parametrize(
    ("name", "mode", "extra"),
    [
        ("order", RevocationMode.NAMED, {}),
        ("either", RevocationMode.REQUIRE, {}),
        ("ocsp_responder", RevocationMode.PREFER, {}),
        ("timeout_s", RevocationMode.NAMED, {"ocsp": False}),
    ],
)
def test_a_field_is_spoken_of_beside_others_too(name: str, mode: RevocationMode, extra: dict[str, Any]) -> None:
    base = LookupSettings(mode=mode, **extra)
    changed = replace(base, **{name: CHANGES[LookupSettings][name]})
    assert in_words(with_part(changed)) != in_words(with_part(base))


def test_the_sentences_of_a_plain_configuration() -> None:
    assert in_words(PLAIN) == tuple(Sentence(topic, text) for topic, text in (
        ("login", "A card counts in every PAM service whose stack names pam_sc.so."),
        ("login", "Where there is no card, or no reader, a later module of the stack may ask for something else."),
        ("login", "No card is waited for."),
        ("login", "Logins over the network are refused: a card counts only for somebody who sits here."),
        ("login", "No card logs in as root (uid 0, whatever its name)."),
        ("login", "Where no user name was typed, the card names the account in gdm-smartcard and login; elsewhere such a"
                  " login is refused."),
        ("login", "Files in homes and full names (GECOS) are not believed in doas, pkexec, polkit-1, run0, su, su-l, sudo and"
                  " sudo-i, unless a mapper names the service."),
        ("card", "Cards are reached through /m.so, which sees no variables."),
        ("card", "Every token that is present counts."),
        ("card", "What talks to the card runs as the account pam_sc_card."),
        ("trust", "Certificates must lead to a self-signed certificate in /anchors."),
        ("trust", "CA certificates in between come from the card."),
        ("trust", "Only keys and signatures that are sound today count."),
        ("trust", "Every CA must keep to every rule of RFC 5280."),
        ("trust", "Any certificate policy will do."),
        ("revocation", "It must be known that no certificate on the path is revoked, where the certificate names a source"
                       " or a CRL of its issuer is at hand."),
        ("revocation", "Only pam-sc refresh uses the network for CRLs and OCSP answers, never a login."),
        ("revocation", "First OCSP answers are asked, then CRLs where those do not know."),
        ("revocation", "OCSP questions carry a nonce; an answer without it counts."),
        ("revocation", "A login fetches for 10 seconds at most; nothing larger than 256 MiB is read."),
        ("revocation", "Clocks may differ by 300 seconds."),
        ("revocation", "There are no CRLs at hand but what was fetched."),
        ("revocation", "What was fetched lies in /var/lib/pam_sc/revocation."),
        ("mapping", "The mapper: the commonName names the account through the allow-list /map, and nothing else maps."),
        ("certificate", "Every certificate of a card counts that can log in as the account."),
        ("certificate", "A certificate that expires within 30 days is announced after the login."),
        ("pin", "The last PIN try of a card is never used, so that a login locks no card."),
        ("pin", "One login asks for a PIN once."),
        ("pin", "A PIN is sent to the card only if it has a length that the card takes."),
        ("pin", "A reader with a keypad of its own is refused."),
        ("pin", "A card that asks for no PIN is refused."),
        ("pin", "A card that shows no counter of tries is left alone after 2 wrong PINs in a row."),
        ("pin", "A card proves itself by signing a fresh challenge, always."),
        ("prompt", "The question for the PIN names the card by its label."),
        ("prompt", "The person reads why a login was refused."),
        ("prompt", "Between several cards nobody is asked: the first that would do is taken; several accounts are refused."),
        ("prompt", "In gdm-smartcard a login that is refused at once ends only when the card is removed, or after a minute."),
        ("unlock", "A session is unlocked in cinnamon-screensaver, gnome-screensaver, gtklock, hyprlock, i3lock, kde,"
                   " kde-smartcard, kscreensaver, light-locker, mate-screensaver, physlock, swaylock, ukui-screensaver-qt, vlock,"
                   " waylock, xfce4-screensaver, xlock, xscreensaver and xsecurelock."),
        ("unlock", "Any card of the account unlocks it."),
        ("monitor", "What follows is done where pam-sc monitor runs, for sessions at this machine that were opened with a card."),
        ("monitor", "When the card of a session is removed, the session is locked."),
        ("monitor", "A graphical session is locked by logind, else by the desktop's own screen saver; where no lock is seen, it"
                    " stays open and the log has an error."),
        ("monitor", "Nothing locks a text console: it is ended."),
        ("monitor", "Removals are seen by PC/SC, else by the events of PKCS#11, else by looking again after 1 second."),
        ("monitor", "A card that is back within 0.1 seconds was not removed; with its reader, within 2 seconds; with a reader"
                    " that is not there after the machine slept, within 10 seconds."),
        ("monitor", "A card that could not be watched for 1 minute counts as removed."),
        ("monitor", "Each way of locking has 2 seconds until the lock must be seen."),
        ("monitor", "When the card is back, the screen wakes and asks for the PIN; it is never unlocked without."),
        ("log", "The log names no certificate and no card, only what stands for them on this machine."),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("unlock", "said"),
    [
        (UnlockRules(services=frozenset(), same_card=True), ["No service unlocks a session."]),
        (UnlockRules(services=frozenset({"vlock"})), ["A session is unlocked in vlock.", "Any card of the account unlocks it."]),
        (UnlockRules(services=frozenset({"vlock"}), same_card=True),
         ["A session is unlocked in vlock.",
          "Only the card that opened the session unlocks it, in GDM too; one that was opened without a card is unlocked by any"
          " card of the account."]),
        (UnlockRules(services=frozenset({"vlock"}), same_card=True, otherwise=Otherwise.REFUSE),
         ["A session is unlocked in vlock.",
          "Only the card that opened the session unlocks it, in GDM too; one that was opened without a card is unlocked by"
          " none."]),
        (UnlockRules(services=frozenset({"vlock"}), same_card=True, otherwise=Otherwise.IGNORE),
         ["A session is unlocked in vlock.",
          "Only the card that opened the session unlocks it, in GDM too; where it was opened without a card, pam_sc.so is as good"
          " as not there (PAM_IGNORE)."]),
    ],
)  # fmt: skip
def test_unlocking_is_said_as_it_is(unlock: UnlockRules, said: list[str]) -> None:
    assert [each.text for each in in_words(replace(PLAIN, unlock=unlock)) if each.topic == "unlock"] == said


def test_a_service_says_only_what_differs() -> None:
    own = replace(PLAIN, card_required=True, pin=PinSettings(prompts=3))
    assert [each.text for each in service_in_words(PLAIN, "sudo", own)] == [
        "Where there is no card, or no reader, the answer is a refusal: no later module may take its place.",
        "One login asks for a PIN up to 3 times.",
    ]
    assert [each.text for each in service_in_words(PLAIN, "sudo", PLAIN)] == ["In sudo the same holds as elsewhere."]


def test_an_empty_text_is_said_not_to_be_shown() -> None:
    said = in_words(replace(PLAIN, texts={"no-card": "", "pin": "Badge: "}))
    assert [each.text for each in said if each.topic == "texts"] == [
        "The text no-card is not shown.", "Instead of our own text pin, in every language: 'Badge: '.",
    ]  # fmt: skip


def test_a_ca_says_only_what_differs() -> None:
    lookup = LookupSettings(mode=RevocationMode.REQUIRE)
    texts = [each.text for each in in_words(with_part(replace(AUTHORITY, lookup=lookup)))]
    assert [text for text in texts if "partner" in text] == [
        "For what 'partner' (/ca.pem) issues: It must be known that no certificate on the path is revoked."
    ]
    same = [each.text for each in in_words(with_part(AUTHORITY))]
    assert [text for text in same if "partner" in text] == ["For what 'partner' (/ca.pem) issues: the same."]


def test_the_value_of_a_variable_is_never_said() -> None:
    module = replace(MODULE, environment={"CARD_PIN": "271828"})
    said = "\n".join(each.text for each in in_words(with_part(module)))
    assert "CARD_PIN" in said
    assert "271828" not in said


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "The mapper: the commonName names the account."),
        ({"mapfile": "/map", "unlisted": "same"},
         "The mapper: the commonName names the account through the allow-list /map, and what it does not list names itself."),
        ({"ignore_case": True, "words": ["a", 1], "ldap": {"tls": "off"}},
         'The mapper: the commonName names the account (ignore_case = true, words = ["a", 1], ldap = { tls = "off" }).'),
    ],
)  # fmt: skip
def test_what_a_mapper_does_is_said(table: dict[str, Any], text: str) -> None:
    said = in_words(with_part(replace(MAPPER, table=table)))
    assert [each.text for each in said if each.topic == "mapping"] == [text]


def test_each_rule_is_a_sentence() -> None:
    rules = [
        {"name": "alice", "match": "<SUBJECT>^CN=Alice", "account": "alice", "priority": 5},
        {"name": "all", "map": "{subject_rfc822_name.short_name}"},
    ]
    said = in_words(with_part(replace(MAPPER, name="rules", table={"rule": rules})))
    assert [each.text for each in said if each.topic == "mapping"] == [
        "The mapper: every rule that matches names the account.",
        "Rule 'alice': <SUBJECT>^CN=Alice gives alice (priority = 5).",
        "Rule 'all': a certificate for clientAuth and digitalSignature gives {subject_rfc822_name.short_name}.",
    ]


def test_several_mappers_are_numbered_and_must_agree() -> None:
    said = in_words(replace(PLAIN, mappers=(MAPPER, replace(MAPPER, name="own"))))
    assert [each.text for each in said if each.topic == "mapping"] == [
        "Mapper 1: the commonName names the account through the allow-list /map, and nothing else maps.",
        "Mapper 2: what the mapper 'own' sees names the account through the allow-list /map, and nothing else maps.",
        "Where no user name was typed, these must agree on one account.",
    ]
