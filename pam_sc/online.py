# SPDX-License-Identifier: LGPL-2.1-or-later
"""Has the network process fetch what a login wants to know about revocation, within a part of the login's time.

Only called where the configuration lets a login use the network. What comes back is bytes; looking at them is for
pam_sc/trust.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pam_sc.network.client import NetworkClient
from pam_sc.transfer import Outcome, TransferFailed
from pam_sc.trust.fetching import Wanted

SHARE = 0.5
"""Of the time that is left: the rest is for what comes after, so that a slow network is no slow card."""


def fetch_wanted(client: NetworkClient, wanted: Sequence[Wanted], deadline: float) -> tuple[Outcome, ...]:
    """Fetch everything in parallel; one outcome for each, in order. `deadline`: the end of the login's machine time."""
    now = time.monotonic()
    longest = max((each.ca.timeout_s for each in wanted), default=0.0)
    end = now + min(longest, max(0.0, deadline - now) * SHARE)
    outcomes: list[Outcome] = [TransferFailed("it was not asked for")] * len(wanted)
    for proxy in dict.fromkeys(each.ca.proxy for each in wanted):
        places = [place for place, each in enumerate(wanted) if each.ca.proxy == proxy]
        got = client.transfer([wanted[place].transfer for place in places], end, proxy=proxy)
        for place, outcome in zip(places, got, strict=True):
            outcomes[place] = outcome
    return tuple(outcomes)
