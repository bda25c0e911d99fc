# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of `pam-sc refresh`: plan, fetch in the network process, verify, put into the store.

This process opens no connection, and the network process sees neither store nor card. Only one run at a time writes into
the store; whatever goes wrong with one source, the others are done, and what was at hand stays.
"""

from __future__ import annotations

import datetime
import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration, LookupSettings
from pam_sc.config.model import Fetch as FetchSetting
from pam_sc.errors import ConfigError, OwnershipError, PamScError, StoreError
from pam_sc.material import load_configured_trust, load_revocation
from pam_sc.network.client import NetworkClient, start_network_process
from pam_sc.ownership import resolve_trusted
from pam_sc.record import record, replace
from pam_sc.refresh.answers import fetch_answers, remove_old_answers
from pam_sc.refresh.crls import take_crl
from pam_sc.refresh.files import index_files
from pam_sc.refresh.model import Scene, Tell, WantedCrl
from pam_sc.refresh.plan import Plan, Planner, Selection
from pam_sc.transfer import REQUESTS_FOLDER, Outcome, Transfer
from pam_sc.trust.replacing import LOCK_WAIT_S, locked

TOGETHER = 16
"""CRLs that are fetched at the same time; they are put into the store before the next ones are fetched."""
MEMORY_MAX = 256 << 20
_GRACE_S = 5.0

Progress = Callable[[int, int, int], None]
"""Hears how many sources are done, how many there are, and how many bytes of those under way have come."""


@record(kw_only=True)
class Run:
    """What one run needs."""

    configuration: Configuration
    selection: Selection
    trusted_uids: frozenset[int]
    worker: str
    tell: Tell
    progress: Progress = lambda _done, _of, _bytes: None
    lock_wait_s: float = LOCK_WAIT_S


def refresh(run: Run) -> tuple[str, ...]:
    """Bring the store up to date, telling each source as it is done; return what could not be used, a sentence each.

    ConfigError where the configuration lets nobody fetch and no large file is there to be indexed; StoreError where the
    store cannot be written at all.
    """
    settings = run.configuration.revocation
    may_fetch = _may_fetch(run.configuration)
    if not may_fetch and settings.crls is None:
        raise ConfigError(f"cannot refresh: {_off(run.configuration)}")
    _make_folder(settings.store, run.trusted_uids)
    problems = tuple(_make_requests_folder(settings.store))
    with locked(settings.store, run.lock_wait_s):
        scene = _scene(run)
        if run.selection == Selection():
            skew = datetime.timedelta(seconds=settings.lookup.clock_skew_s)
            indexed = index_files(settings.crls, scene, skew, run.tell)
            if indexed and not may_fetch:
                return (*problems, *scene.trust.problems, f"nothing is fetched: {_off(run.configuration)}")
        if not may_fetch:
            raise ConfigError(f"cannot refresh: {_off(run.configuration)}")
        plan = Planner(run.configuration, scene, run.selection).plan()
        if plan.crls or plan.answers:
            with _fetching(run, plan) as fetching:
                fetching.crls()
                fetching.turn_to(Planner(run.configuration, scene, run.selection).plan())
                fetching.crls()
                fetching.answers()
        remove_old_answers(plan.scene)
        return (*problems, *scene.trust.problems, *plan.problems)


def _may_fetch(configuration: Configuration) -> bool:
    settings = configuration.revocation
    lookups = (settings.lookup, *(authority.lookup for authority in settings.authorities))
    return any(lookup.fetch is not FetchSetting.OFF for lookup in lookups)


def _off(configuration: Configuration) -> str:
    return (
        f'{configuration.source}: [revocation] fetch is "off", so nobody may use the network; '
        'expected "refresh" or "login"'
    )


def _make_folder(folder: str, trusted_uids: frozenset[int]) -> None:
    umask = os.umask(0o022)  # logins read it under another account
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        resolve_trusted(folder, trusted_uids)
    except OSError as error:
        raise StoreError(f"cannot make the store {folder!r}: {error.strerror}; run this command as root") from error
    except OwnershipError as error:
        raise StoreError(f"cannot use the store: {error}") from error
    finally:
        os.umask(umask)


def _make_requests_folder(store: str) -> Iterator[str]:
    """Make the folder in which logins leave requests, the verifier's own; yield why that cannot be done."""
    folder = os.path.join(store, REQUESTS_FOLDER)
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        if os.geteuid() == 0 and os.lstat(folder).st_uid == 0:  # new, or left like this by a run that was killed
            account = pwd.getpwnam(VERIFIER_ACCOUNT)
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
    except (OSError, KeyError) as error:
        why = error.strerror if isinstance(error, OSError) else f"there is no account {VERIFIER_ACCOUNT!r}"
        yield f"logins cannot ask for what is missing: cannot make {folder!r}: {why}"


def _scene(run: Run) -> Scene:
    configuration = run.configuration
    return Scene(
        folder=configuration.revocation.store,
        trusted_uids=run.trusted_uids,
        trust=load_configured_trust(configuration.trust, run.trusted_uids),
        policy=configuration.policy(),
        at=datetime.datetime.now(datetime.UTC),
        sources=load_revocation(replace(configuration.revocation, crls=None), run.trusted_uids),
    )


@contextmanager
def _fetching(run: Run, plan: Plan) -> Iterator[_Fetching]:
    try:
        started = start_network_process(run.worker)
    except OSError as error:
        raise PamScError(f"cannot start the network process: {run.worker}: {error.strerror}") from error
    with started:
        yield _Fetching(run, plan, started.client)


class _Fetching:
    """The fetching part of a run."""

    def __init__(self, run: Run, plan: Plan, client: NetworkClient) -> None:
        self._run = run
        self._plan = plan
        self._client = client
        self._fetched: set[str] = set()
        self._done = 0
        self._all = len(plan.crls) + len(plan.answers)

    def turn_to(self, plan: Plan) -> None:
        """Go on with a plan that knows what was fetched by now: a complete CRL may name deltas."""
        self._plan = plan
        self._all = self._done + len(self._left()) + len(plan.answers)

    def _left(self) -> list[WantedCrl]:
        return [each for each in self._plan.crls if each.url not in self._fetched]

    def crls(self) -> None:
        """Fetch the CRLs, some at a time, and put each group into the store before the next; each URL once."""
        for group in _groups(self._left()):
            self._fetched |= {each.url for each in group}
            outcomes = list(self.fetch([self._transfer(each) for each in group], group[0].lookup))
            for wanted in group:
                report = take_crl(wanted, outcomes.pop(0), self._plan.at_hand.get(wanted.url), self._plan.scene)
                self._run.tell(report)

    def answers(self) -> None:
        """Ask the OCSP responders."""
        fetch_answers(self._plan.answers, self._plan.scene, self.fetch, self._run.tell)

    def fetch(self, wanted: Sequence[Transfer], lookup: LookupSettings) -> Sequence[Outcome]:
        """Fetch at the same time, under the limits of these settings."""
        turns = len(wanted) // TOGETHER + 1
        arrived: dict[int, int] = {}

        def on_progress(index: int, size: int) -> None:
            arrived[index] = size
            self._run.progress(self._done, self._all, sum(arrived.values()))

        def on_done(index: int, outcome: Outcome) -> None:  # noqa: ARG001 - the client's signature
            arrived.pop(index, None)
            self._done = min(self._done + 1, self._all)
            self._run.progress(self._done, self._all, sum(arrived.values()))

        return self._client.transfer(
            wanted, time.monotonic() + turns * lookup.timeout_s + _GRACE_S, proxy=lookup.proxy,
            loopback=lookup.loopback, each_s=float(lookup.timeout_s), in_memory_max=MEMORY_MAX,
            on_done=on_done, on_progress=on_progress,
        )  # fmt: skip

    def _transfer(self, wanted: WantedCrl) -> Transfer:
        at_hand = self._plan.at_hand.get(wanted.url)
        known = at_hand.origin(wanted.url) if at_hand else None
        return Transfer(
            url=wanted.url,
            etag=known.etag if known else None,
            last_modified=known.last_modified if known else None,
            max_bytes=wanted.lookup.max_bytes,
            configured=wanted.configured,
        )


def _groups(wanted: Sequence[WantedCrl]) -> Iterator[list[WantedCrl]]:
    """Yield those that are fetched together: of the same settings, and not too many."""
    by_settings: dict[tuple[object, ...], list[WantedCrl]] = {}
    for each in wanted:
        settings = each.lookup
        by_settings.setdefault((settings.proxy, settings.loopback, settings.timeout_s), []).append(each)
    for group in by_settings.values():
        for at in range(0, len(group), TOGETHER):
            yield group[at : at + TOGETHER]
