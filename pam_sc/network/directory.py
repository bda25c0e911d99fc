# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory as mappers ask it (services.Directory), behind which the network process stands.

Each search gets a part of the login's time that is left. What cannot be answered is a CannotMap with a reason of its
own; nothing that the directory or the network process does raises anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pam_sc.network.client import NetworkClient
from pam_sc.network.search_messages import Refused
from pam_sc.services import CannotMap, DirectoryEntry, DirectorySearch

SHARE = 0.5
"""Of the time that is left: the rest is for what comes after, so that a slow directory is no slow card."""


class NetworkDirectory:
    """Asks the network process, which `client` starts the first time. `deadline`: the end of the login's machine time."""

    def __init__(self, client: Callable[[], NetworkClient], deadline: Callable[[], float]) -> None:
        self._client = client
        self._deadline = deadline

    def search(self, wanted: DirectorySearch) -> tuple[DirectoryEntry, ...]:
        """Return the entries; CannotMap if no server could answer, or there are more than `entries_max`."""
        client = self._client()
        now = time.monotonic()
        servers = wanted.servers
        longest = (servers.connect_s + servers.search_s) * len(servers.urls)
        found = client.search(wanted, now + min(longest, max(0.0, self._deadline() - now) * SHARE))
        if isinstance(found, Refused):
            raise CannotMap(found.reason, f"the directory cannot be asked: {found.why}")
        return found
