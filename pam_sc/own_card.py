# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card process that a command starts for itself: in the same confinement, and as the same account, as in a login."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pam_sc.card.client import ModuleSetup, StartedCardProcess, start_card_process
from pam_sc.config.model import Configuration
from pam_sc.errors import PamScError
from pam_sc.identity import find_identity

END_S = 2.0


@contextmanager
def own_card_process(configuration: Configuration, worker: str, deadline: float) -> Iterator[StartedCardProcess]:
    """Start the card process and have it become its account; it is dead when the block is left."""
    modules = [ModuleSetup(module.path, module.environment, module.allow) for module in configuration.token.modules]
    run_as = find_identity(configuration.token.run_as)
    try:
        started = start_card_process(worker)
    except OSError as error:
        raise PamScError(f"cannot start the card process: {worker}: {error.strerror}") from error
    with started as card:
        card.client.set_up(modules, run_as, deadline, pinpad=configuration.pin.pinpad)
        yield card


def end_card(card: StartedCardProcess, stop_acting: Callable[[], None]) -> None:
    """End the card's verification, as far as the module can, then the process; only root may kill another account's."""
    card.client.end(time.monotonic() + END_S)
    stop_acting()
    card.kill()
