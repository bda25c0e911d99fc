# SPDX-License-Identifier: LGPL-2.1-or-later
"""The optional processes of one login: started where the login needs them, each at most once, and nothing imported before.

The home reader and the program runner believe what they may do only while the verifier is root, so they are told before it
gives that up. What certificates have fetched and what asks the directory are two network processes.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pam_sc import host
from pam_sc.config.model import Configuration
from pam_sc.conversation import Conversation, MachineClock, OptionalProcess
from pam_sc.decision.home_files import why_not_believed
from pam_sc.decision.request import Request
from pam_sc.preparation import HomePlan, Prepared, asks_directory
from pam_sc.record import replace
from pam_sc.services import Homes, Programs, Services

if TYPE_CHECKING:
    from pam_sc.network.client import NetworkClient
    from pam_sc.programs.messages import Setup
    from pam_sc.transfer import Outcome
    from pam_sc.trust.fetching import Wanted

NETWORK_FD, HOMES_FD, PROGRAMS_FD, DIRECTORY_FD = 6, 7, 8, 9


class Assistants:
    """The processes that help one login beside the card process."""

    def __init__(self, request: Request, conversation: Conversation, clock: MachineClock) -> None:
        self._request = request
        self._conversation = conversation
        self._clock = clock
        self._network: NetworkClient | None = None
        self._directory: NetworkClient | None = None
        self.directory_asked = False

    @property
    def network_asked(self) -> bool:
        """Something was fetched in this login, or at least tried."""
        return self._network is not None

    def services(self, configuration: Configuration, prepared: Prepared) -> Services:
        """Whom the mappers of this login may ask. Still as root; what no mapper needs is neither started nor imported."""
        believed = partial(why_not_believed, self._request, configuration.account.privileged_services)
        own: dict[str, Any] = {"people": host.NssPeople(), "why_not_believed": believed}
        if prepared.homes is not None:
            own["homes"] = self._homes(configuration, prepared.homes)
        if prepared.programs is not None:
            own["programs"] = self._programs(prepared.programs)
        return Services(secrets=prepared.secrets, unreadable=prepared.unreadable, **own)

    def _homes(self, configuration: Configuration, plan: HomePlan) -> Homes:
        from pam_sc.homes import HomeFiles, HomeReader

        reader = None
        if plan.order is not None:
            self._conversation.start(OptionalProcess.HOMES)
            reader = HomeReader(socket.socket(fileno=HOMES_FD), plan.order, lambda: self._clock.deadline)
        privileged = configuration.account.privileged_services
        return HomeFiles(self._request, privileged, reader, may_scan=plan.may_scan)

    def _programs(self, setup: Setup) -> Programs:
        """Start the program runner, which believes what programs there are only while we are root."""
        from pam_sc.programs.client import ProgramsClient

        self._conversation.start(OptionalProcess.PROGRAMS)
        return ProgramsClient(socket.socket(fileno=PROGRAMS_FD), setup, lambda: self._clock.deadline)

    def fetch(self, wanted: Sequence[Wanted], deadline: float) -> Sequence[Outcome]:
        """Have the network process fetch."""
        from pam_sc.online import fetch_wanted

        if self._network is None:
            self._network = self._network_process(OptionalProcess.NETWORK, NETWORK_FD)
        return fetch_wanted(self._network, wanted, deadline)

    def with_directory(self, configuration: Configuration, services: Services) -> Services:
        """Add the directory to whom the mappers may ask, where one of them does."""
        if not asks_directory(configuration):
            return services
        from pam_sc.network.directory import NetworkDirectory

        return replace(services, directory=NetworkDirectory(self._ask_directory, lambda: self._clock.deadline))

    def _ask_directory(self) -> NetworkClient:
        """A network process of its own: what a certificate has one fetch must not come to answer for the directory."""
        self.directory_asked = True
        if self._directory is None:
            self._directory = self._network_process(OptionalProcess.DIRECTORY, DIRECTORY_FD)
        return self._directory

    def _network_process(self, which: OptionalProcess, descriptor: int) -> NetworkClient:
        from pam_sc.network.client import NetworkClient

        self._conversation.start(which)
        return NetworkClient(socket.socket(fileno=descriptor))
