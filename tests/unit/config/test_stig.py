# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each of DISA's demands is met by the words or settings it asks for, and not met where one of them is missing."""

from __future__ import annotations

import pytest

from pam_sc.config.model import CaSettings, Configuration, Fetch, LookupSettings, MapperSettings
from pam_sc.config.schema import KeyPath
from pam_sc.config.stig import RULES, Demand, StigAnswer, Written, stig_of, stig_of_peer
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.record import replace

FULL = Written(10, ("ca", "signature", "ocsp_on", "crl_auto"))
MAPPERS = Written(20, ("cn", "pwent"))
PWENT = MapperSettings(name="pwent", table={}, where="")


def line_of(path: KeyPath) -> int:
    return len(path)


def unmet(answers: tuple[StigAnswer, ...]) -> dict[Demand, str]:
    return {answer.demand: answer.text for answer in answers if not answer.met}


def test_every_demand_has_rules_and_is_answered_once() -> None:
    assert set(RULES) == set(Demand)
    assert [answer.demand for answer in stig_of_peer([], None)] == list(Demand)
    assert all(answer.rules == RULES[answer.demand] for answer in stig_of_peer([], None))


def test_the_words_of_the_fix_texts_meet_every_rule() -> None:
    answers = stig_of_peer([FULL], MAPPERS)
    assert [(answer.met, answer.line) for answer in answers] == [(True, 10)] * 3 + [(True, 20)]


@pytest.mark.parametrize(
    ("word", "demand"), [("ca", Demand.PATH), ("ocsp_on", Demand.STATUS), ("crl_auto", Demand.LOCAL)]
)
def test_each_word_of_a_cert_policy_is_demanded(word: str, demand: Demand) -> None:
    lacking = Written(11, tuple(each for each in FULL.words if each != word))
    assert list(unmet(stig_of_peer([lacking], MAPPERS))) == [demand]
    second = stig_of_peer([FULL, lacking], MAPPERS)
    assert [(answer.demand, answer.line) for answer in second if not answer.met] == [(demand, 11)]


def test_crl_offline_is_as_good_as_crl_auto_and_crl_online_is_not() -> None:
    for word, met in (("crl_offline", True), ("crl_online", False)):
        assert (unmet(stig_of_peer([Written(1, ("ca", "ocsp_on", word))], MAPPERS)) == {}) is met


@pytest.mark.parametrize("mappers", [None, Written(3, ("cn",)), Written(3, ("pwent2",))])
def test_pwent_is_demanded(mappers: Written | None) -> None:
    assert list(unmet(stig_of_peer([FULL], mappers))) == [Demand.MAPPED]


def test_our_defaults_meet_all_but_the_mapper(good: Configuration) -> None:
    assert list(unmet(stig_of(good, line_of))) == [Demand.MAPPED]
    assert unmet(stig_of(replace(good, mappers=(*good.mappers, PWENT)), line_of)) == {}


@pytest.mark.parametrize(
    ("change", "demands"),
    [
        ({"mode": RevocationMode.PREFER}, [Demand.STATUS, Demand.LOCAL]),
        ({"mode": RevocationMode.OFF}, [Demand.STATUS, Demand.LOCAL]),
        ({"mode": RevocationMode.REQUIRE}, []),
        ({"ocsp": False}, [Demand.STATUS]),
        ({"order": (RevocationSource.CRL,)}, [Demand.STATUS]),
        ({"fetch": Fetch.OFF}, [Demand.STATUS]),
        ({"fetch": Fetch.OFF, "order": (RevocationSource.OCSP,)}, [Demand.STATUS, Demand.LOCAL]),
        ({"fetch": Fetch.LOGIN}, []),
    ],
)
@pytest.mark.parametrize("of_one_ca", [False, True])
def test_what_weakens_revocation_is_not_met(
    good: Configuration, change: dict[str, object], demands: list[Demand], of_one_ca: bool
) -> None:
    lookup = replace(LookupSettings(), **change)
    authority = CaSettings(name="x", certificate="/x", lookup=lookup, where="")
    part = {"authorities": (authority,)} if of_one_ca else {"lookup": lookup}
    changed = replace(good, revocation=replace(good.revocation, **part), mappers=(PWENT,))
    assert list(unmet(stig_of(changed, line_of))) == demands


def test_without_crls_at_hand_somebody_must_fetch_them(good: Configuration) -> None:
    bare = replace(good, revocation=replace(good.revocation, crls=None), mappers=(PWENT,))
    assert unmet(stig_of(bare, line_of)) == {}
    nobody = replace(bare, revocation=replace(bare.revocation, lookup=LookupSettings(fetch=Fetch.OFF)))
    assert list(unmet(stig_of(nobody, line_of))) == [Demand.STATUS, Demand.LOCAL]
