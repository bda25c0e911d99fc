# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person chooses from a list: what is asked, and that nothing but the key of an entry comes back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pam_sc.choices import ask_choice, prompt_of
from pam_sc.conversation import TEXT_MAX, Conversation, MessageKind
from pam_sc.decision.choosing import Offer
from pam_sc.decision.possession import Answer
from pam_sc.texts import Text, Texts

LOGIN = Offer(key="1", name="Login card", subject="CN=alice", issuer="CN=CA", date="2030-01-01")
BACKUP = Offer(key="2", name="Backup", subject="CN=alice b", issuer="CN=CA", date="2031-01-01")
ACCOUNTS = Offer(key="alice", name="alice"), Offer(key="bob", name="bob")
QUESTION = "Which card? Number: "


class Talk(Conversation):
    """A person who gives one answer to whatever is asked; what was said is kept."""

    def __init__(self, said: str = "1", answer: Answer = Answer.ANSWERED) -> None:
        self.heard: list[object] = []
        self._said = answer, said

    def tell(self, kind: MessageKind, text: str) -> None:
        self.heard.append(text)

    def ask_visibly(self, prompt: str) -> tuple[Answer, str]:
        self.heard.append(prompt)
        return self._said

    def ask_choice(self, prompt: str, choices: Sequence[tuple[str, str]]) -> tuple[Answer, str]:
        self.heard.append((prompt, *choices))
        return self._said


def ask(talk: Talk, offers: Sequence[Offer] = (LOGIN, BACKUP), *, as_list: bool = False, quiet: bool = False) -> str:
    answer, key = ask_choice(talk, Texts(), Text.CHOOSE_TOKEN, offers, as_list=as_list, quiet=quiet)
    assert answer is talk._said[0]
    return key


@pytest.mark.parametrize(("said", "key"), [
    ("1", "1"), ("2", "2"), (" 2 ", "2"),
    ("3", ""), ("0", ""), ("12", ""), ("01", ""), ("1\n2", ""), ("", ""), ("123456", ""), ("Login card", ""), ("\u0661", ""),
])  # fmt: skip
@pytest.mark.parametrize("as_list", [False, True])
def test_only_the_key_of_an_entry_comes_back(said: str, key: str, as_list: bool) -> None:
    assert ask(Talk(said), as_list=as_list) == key


@pytest.mark.parametrize("answer", [Answer.NOT_GIVEN, Answer.FAILED, Answer.TIMEOUT, Answer.EMPTY, Answer.AGAIN])
def test_what_is_no_answer_chooses_nothing(answer: Answer) -> None:
    assert ask(Talk("1", answer)) == ""


def test_one_prompt_has_the_list_and_texts_before_it_say_more() -> None:
    talk = Talk()
    ask(talk)
    assert talk.heard == [
        "1: Login card: CN=alice, issued by CN=CA, valid until 2030-01-01",
        "2: Backup: CN=alice b, issued by CN=CA, valid until 2031-01-01",
        f"1 = Login card, 2 = Backup. {QUESTION}",
    ]


def test_quiet_leaves_the_prompt() -> None:
    talk = Talk()
    ask(talk, quiet=True)
    assert talk.heard == [f"1 = Login card, 2 = Backup. {QUESTION}"]


def test_a_host_that_shows_lists_gets_one() -> None:
    talk = Talk()
    ask(talk, as_list=True)
    assert talk.heard == [(
        QUESTION, ("1", "Login card: CN=alice, issued by CN=CA, valid until 2030-01-01"),
        ("2", "Backup: CN=alice b, issued by CN=CA, valid until 2031-01-01"),
    )]  # fmt: skip


def test_accounts_are_chosen_by_name() -> None:
    talk = Talk("bob")
    assert ask(talk, ACCOUNTS) == "bob"
    assert talk.heard == [f"alice, bob. {QUESTION}"]
    assert [ask(Talk(said), ACCOUNTS) for said in ("carol", "Bob", "1", "bob alice")] == ["", "", "", ""]


def test_tokens_of_one_name_are_told_apart_by_their_certificates() -> None:
    same = Offer(key="2", name="Login card", subject="CN=alice b", issuer="CN=CA", date="2031-01-01")
    nameless = Offer(key="3", name="", subject="CN=carol", issuer="CN=CA", date="2031-01-01")
    assert prompt_of(QUESTION, (LOGIN, same, nameless)) == (
        f"1 = Login card CN=alice, 2 = Login card CN=alice b, 3 = CN=carol. {QUESTION}"
    )


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\u4e2d", "\0", "\u202e"])
def test_long_names_never_push_the_question_out(letter: str) -> None:
    offers = [Offer(key=str(number), name=letter * 600) for number in range(1, 10)]
    prompt = prompt_of(QUESTION, offers)
    assert prompt.endswith(f". {QUESTION}")
    assert len(prompt.encode()) <= TEXT_MAX
    assert prompt.isprintable()
    assert all(f"{number} = " in prompt for number in range(1, 10))
