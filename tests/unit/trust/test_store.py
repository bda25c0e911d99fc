# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reading the store: what is damaged or unsafe counts as absent and is told, and is never "not listed"."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc.decision.names import name_key
from pam_sc.errors import StoreError
from pam_sc.trust import index_format as layout
from pam_sc.trust.store import identify, open_store
from tests.support.pki import CertificateAuthority
from tests.support.stores import TRUSTED, index_path, large_crl, only_crl, opened, parsed_crl, put

ROOT = CertificateAuthority("Root")
ISSUER = name_key(ROOT.subject)
LISTED = 4711
MANY = large_crl(ROOT, 3_000, listed=(LISTED,))
FEW = ROOT.crl([LISTED], pem=False)


def problem_of(folder: Path) -> str:
    """Why the one index in the store is not found."""
    store = opened(folder)
    assert store.of_issuer(ISSUER) == []
    (problem,) = store.problems
    return problem


# ---------------------------------------------------------------- what is there


def test_a_missing_folder_is_an_empty_store(tmp_path: Path) -> None:
    store = opened(tmp_path / "none")
    assert store.of_issuer(ISSUER) == []
    assert store.problems == []


def test_crls_are_found_by_their_issuer_and_no_other_file_is_opened(tmp_path: Path) -> None:
    other = CertificateAuthority("Other")
    put(tmp_path, FEW, ROOT)
    index_path(tmp_path, put(tmp_path, other.crl([1], pem=False), other)).write_bytes(b"damaged")
    assert only_crl(tmp_path, FEW).entry(ISSUER, LISTED) is not None


def test_a_serial_of_another_issuer_is_not_in_a_crl_that_is_not_indirect(tmp_path: Path) -> None:
    put(tmp_path, FEW, ROOT)
    assert only_crl(tmp_path, FEW).entry("dir:another", LISTED) is None


def test_an_open_index_speaks_for_itself_while_its_file_is_replaced(tmp_path: Path) -> None:
    put(tmp_path, FEW, ROOT)
    old = only_crl(tmp_path, FEW)
    put(tmp_path, ROOT.crl([1], number=2, pem=False), ROOT)
    assert old.entry(ISSUER, LISTED) is not None


# ---------------------------------------------------------------- what cannot be trusted


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_an_index_that_others_may_write_counts_as_absent(tmp_path: Path, mode: int) -> None:
    index_path(tmp_path, put(tmp_path, FEW, ROOT)).chmod(mode)
    assert f"mode {mode:04o}" in problem_of(tmp_path)


@pytest.mark.root
def test_an_index_of_another_owner_counts_as_absent(tmp_path: Path) -> None:
    os.chown(index_path(tmp_path, put(tmp_path, FEW, ROOT)), 1234, -1)
    assert "found owner 1234" in problem_of(tmp_path)


def test_a_link_to_an_index_counts_as_absent(tmp_path: Path) -> None:
    path = index_path(tmp_path, put(tmp_path, FEW, ROOT))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "expected a regular file" in problem_of(tmp_path)


def test_a_folder_and_a_pipe_in_the_place_of_an_index_count_as_absent(tmp_path: Path) -> None:
    path = index_path(tmp_path, put(tmp_path, FEW, ROOT))
    path.unlink()
    path.mkdir()
    assert "expected a regular file" in problem_of(tmp_path)
    path.rmdir()
    os.mkfifo(path)
    assert "expected a regular file" in problem_of(tmp_path)


def test_a_store_that_others_may_write_counts_as_absent(tmp_path: Path) -> None:
    put(tmp_path, FEW, ROOT)
    tmp_path.chmod(0o777)
    assert "mode 0777" in problem_of(tmp_path)


def test_a_store_that_is_a_file_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    assert "cannot read" in problem_of(tmp_path / "store")


# ---------------------------------------------------------------- what is damaged


def cut(size: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size(path.stat().st_size))


def change(statement: str, *values: object) -> Callable[[Path], None]:
    def execute(path: Path) -> None:
        database = sqlite3.connect(path)
        database.execute(statement, values)
        database.commit()
        database.close()

    return execute


HEADER_DAMAGES = {
    "empty": cut(lambda size: 0),
    "ten bytes": cut(lambda size: 10),
    "one page": cut(lambda size: 4096),
    "half of it": cut(lambda size: size // 2),
    "all but the last page": cut(lambda size: size - 4096),
    "no database": lambda path: path.write_bytes(b"\x30\x03\x02\x01\x00" * 4096),
    "another program's database": change("PRAGMA application_id = 1"),
    "another version": change("PRAGMA user_version = 2"),
    "no table": change("DROP TABLE piece"),
    "no header": change("DELETE FROM piece WHERE number = -1"),
    "a header that is a number": change("UPDATE piece SET content = 5 WHERE number = -1"),
    "a header without its seal": change("UPDATE piece SET content = substr(content, 17) WHERE number = -1"),
    "an edited header": change("UPDATE piece SET content = replace(content, '4711', '4712') || 'x' WHERE number = -1"),
    "a bucket for a header": change("UPDATE piece SET content = (SELECT content FROM piece WHERE number = 0) WHERE number = -1"),
}


@pytest.mark.parametrize("damage", HEADER_DAMAGES.values(), ids=HEADER_DAMAGES)
def test_an_index_with_a_damaged_header_counts_as_absent(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(index_path(tmp_path, put(tmp_path, MANY, ROOT)))
    problem = problem_of(tmp_path)
    assert "is damaged" in problem
    assert "'pam-sc refresh' makes it anew" in problem


def bucket_of(serial: int) -> int:
    return layout.bucket_of(layout.serial_bytes(serial), 3_000 // layout.ENTRIES_PER_BUCKET + 1)


ENTRY_DAMAGES = {
    "a bucket is gone": change("DELETE FROM piece WHERE number = ?", bucket_of(LISTED)),
    "a bucket is empty": change("UPDATE piece SET content = x'' WHERE number = ?", bucket_of(LISTED)),
    "a bucket has lost its end": change(
        "UPDATE piece SET content = substr(content, 1, length(content) - 1) WHERE number = ?", bucket_of(LISTED)
    ),
    "two buckets are exchanged": change(
        "UPDATE piece SET content = (SELECT content FROM piece WHERE number = ?) WHERE number = ?",
        bucket_of(LISTED) ^ 1, bucket_of(LISTED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", ENTRY_DAMAGES.values(), ids=ENTRY_DAMAGES)
def test_damage_where_a_serial_would_stand_is_an_error_and_not_an_absent_serial(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(index_path(tmp_path, put(tmp_path, MANY, ROOT)))
    store = opened(tmp_path)
    (crl,) = store.crls_named(layout.crl_prefix(ISSUER))
    with pytest.raises(StoreError, match="is damaged"):
        crl.entry(ISSUER, LISTED)
    with pytest.raises(StoreError, match="is damaged"):
        crl.check()


def test_an_empty_bucket_of_another_crl_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    path = index_path(tmp_path, put(tmp_path, MANY, ROOT))
    empty = layout.sealed("0" * 64, bucket_of(LISTED), b"")
    change("UPDATE piece SET content = ? WHERE number = ?", empty, bucket_of(LISTED))(path)
    (crl,) = opened(tmp_path).of_issuer(ISSUER)
    with pytest.raises(StoreError, match="is damaged"):
        crl.entry(ISSUER, LISTED)


def test_no_single_changed_byte_ever_takes_a_serial_off_the_list(tmp_path: Path) -> None:
    path = index_path(tmp_path, put(tmp_path, large_crl(ROOT, 200, listed=(LISTED,)), ROOT))
    whole, chance = path.read_bytes(), random.Random(1)
    outcomes = set()
    for _ in range(1_500):
        at = chance.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        outcomes.add(says(tmp_path))
    assert outcomes <= {"listed", "absent", "error"}
    assert {"listed", "error"} <= outcomes


def test_no_zeroed_page_ever_takes_a_serial_off_the_list(tmp_path: Path) -> None:
    path = index_path(tmp_path, put(tmp_path, MANY, ROOT))
    whole = path.read_bytes()
    for at in range(0, len(whole), 4096):
        path.write_bytes(whole[:at] + bytes(4096) + whole[at + 4096 :])
        assert says(tmp_path) in ("listed", "absent", "error")


def says(folder: Path) -> str:
    """What the store says of the listed serial; "good" must not be among it."""
    crls = opened(folder).of_issuer(ISSUER)
    try:
        found = [crl.entry(ISSUER, LISTED) for crl in crls]
    except StoreError:
        return "error"
    if not crls:
        return "absent"
    return "listed" if any(found) else "good"


# ---------------------------------------------------------------- files of the administrator


def test_the_index_of_a_file_is_found_while_the_file_is_the_same(tmp_path: Path) -> None:
    store, file = tmp_path / "store", tmp_path / "big.crl"
    store.mkdir(mode=0o755)
    file.write_bytes(FEW)
    put(store, FEW, ROOT, origin=None, file=identify(str(file), file.stat()))
    found = opened(store).index_of_file(str(file), file.stat())
    assert found is not None
    assert found.header == parsed_crl(FEW).header
    assert opened(store).of_issuer(ISSUER) == [], "what a file holds is asked for by the file"
    assert opened(store).index_of_file(str(tmp_path / "other.crl"), file.stat()) is None
    os.utime(file, ns=(1, 1))
    assert opened(store).index_of_file(str(file), file.stat()) is None


# ---------------------------------------------------------------- what a login pays


def test_reading_the_store_imports_sqlite_only_when_an_index_is_opened(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pam_sc.trust.store import open_store\n"
        "store = open_store(sys.argv[1], frozenset({0}))\n"
        "store.of_issuer('dir:none')\n"
        "assert 'pam_sc.trust.store' in sys.modules\n"
        "costly = ('sqlite3', 'tempfile', 'fcntl', 'asyncio', 'shutil', 'urllib.request')\n"
        "print([name for name in costly if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path[:0] = sys.argv[2:]\n" + code, str(tmp_path), *sys.path[1:]],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_the_listing_is_made_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), TRUSTED)
    put(tmp_path, FEW, ROOT)
    assert store.of_issuer(ISSUER) == []
    assert len(opened(tmp_path).of_issuer(ISSUER)) == 1
