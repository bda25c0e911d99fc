# SPDX-License-Identifier: LGPL-2.1-or-later
"""Making the index of a CRL: it says of every serial what the CRL says, and an old list never replaces a newer one."""

from __future__ import annotations

import datetime
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.names import name_key
from pam_sc.errors import StoreError
from pam_sc.trust.index import RolledBack, touch_index
from pam_sc.trust.index_format import Origin
from pam_sc.trust.replacing import UNFINISHED_PREFIX, locked, replacing
from tests.support.der import children, der_integer, tlv
from tests.support.pki import DAY, CertificateAuthority, Revoked, name_of, now, sign
from tests.support.stores import (
    URL,
    crl_with_entries,
    index_path,
    large_crl,
    only_crl,
    opened,
    parsed_crl,
    path_certificate,
    put,
)

ROOT = CertificateAuthority("Root")
RENEWED = CertificateAuthority("Root")
ISSUER = name_key(ROOT.subject)
REASONS = x509.ReasonFlags
MOMENT = datetime.datetime(2025, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
UTC_TIME = tlv(0x17, b"250102030405Z")


def entry(serial: int, *extensions: bytes, time: bytes = UTC_TIME) -> bytes:
    return tlv(0x30, der_integer(serial) + time + (tlv(0x30, b"".join(extensions)) if extensions else b""))


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return tlv(0x30, bytes.fromhex(oid) + (b"\x01\x01\xff" if critical else b"") + tlv(0x04, value))


def reason(number: int) -> bytes:
    return extension("0603551d15", bytes([0x0A, 1, number]))


INVALIDITY_DATE = extension("0603551d18", tlv(0x18, b"20240101000000Z"))


def issued_by(name: str, *, critical: bool = True) -> bytes:
    return extension("0603551d1d", tlv(0x30, tlv(0xA4, name_of(name).public_bytes())), critical=critical)


# ---------------------------------------------------------------- what it says


serials = st.one_of(st.integers(-(2**32), 2**32), st.integers(-(2**160), 2**160), st.sampled_from([0, -1, 127, 128, 255, 256]))


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(
        st.tuples(serials, st.sampled_from([(), (reason(1),), (reason(8),), (reason(0), INVALIDITY_DATE), (INVALIDITY_DATE,)])),
        max_size=120, unique_by=lambda pair: pair[0],
    ),
    asked=st.lists(serials, max_size=20),
)  # fmt: skip
def test_the_index_says_of_every_serial_what_the_parsed_crl_says(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[int, tuple[bytes, ...]]], asked: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    der = crl_with_entries(ROOT, b"".join(entry(serial, *rest) for serial, rest in entries))
    put(folder, der, ROOT)
    stored, parsed = only_crl(folder, der), parsed_crl(der)
    for serial in [*asked, *(serial for serial, _ in entries)]:
        assert (stored.entry(ISSUER, serial) is not None) == (serial in dict(entries)), serial
        if serial > 0:  # the parser looks up no others
            assert stored.entry(ISSUER, serial) == parsed.entry(ISSUER, serial), serial
    stored.check()


def test_the_header_of_the_index_is_that_of_the_crl(tmp_path: Path) -> None:
    scope = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier("http://a.test/")], relative_name=None, only_contains_user_certs=True,
        only_contains_ca_certs=False, only_some_reasons=frozenset({REASONS.key_compromise}), indirect_crl=False,
        only_contains_attribute_certs=False,
    )  # fmt: skip
    der = ROOT.crl([1], number=2**150, extensions=[(scope, True), (x509.DeltaCRLIndicator(7), True)], pem=False)
    origin = Origin(url=URL, etag='"a"', last_modified="Sat, 01 Nov 2025 00:00:00 GMT")
    put(tmp_path, der, ROOT, origin=origin, path=(ROOT.der.hex(),))
    index = only_crl(tmp_path, der).index
    assert index.crl == parsed_crl(der).header
    assert (index.origins, index.path, index.url) == ((origin,), (ROOT.der.hex(),), URL)
    assert (index.entries, index.size) == (1, len(der))


def test_a_crl_without_entries_lists_nothing(tmp_path: Path) -> None:
    der = ROOT.crl([], pem=False)
    put(tmp_path, der, ROOT)
    assert only_crl(tmp_path, der).entry(ISSUER, 1) is None


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (tlv(0x17, b"490101000000Z"), datetime.datetime(2049, 1, 1, tzinfo=datetime.UTC)),
        (tlv(0x17, b"500101000000Z"), datetime.datetime(1950, 1, 1, tzinfo=datetime.UTC)),
        (tlv(0x18, b"20510101000000Z"), datetime.datetime(2051, 1, 1, tzinfo=datetime.UTC)),
    ],
)
def test_revocation_dates_are_read_as_rfc_5280_writes_them(tmp_path: Path, time: bytes, expected: datetime.datetime) -> None:
    der = crl_with_entries(ROOT, entry(1, time=time))
    put(tmp_path, der, ROOT)
    found = only_crl(tmp_path, der).entry(ISSUER, 1)
    assert found is not None
    assert found.revoked_at == expected


@pytest.mark.parametrize("rest", [(reason(7),), (reason(200),), (extension("06032a0304", b"\x05\x00"), reason(3))])
def test_an_entry_with_odd_extensions_is_on_the_list_all_the_same(tmp_path: Path, rest: tuple[bytes, ...]) -> None:
    der = crl_with_entries(ROOT, entry(5, *rest))
    put(tmp_path, der, ROOT)
    found = only_crl(tmp_path, der).entry(ISSUER, 5)
    assert found == parsed_crl(der).entry(ISSUER, 5)
    assert found is not None


def test_a_serial_that_is_listed_and_removed_in_one_crl_is_listed(tmp_path: Path) -> None:
    for first, second in ((8, 6), (6, 8)):
        der = crl_with_entries(ROOT, entry(5, reason(first)) + entry(5, reason(second)))
        put(tmp_path, der, ROOT)
        found = only_crl(tmp_path, der).entry(ISSUER, 5)
        assert found is not None
        assert found.reason == "certificateHold"


def test_an_unknown_critical_extension_of_one_entry_makes_the_whole_crl_unusable(tmp_path: Path) -> None:
    unknown = extension("06032a0304", b"\x05\x00", critical=True)
    der = crl_with_entries(ROOT, entry(1) + entry(2, unknown))
    put(tmp_path, der, ROOT)
    assert "1.2.3.4" in (only_crl(tmp_path, der).header.unusable or "")


# ---------------------------------------------------------------- indirect CRLs


def indirect(entries: bytes) -> bytes:
    scope = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)  # noqa: FBT003
    authority = CertificateAuthority("Root", ROOT.private_key)
    plain = authority.crl([1], extensions=[(scope, True)], pem=False)
    tbs, algorithm, _ = children(plain)
    parts = children(tbs)
    parts[-2] = tlv(0x30, entries)
    tbs = tlv(0x30, b"".join(parts))
    return tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + sign(ROOT.private_key, tbs, "sha256")))


def test_an_entry_of_an_indirect_crl_is_about_the_issuer_named_last(tmp_path: Path) -> None:
    der = indirect(entry(1) + entry(2, issued_by("Other")) + entry(3, reason(1)) + entry(4, issued_by("Root")) + entry(5))
    put(tmp_path, der, ROOT)
    stored, parsed, other = only_crl(tmp_path, der), parsed_crl(der), name_key(name_of("Other"))
    listed = {(issuer, n) for issuer in (ISSUER, other) for n in range(7) if stored.entry(issuer, n) is not None}
    assert listed == {(ISSUER, 1), (other, 2), (other, 3), (ISSUER, 4), (ISSUER, 5)}
    for issuer in (ISSUER, other, name_key(name_of("Third"))):
        for serial in range(7):
            assert stored.entry(issuer, serial) == parsed.entry(issuer, serial)
    stored.check()


def test_an_issuer_named_in_a_crl_that_is_not_indirect_changes_nothing(tmp_path: Path) -> None:
    der = crl_with_entries(ROOT, entry(2, issued_by("Other", critical=False)))
    put(tmp_path, der, ROOT)
    stored = only_crl(tmp_path, der)
    assert stored.entry(ISSUER, 2) is not None
    assert stored.entry(name_key(name_of("Other")), 2) is None


def test_an_indirect_crl_with_an_entry_about_two_issuers_is_refused(tmp_path: Path) -> None:
    two = tlv(0x30, tlv(0xA4, name_of("A").public_bytes()) + tlv(0xA4, name_of("B").public_bytes()))
    der = indirect(entry(2, extension("0603551d1d", two, critical=True)))
    with pytest.raises(StoreError, match="not exactly one certificate issuer"):
        put(tmp_path, der, ROOT)
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------- what may replace what


def test_a_newer_crl_replaces_the_older(tmp_path: Path) -> None:
    put(tmp_path, ROOT.crl([1], number=1, pem=False), ROOT)
    newer = ROOT.crl([1, 2], number=2, this_update=now(), pem=False)
    put(tmp_path, newer, ROOT)
    assert only_crl(tmp_path, newer).entry(ISSUER, 2) is not None


@pytest.mark.parametrize(
    ("number", "age", "why"),
    [(1, 0 * DAY, "found cRLNumber 1, expected at least 2"), (None, 0 * DAY, "found cRLNumber None, expected at least 2"),
     (2, 2 * DAY, "found thisUpdate"), (3, 2 * DAY, "found thisUpdate")],
)  # fmt: skip
def test_an_older_crl_is_refused_and_the_newer_stays(
    tmp_path: Path, number: int | None, age: datetime.timedelta, why: str
) -> None:
    newer = ROOT.crl([1], number=2, this_update=now() - DAY, pem=False)
    put(tmp_path, newer, ROOT)
    with pytest.raises(RolledBack, match=why):
        put(tmp_path, ROOT.crl([], number=number, this_update=now() - age, pem=False), ROOT)
    assert only_crl(tmp_path, newer).entry(ISSUER, 1) is not None


def test_a_crl_of_the_same_number_and_time_may_replace(tmp_path: Path) -> None:
    same = ROOT.crl([1, 2], number=2, this_update=now() - DAY, pem=False)
    put(tmp_path, ROOT.crl([1], number=2, this_update=now() - DAY, pem=False), ROOT)
    put(tmp_path, same, ROOT)
    assert only_crl(tmp_path, same).entry(ISSUER, 2) is not None


def test_another_key_another_scope_and_a_delta_have_a_place_of_their_own(tmp_path: Path) -> None:
    scope = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)  # noqa: FBT003
    put(tmp_path, ROOT.crl([1], number=9, pem=False), ROOT)
    put(tmp_path, ROOT.crl([2], number=1, extensions=[(scope, True)], pem=False), ROOT)
    put(tmp_path, ROOT.crl([3], number=1, extensions=[(x509.DeltaCRLIndicator(9), True)], pem=False), ROOT)
    put(tmp_path, RENEWED.crl([4], number=1, pem=False), RENEWED)
    found = opened(tmp_path).of_issuer(ISSUER)
    assert sorted(n for n in range(6) for crl in found if crl.entry(ISSUER, n)) == [1, 2, 3, 4]


def test_only_the_key_that_signed_is_the_signer(tmp_path: Path) -> None:
    der = ROOT.crl([1], pem=False)
    put(tmp_path, der, ROOT)
    stored = only_crl(tmp_path, der)
    assert stored.is_signed_by(path_certificate(ROOT.der))
    assert not stored.is_signed_by(path_certificate(RENEWED.der))


def test_noting_that_nothing_changed_changes_the_time_and_nothing_else(tmp_path: Path) -> None:
    der = ROOT.crl([1], pem=False)
    header = put(tmp_path, der, ROOT)
    later, mirror = now() + DAY, Origin(url="http://mirror.example.test/")
    touch_index(str(tmp_path), header, mirror, later)
    stored = only_crl(tmp_path, der)
    assert stored.index.checked_at == later
    assert stored.index.origins == (*header.origins, mirror)
    assert stored.index.crl == header.crl
    stored.check()
    assert stored.entry(ISSUER, 1) is not None


def test_noting_that_an_older_crl_is_unchanged_leaves_the_newer_in_its_place(tmp_path: Path) -> None:
    old = put(tmp_path, ROOT.crl([1], pem=False), ROOT)
    newer = ROOT.crl([1, 2], number=2, pem=False)
    put(tmp_path, newer, ROOT)
    assert touch_index(str(tmp_path), old, old.origins[0], now() + DAY).crl.number == 2
    stored = only_crl(tmp_path, newer)
    assert stored.entry(ISSUER, 2) is not None
    stored.check()


# ---------------------------------------------------------------- how it is written


def test_an_index_can_be_read_by_all_and_written_by_its_owner(tmp_path: Path) -> None:
    header = put(tmp_path, ROOT.crl([1], pem=False), ROOT)
    assert index_path(tmp_path, header).stat().st_mode & 0o7777 == 0o644


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(StoreError, match="No space left"), replacing(str(tmp_path), "a") as path:
        Path(path).write_text("half of the n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / (UNFINISHED_PREFIX + "1-crl-a.sqlite")).write_text("half")
    with locked(str(tmp_path)):
        assert os.listdir(tmp_path) == [".lock"]


def test_a_second_writer_waits_for_a_bounded_time_and_says_what_it_waited_for(tmp_path: Path) -> None:
    at_work = pytest.raises(StoreError, match="another 'pam-sc refresh' has been at work")
    with locked(str(tmp_path)), at_work, locked(str(tmp_path), wait_s=0.2):
        pytest.fail("two hold the lock")
    with locked(str(tmp_path), wait_s=0.0):
        pass


@pytest.mark.slow
def test_a_million_entries_are_indexed_in_bounded_memory_and_one_lookup_reads_little(tmp_path: Path) -> None:
    der = large_crl(ROOT, 1_000_000, listed=(4711,))
    (tmp_path / "big.crl").write_bytes(der)
    (tmp_path / "ca.crt").write_bytes(ROOT.der)
    (tmp_path / "store").mkdir(mode=0o755)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.append(sys.argv[2])\n"
        "from pam_sc.trust.anchors import read_path_certificate\n"
        "from pam_sc.trust.crl_file import read_crl\n"
        "from pam_sc.trust.index import Provenance, index_crl\n"
        "import datetime\n"
        "folder = Path(sys.argv[1])\n"
        "der, ca = (folder / 'big.crl').read_bytes(), read_path_certificate((folder / 'ca.crt').read_bytes())\n"
        "crl = read_crl(der, 'big')\n"
        "assert crl.is_signed_by(ca)\n"
        "index_crl(der, crl, ca, str(folder / 'store'), Provenance(), datetime.datetime.now(datetime.UTC))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path), root], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 250 << 10
    stored = only_crl(tmp_path / "store", der)
    assert stored.entry(ISSUER, 4711) is not None
    assert stored.entry(ISSUER, 4712) is None
    assert stored.index.entries == 1_000_000


def test_revoked_fixture_is_read_through_the_common_way(tmp_path: Path) -> None:
    der = ROOT.crl([Revoked(serial=77, at=MOMENT, reason=REASONS.superseded)], pem=False)
    put(tmp_path, der, ROOT)
    found = only_crl(tmp_path, der).entry(ISSUER, 77)
    assert found is not None
    assert (found.reason, found.revoked_at) == ("superseded", MOMENT)
