# SPDX-License-Identifier: LGPL-2.1-or-later
"""What check-config says of the ways in which revocation is looked up; each case differs in one thing from none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import CaSettings, Configuration, Fetch, LookupSettings, OcspResponder, RevocationSettings
from pam_sc.decision.policy import RevocationMode, RevocationSource
from pam_sc.record import replace
from tests.unit.config.findings import findings, only, write

REQUIRE, NAMED, PREFER, OFF = RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER, RevocationMode.OFF
OCSP, CRL = RevocationSource.OCSP, RevocationSource.CRL
EVERY_CARD = "every card is refused"


def with_revocation(good: Configuration, **changes: Any) -> Configuration:
    return replace(good, revocation=replace(good.revocation, **changes))


def with_lookup(good: Configuration, **changes: Any) -> Configuration:
    return with_revocation(good, lookup=replace(good.revocation.lookup, **changes))


def with_ca(good: Configuration, place: Path, **changes: Any) -> Configuration:
    """The same with a CA whose rules differ from the whole's in these."""
    write(place / "ca.pem", b"")
    lookup = replace(good.revocation.lookup, **changes)
    authority = CaSettings(name="partner", certificate=str(place / "ca.pem"), lookup=lookup, where="")
    return with_revocation(good, authorities=(authority,))


# ---------------------------------------------------------------- the modes


@pytest.mark.parametrize("mode", [OFF, PREFER])
def test_lenient_mode_is_a_warning(good: Configuration, mode: RevocationMode) -> None:
    severity, where, text = only(with_lookup(good, mode=mode))
    assert (severity, where) == (Weight.WARNING, "revocation.mode")
    assert text.startswith(f"{mode.value}: ")


@pytest.mark.parametrize("mode", [OFF, PREFER])
def test_lenient_mode_of_one_ca_is_a_warning_at_that_ca(good: Configuration, place: Path, mode: RevocationMode) -> None:
    severity, where, text = only(with_ca(good, place, mode=mode))
    assert (severity, where) == (Weight.WARNING, "revocation.ca[0].mode")
    assert text.startswith(f"{mode.value}: ")


def test_what_a_ca_inherits_is_said_once(good: Configuration, place: Path) -> None:
    lenient = with_lookup(good, mode=PREFER)
    assert [finding.where for finding in findings(with_ca(lenient, place))] == ["revocation.mode"]


def test_strict_mode_with_a_crl_is_no_finding(good: Configuration) -> None:
    assert findings(with_lookup(good, mode=REQUIRE)) == []


# ---------------------------------------------------------------- nothing at hand


def strictly(good: Configuration, place: Path, folder: str | None, fetch: Fetch) -> Configuration:
    (place / "empty").mkdir(mode=0o755)
    crls = str(place / folder) if folder else None
    return with_revocation(good, crls=crls, lookup=LookupSettings(mode=REQUIRE, fetch=fetch))


@pytest.mark.parametrize("folder", ["empty", None])
def test_strict_mode_without_a_crl_and_without_a_network_is_an_error(
    good: Configuration, place: Path, folder: str | None
) -> None:
    severity, where, text = only(strictly(good, place, folder, Fetch.OFF))
    assert (severity, where) == (Weight.ERROR, "revocation.crls")
    assert text.startswith(f"mode is require, but there is no CRL and fetch is off: {EVERY_CARD}")


def test_strict_mode_before_the_first_refresh_is_an_error_that_says_so(good: Configuration, place: Path) -> None:
    severity, where, text = only(strictly(good, place, "empty", Fetch.REFRESH))
    assert (severity, where) == (Weight.ERROR, "revocation.mode")
    assert text.endswith(f"{EVERY_CARD}; run: pam-sc refresh")


@pytest.mark.parametrize("fetch", [Fetch.OFF, Fetch.REFRESH])
def test_strict_mode_with_something_in_the_store_is_no_finding(
    good: Configuration, place: Path, fetch: Fetch
) -> None:
    write(place / "store" / "crl-1.sqlite", b"")
    assert findings(strictly(good, place, "empty", fetch)) == []


def test_strict_mode_with_a_login_that_fetches_is_no_finding(good: Configuration, place: Path) -> None:
    assert findings(strictly(good, place, "empty", Fetch.LOGIN)) == []


# ---------------------------------------------------------------- the store


def test_a_store_that_was_never_filled_is_a_note_with_the_command(good: Configuration, place: Path) -> None:
    found = only(with_revocation(good, store=str(place / "none")))
    assert found == (Weight.NOTE, "revocation.store", f"{place}/none does not exist yet; run: pam-sc refresh")


@pytest.mark.parametrize("changes", [{"fetch": Fetch.OFF}, {"mode": OFF}])
def test_a_store_that_nothing_fills_is_not_missed(good: Configuration, place: Path, changes: dict[str, Any]) -> None:
    configuration = with_revocation(with_lookup(good, **changes), store=str(place / "none"))
    assert "revocation.store" not in [finding.where for finding in findings(configuration)]


def test_a_store_of_somebody_else_is_a_warning(good: Configuration, place: Path) -> None:
    found = findings(good, owners=frozenset({54321}))
    uid = (place / "store").stat().st_uid
    text = f"{place}/store belongs to uid {uid}, so nothing in it counts; run: chown -R root:root {place}/store && pam-sc refresh"
    assert found == [Finding(Weight.WARNING, "revocation.store", text)]


def test_a_store_that_others_can_write_is_a_warning(good: Configuration, place: Path) -> None:
    (place / "store").chmod(0o777)
    text = f"others can write to {place}/store, so nothing in it counts; run: chmod 755 {place}/store"
    assert only(good) == (Weight.WARNING, "revocation.store", text)


def test_a_store_that_logins_cannot_read_is_an_error(good: Configuration, place: Path) -> None:
    (place / "store").chmod(0o700)
    text = f"the folder {place}/store is closed to other accounts; logins read it as pam_sc"
    assert only(good) == (Weight.ERROR, "revocation.store", text)


def test_a_store_that_is_a_file_is_an_error(good: Configuration, place: Path) -> None:
    found = only(with_revocation(good, store=str(place / "map")))
    assert found == (Weight.ERROR, "revocation.store", f"{place}/map is not a folder")


# ---------------------------------------------------------------- who is asked


def test_sources_that_nothing_fetches_are_a_warning(good: Configuration) -> None:
    found = only(with_lookup(good, sources=("http://a.test/",), fetch=Fetch.OFF))
    assert found == (
        Weight.WARNING, "revocation.sources", "never fetched, because fetch is off; remove them, or say with fetch who may"
    )  # fmt: skip


@pytest.mark.parametrize("fetch", [Fetch.REFRESH, Fetch.LOGIN])
def test_sources_that_are_fetched_are_no_finding(good: Configuration, fetch: Fetch) -> None:
    assert findings(with_lookup(good, sources=("http://a.test/",), fetch=fetch)) == []


@pytest.mark.parametrize(("fetch", "timeout", "count"), [
    (Fetch.LOGIN, 31, 1), (Fetch.LOGIN, 30, 0), (Fetch.REFRESH, 31, 0),
])  # fmt: skip
def test_a_long_wait_at_the_prompt_is_a_warning(
    good: Configuration, fetch: Fetch, timeout: int, count: int
) -> None:
    found = findings(with_lookup(good, fetch=fetch, timeout_s=timeout))
    assert [finding.where for finding in found] == ["revocation.timeout"] * count


@pytest.mark.parametrize("changes", [{"ocsp": False}, {"order": (CRL,)}])
def test_a_responder_that_is_never_asked_is_a_warning(good: Configuration, changes: dict[str, Any]) -> None:
    responder = OcspResponder(url="http://ocsp.test/")
    assert findings(with_lookup(good, ocsp_responder=responder)) == []
    found = only(with_lookup(good, ocsp_responder=responder, **changes))
    assert found[:2] == (Weight.WARNING, "revocation.ocsp_responder")


def test_no_ocsp_and_no_crl_by_name_is_a_warning(good: Configuration) -> None:
    assert findings(with_lookup(good, ocsp=False)) == []
    without = with_revocation(good, crls=None)
    assert findings(without) == []
    assert only(with_lookup(without, ocsp=False))[:2] == (Weight.WARNING, "revocation.ocsp")
    assert findings(with_lookup(without, ocsp=False, sources=("http://a.test/",))) == []


@pytest.mark.parametrize(("order", "crls", "fetch", "either", "wheres"), [
    ((OCSP, CRL), "crls", Fetch.OFF, False, ["revocation.either"]),
    ((OCSP, CRL), "crls", Fetch.OFF, True, []),
    ((OCSP, CRL), "crls", Fetch.REFRESH, False, []),
    ((CRL, OCSP), "crls", Fetch.OFF, False, []),
    ((CRL, OCSP), None, Fetch.OFF, False, ["revocation.either"]),
])  # fmt: skip
def test_a_first_source_that_has_nothing_and_no_second_is_a_warning(
    good: Configuration, place: Path, order: tuple[RevocationSource, ...], crls: str | None, fetch: Fetch,
    either: bool, wheres: list[str],
) -> None:  # fmt: skip
    configuration = with_revocation(good, crls=str(place / crls) if crls else None)
    found = findings(with_lookup(configuration, order=order, fetch=fetch, either=either))
    assert [(finding.severity, finding.where) for finding in found] == [(Weight.WARNING, where) for where in wheres]


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(("size", "count"), [(1 << 30, 0), ((1 << 30) + 1, 1)])
def test_a_huge_size_is_a_warning(good: Configuration, size: int, count: int) -> None:
    found = findings(with_lookup(good, max_bytes=size))
    assert [(finding.severity, finding.where) for finding in found] == [(Weight.WARNING, "revocation.max_size")] * count


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (300, 0), (3_600, 0), (3_601, 1), (86_400, 1)])
def test_a_skew_of_hours_is_a_warning(good: Configuration, seconds: int, count: int) -> None:
    found = findings(with_lookup(good, clock_skew_s=seconds))
    assert [(each.severity, each.where) for each in found] == [(Weight.WARNING, "revocation.clock_skew")] * count


def test_loopback_is_a_warning(good: Configuration) -> None:
    assert only(with_lookup(good, loopback=True))[:2] == (Weight.WARNING, "revocation.loopback")


# ---------------------------------------------------------------- the files of CAs and responders


def test_the_certificate_of_a_ca_that_does_not_exist_is_an_error(good: Configuration, place: Path) -> None:
    configuration = with_ca(good, place)
    (place / "ca.pem").unlink()
    assert only(configuration) == (Weight.ERROR, "revocation.ca[0].certificate", f"{place}/ca.pem does not exist")


def test_the_certificate_of_a_ca_that_logins_cannot_read_is_an_error(good: Configuration, place: Path) -> None:
    configuration = with_ca(good, place)
    (place / "ca.pem").chmod(0o600)
    assert only(configuration)[:2] == (Weight.ERROR, "revocation.ca[0].certificate")


def test_the_certificate_of_a_responder_is_looked_at_once(good: Configuration, place: Path) -> None:
    responder = OcspResponder(url="http://ocsp.test/", certificate=str(place / "none.pem"))
    inherited = with_ca(with_lookup(good, ocsp_responder=responder), place)
    found = (Weight.ERROR, "revocation.ocsp_responder.certificate", f"{place}/none.pem does not exist")
    assert only(inherited) == found


def test_the_certificate_of_a_ca_s_own_responder_is_looked_at(good: Configuration, place: Path) -> None:
    responder = OcspResponder(url="http://ocsp.test/", certificate=str(place / "none.pem"))
    found = only(with_ca(good, place, ocsp_responder=responder))
    assert found[:2] == (Weight.ERROR, "revocation.ca[0].ocsp_responder.certificate")


def test_the_store_that_is_looked_at_by_default_is_the_one_of_the_system() -> None:
    assert RevocationSettings().store == "/var/lib/pam_sc/revocation"
