# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verifier: one login from REQUEST to VERDICT, run by pam_sc_worker with the descriptors of docs/protocol.md.

Order matters here. As root it reads the configuration and the secrets that it names, sets the card process on its way,
and tells the home reader and the program runner what they may do for this login; then it gives up root for good and
confines itself; only then does it import parsers and mappers, and read anything that came from a card or a network. It
never sees a PIN and never loads a PKCS#11 module. This is the one place that catches every exception: what is not a
verdict becomes one refusal, one log line, and no traceback for anybody.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from pam_sc import host
from pam_sc.assistants import Assistants
from pam_sc.card.client import CardClient, ModuleSetup
from pam_sc.config.loading import load
from pam_sc.config.model import DEFAULT_PATH, CertificateSettings, Configuration
from pam_sc.config.notes import summary
from pam_sc.confinement import Identities, confine, find_identities
from pam_sc.conversation import (
    Conversation,
    Extension,
    Fact,
    Function,
    MachineClock,
    MessageKind,
    PamFlag,
    ShimRequest,
    read_request,
)
from pam_sc.decision.admission import card_is_required
from pam_sc.decision.card_report import CardReport, SessionCard
from pam_sc.decision.evidence import Evidence
from pam_sc.decision.possession import Answer
from pam_sc.decision.reasons import PamCode, Reason, Step
from pam_sc.decision.request import Purpose
from pam_sc.decision.tokens import WAITED_FOR
from pam_sc.decision.verdict import Changed, Denied, Granted, Needs
from pam_sc.errors import CardIsolationFailed, CardProcessLost, DeadlineExceeded, PamScError, ProtocolError
from pam_sc.events import EventLog
from pam_sc.frames import SHIM_PAYLOAD_MAX, Channel
from pam_sc.journal import Journal
from pam_sc.person import Person
from pam_sc.preparation import prepare
from pam_sc.record import replace
from pam_sc.services import Services
from pam_sc.texts import Text, Texts, values_of
from pam_sc.transfer import REQUESTS_FOLDER
from pam_sc.tries import FOLDER as TRIES_FOLDER
from pam_sc.tries import CountedTries, UncountedTries, make_folder

if TYPE_CHECKING:
    from pam_sc.granted import Left
    from pam_sc.login import Login
    from pam_sc.surroundings import Judge, PathTime
    from pam_sc.waiting import CardWaits

FRAMES_FD, CARD_FD, CONTROL_FD = 3, 4, 5
REQUEST_S = 5.0
END_CARD_S = 2.0
PROBLEMS_MAX = 8


def main() -> int:
    """Serve one request. Returns 0 when a verdict was sent, whatever it says; the verdict alone decides."""
    channel = Channel(socket.socket(fileno=FRAMES_FD), SHIM_PAYLOAD_MAX)
    asked = read_request(channel, time.monotonic() + REQUEST_S)
    clock = MachineClock(asked.machine_time_s, host.process_age())  # the shim has counted since it started us
    conversation = Conversation(channel, socket.socket(fileno=CONTROL_FD), asked, clock)
    Verifier(asked, conversation, clock).serve()
    return 0


class Verifier:
    """One login, from the request to the verdict."""

    def __init__(self, asked: ShimRequest, conversation: Conversation, clock: MachineClock) -> None:
        self._asked = asked
        self._conversation = conversation
        self._clock = clock
        started = time.monotonic() - host.process_age()
        self._log = EventLog(
            conversation.log,
            machine_id=host.machine_id(),
            journal=Journal(),
            elapsed_ms=lambda: int((time.monotonic() - started) * 1000),
        )
        self._evidence: Evidence | None = None
        self._card_required = False
        self._required_by_name = False
        self._certificate = CertificateSettings()
        self._person = Person(
            conversation, Texts(asked.language), shows_lists=bool(asked.extensions & Extension.CHOICE_LIST)
        )
        self._assistants = Assistants(asked.request, conversation, clock)
        self._tries: CountedTries | UncountedTries = UncountedTries()
        self._changing = asked.function is Function.CHAUTHTOK
        self._preliminary = PamFlag.UPDATE not in asked.flags
        self._held = False
        self._left: tuple[Left, ...] = ()
        self._session_files: tuple[tuple[str, bytes], ...] = ()
        if self._changing:
            self._asked = replace(asked, request=replace(asked.request, purpose=Purpose.PIN_CHANGE))

    def serve(self) -> None:
        """Run the login, log its verdict, tell the person, and send it."""
        verdict = self._refuse_on_error()
        request = self._asked.request if self._evidence is None else self._evidence.request
        if isinstance(verdict, Changed):
            self._say_changed(verdict)
            return
        if isinstance(verdict, Granted):
            self._log.granted(request, verdict, self._evidence)
            self._after_success(verdict)
            self._conversation.verdict(verdict.account, PamCode.SUCCESS)
            return
        self._log.refused(request, verdict, self._evidence)
        text = self._person.texts.say(verdict.reason, **values_of(verdict, self._evidence))
        if not (self._held or verdict.ignored):
            self._person.tell(MessageKind.ERROR, text)
        self._conversation.verdict(request.account or "", self._code(verdict))

    def _code(self, denied: Denied) -> PamCode:
        if self._changing:
            forced = PamFlag.CHANGE_EXPIRED in self._asked.flags
            return denied.change_code(preliminary=self._preliminary and not forced)
        return denied.code(card_required=self._card_required, by_name=self._required_by_name)

    def _say_changed(self, verdict: Changed) -> None:
        """Log that a PIN is another now, say so, and grant; the first pass of libpam leaves no trace."""
        if not verdict.preliminary:
            what, text = ("unblocked", Text.PIN_UNBLOCKED) if verdict.unblocked else ("changed", Text.PIN_CHANGED)
            self._log.changed(self._asked.request, verdict.account, verdict.token, what)
            self._person.tell(MessageKind.INFORMATION, self._person.texts.say(text))
        self._conversation.verdict(verdict.account, PamCode.SUCCESS)

    def _after_success(self, granted: Granted) -> None:
        """Announce what is about to end, and leave with the shim what the application gets with the grant."""
        from pam_sc.granted import announcement

        if self._evidence is None:
            return
        said = announcement(granted, self._evidence, self._certificate.warn_days, datetime.datetime.now(datetime.UTC))
        if said is not None:
            self._person.tell(MessageKind.INFORMATION, self._person.texts.say(said.text, date=said.date))
        for fact, name, value in self._left:
            self._conversation.leave(fact, name, value)
            if fact is Fact.PIN_TO_BE_CHANGED:
                self._person.tell(MessageKind.INFORMATION, self._person.texts.say(Text.PIN_MUST_BE_CHANGED))

    def _refuse_on_error(self) -> Granted | Changed | Denied:
        """Run the login; every exception becomes a refusal."""
        try:
            verdict = self._log_in()
            self._left = self._left_by(verdict)  # before "granted" is in the log, in case it fails
            return verdict
        except CardIsolationFailed as error:
            return Denied(Reason.ISOLATION_FAILED, str(error))
        except CardProcessLost as error:
            return Denied(Reason.CARD_PROCESS_LOST_AFTER_PIN if self._person.pin_is_out else Reason.CARD_PROCESS_LOST, str(error))
        except DeadlineExceeded as error:
            return self._out_of_time(error)
        except ProtocolError as error:
            return Denied(Reason.INTERNAL_ERROR, str(error))
        except PamScError as error:
            return Denied(Reason.CONFIGURATION_UNUSABLE, str(error))
        except MemoryError:
            return Denied(Reason.OUT_OF_MEMORY, "the verifier ran out of memory")
        except Exception as error:  # noqa: BLE001 - the one place: no traceback reaches a person
            return Denied(Reason.INTERNAL_ERROR, f"{type(error).__name__} at {_place(error)}")

    def _left_by(self, verdict: Granted | Changed | Denied) -> tuple[Left, ...]:
        """What a grant leaves with the shim. Like the account's name it must be fit for a frame."""
        from pam_sc.granted import facts_of

        if not isinstance(verdict, Granted) or self._evidence is None:
            return ()
        verdict.account.encode()
        return facts_of(verdict, self._evidence, host.machine_id())

    def _out_of_time(self, error: DeadlineExceeded) -> Denied:
        """Refuse; what others were asked must not make a card "unavailable", however long it takes them or us."""
        if self._person.pin_is_out:
            return Denied(Reason.CARD_TIMEOUT_AFTER_PIN, str(error))
        if self._assistants.directory_asked:
            return Denied(Reason.DIRECTORY_TIMEOUT, "the time was over after a server had been asked")
        if self._assistants.network_asked:
            return Denied(Reason.REVOCATION_UNKNOWN, "the time was over after a server had been asked")
        if self._evidence is not None and any(each.mapping for each in self._evidence.certificates.values()):
            return Denied(Reason.MAPPER_FAILED, "the time was over after the mappers had been asked")
        return Denied(Reason.CARD_TIMEOUT, str(error))

    def _log_in(self) -> Granted | Changed | Denied:
        request = self._asked.request
        trusted = frozenset({0}) if request.privileged else frozenset({0, request.real_uid})
        configuration = load(self._asked.config_path or DEFAULT_PATH, trusted, self._asked.arguments, request.service)
        self._take_up(configuration)
        self._card_required = card_is_required(None, configuration.policy())
        self._required_by_name = not configuration.card_required
        identities = find_identities(configuration) if request.privileged else Identities(None, None)
        card = CardClient(socket.socket(fileno=CARD_FD))
        pinpad = configuration.pin.pinpad
        card.set_up(_modules(configuration), identities.card, self._clock.deadline, pinpad=pinpad)
        services = self._assistants.services(configuration, prepare(configuration, request, trusted))
        self._count_tries(configuration, identities)
        confine(identities.verifier, os.path.join(configuration.revocation.store, REQUESTS_FOLDER), TRIES_FOLDER)
        return self._decide(configuration, trusted, card, services)

    def _take_up(self, configuration: Configuration) -> None:
        """Log what the file says that is unsafe, and talk to the person as it says."""
        self._person.prompt = configuration.prompt
        self._certificate = configuration.certificate
        self._person.texts = Texts(self._asked.language, configuration.texts)
        self._log.personal = configuration.log.identity
        said = summary(configuration.notes, configuration.source)
        if said is not None:
            self._log.note(said)
        if configuration.unlock.same_card and configuration.unlock.unlocks(self._asked.request.service, self._asked.login_token):
            from pam_sc.session import read_session_files

            self._session_files = read_session_files()  # still as root: they are for root and the account alone

    def _count_tries(self, configuration: Configuration, identities: Identities) -> None:
        """Still as root: see to it that wrong PINs can be counted. A host without privilege cannot."""
        if identities.verifier is not None:
            make_folder(identities.verifier.uid, identities.verifier.gid)
            self._tries = CountedTries(host.machine_id(), configuration.pin.wrong_max)

    def _decide(
        self, configuration: Configuration, trusted: frozenset[int], card: CardClient, services: Services
    ) -> Granted | Changed | Denied:
        # Imported only now, without privilege and behind the filter, while the card process reads the card.
        from pam_sc.login import Login
        from pam_sc.material import load_material
        from pam_sc.proving import PinEntry
        from pam_sc.surroundings import Surroundings
        from pam_sc.trust.fetching import leave_requests

        material = load_material(configuration, trusted, self._assistants.with_directory(configuration, services))
        waits = self._waits(configuration, card)
        surroundings = Surroundings(
            card=card,
            wait=waits.for_card,
            choose=self._person.choose,
            session_cards=self._session_cards,
            pin=PinEntry(
                ask=self._person.ask_pin,
                take_stacked=self._person.take_stacked,
                on_pinpad=self._person.wait_for_pinpad,
            ),
            tries=self._tries,
            end_card=lambda: self._end_card(card),
            deadline=lambda: self._clock.deadline,
            at=datetime.datetime.now(datetime.UTC),
            accounts=host.NssAccounts(configuration.policy().groups),
            fetch=self._assistants.fetch if configuration.revocation.fetches_at_login else None,
            leave_requests=partial(leave_requests, configuration.revocation.store, material.revocation),
        )
        request = replace(self._asked.request, login_token=self._asked.login_token)
        login = Login(request, configuration, material, surroundings, *self._judging())
        try:
            verdict = login.run(until=Step.PIN if self._changing else None)
        finally:
            self._evidence = login.evidence
            self._card_required = card_is_required(login.evidence, login.policy)
            self._log_problems(material.problems)
        if self._changing and isinstance(verdict, Needs) and verdict.step is Step.PIN:
            return self._change(configuration, card, verdict)
        if isinstance(verdict, Denied) and not self._changing:
            self._hold(login, waits, verdict)
        if isinstance(verdict, Granted | Denied):
            return verdict
        return Denied(Reason.INTERNAL_ERROR, f"the decision stopped at step {int(verdict.step)}")

    def _session_cards(self, uid: int) -> tuple[SessionCard, ...]:
        """Return the cards that opened the sessions of an account."""
        from pam_sc.session import parse_session_cards

        return parse_session_cards(self._session_files, uid)

    def _waits(self, configuration: Configuration, card: CardClient) -> CardWaits:
        from pam_sc.waiting import CardWaits

        return CardWaits(
            self._conversation, self._person.texts, card, limit_s=configuration.wait_s, quiet=self._person.prompt.quiet
        )

    def _hold(self, login: Login, waits: CardWaits, refused: Denied) -> None:
        """With [prompt] hold, keep a refusal before any question until the card is gone, or one is there.

        A display manager would begin again at once, for as long as it gets the same refusal; that there is no card stops it
        by itself, unless one is required. Nobody from afar can take the card out, nor keeps us looking at it.
        """
        locality = login.evidence.locality or host.find_locality(self._asked.request)
        if locality.remote or not self._person.prompt.holds(self._asked.request.service) or refused.ignored:
            return
        if login.evidence.waited not in (None, Answer.WAITED):
            return
        found = login.read_card() if login.evidence.card is None else login.evidence
        if found.asked or not isinstance(found.card, CardReport):
            return
        why = self._person.texts.say(refused.reason, **values_of(refused, found))
        if found.card.tokens():
            self._held = True
            waits.for_removal(why)
        elif refused.reason in WAITED_FOR and self._code(refused) is not PamCode.AUTHINFO_UNAVAIL:
            self._held = True
            waits.for_insertion(why)

    def _log_problems(self, problems: tuple[str, ...]) -> None:
        """Log what is broken, within the number of frames that the shim takes from one login."""
        for problem in problems[:PROBLEMS_MAX]:
            self._log.problem(problem)
        if len(problems) > PROBLEMS_MAX:
            self._log.problem(f"{len(problems) - PROBLEMS_MAX} more; pam-sc check-config lists all")

    def _judging(self) -> tuple[Judge, PathTime] | tuple[()]:
        """What judges a change of a PIN, and when a path must be valid for it; nothing for a login."""
        if not self._changing:
            return ()
        from pam_sc.decision.change import judge_change, moment_of

        return partial(judge_change, forced=PamFlag.CHANGE_EXPIRED in self._asked.flags), moment_of

    def _change(self, configuration: Configuration, card: CardClient, found: Needs) -> Changed | Denied:
        """Have the PIN of the token that was found changed; in libpam's first pass only say that it can be."""
        from pam_sc.decision.pin import is_owner
        from pam_sc.passwd import PinChange, change_found
        from pam_sc.proving import pin_rules

        if self._evidence is None:
            return Denied(Reason.INTERNAL_ERROR, "a change was judged without evidence")
        self._person.pin_is_out = not self._preliminary
        return change_found(found, self._evidence, preliminary=self._preliminary, change=PinChange(
            card=card, person=self._conversation, texts=self._person.texts, rules=pin_rules(configuration.pin),
            tries=self._tries, owner=is_owner(self._evidence), deadline=lambda: self._clock.deadline,
            end_card=lambda: self._end_card(card),
        ))  # fmt: skip

    def _end_card(self, card: CardClient) -> None:
        """End the card's verification; the card process is dead when this returns."""
        card.end(min(self._clock.deadline, time.monotonic() + END_CARD_S))
        self._conversation.kill_card_process(self._clock.last_word)


def _place(error: BaseException) -> str:
    """Return file and line where an exception arose: enough for a defect report, without any data."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else "an unknown place"


def _modules(configuration: Configuration) -> list[ModuleSetup]:
    return [ModuleSetup(module.path, module.environment, module.allow) for module in configuration.token.modules]
