# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network process for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.network_process import Network, network_tree, started, without_privilege
from tests.support.worker_tree import WorkerTree


@pytest.fixture(scope="module")
def network_worker() -> Iterator[WorkerTree]:
    """A tree with pam_sc_worker, for processes without privilege."""
    with network_tree() as made:
        yield made


@pytest.fixture
def network(network_worker: WorkerTree) -> Iterator[Network]:
    """A network process in its sandbox."""
    with started([str(network_worker.worker), "network"], **without_privilege()) as running:
        yield running
