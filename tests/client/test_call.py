"""A server that refuses, drops and returns, and a recording that is asked, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from client.audio import to_pcm16
from client.call import Call, CallFailedError
from client.connection import UnavailableError
from client.conversation import Question, State
from client.events import Disconnected, Failed, Heard, ReplyAudio, ReplyEnded
from client.file_card import FileCard
from harness import virtual_time
from tests.client.scripted import RATE_HZ, Dialled, ScriptedCard, ScriptedServer, WrittenView, run_for

LOST = Disconnected("code 1001: leaving", again=True)


def lost_after(seconds: float) -> ScriptedServer:
    return ScriptedServer((seconds, LOST))


def away(retry_after_s: float | None = None) -> UnavailableError:
    return UnavailableError("nothing listens", passing=True, retry_after_s=retry_after_s)


def hold(
    *found: ScriptedServer | Exception, seconds: float = 600.0, patience_s: float = 60.0
) -> tuple[Dialled, WrittenView, str]:
    """Hold a call; how it ended, as well."""

    async def main() -> tuple[Dialled, WrittenView, str]:
        view, dial, card = WrittenView(), Dialled(*found), ScriptedCard()
        call = Call(dial, card, view, rate_hz=RATE_HZ, patience_s=patience_s, chance=lambda: 1.0)
        ended = ""
        try:
            await run_for(call, seconds)
        except (UnavailableError, CallFailedError) as error:
            ended = str(error)
        assert not card.is_open
        assert call.levels == (0.0, 0.0)
        return dial, view, ended

    return virtual_time.run(main())


def test_a_server_that_is_lost_is_dialled_again_later_each_time() -> None:
    back = ScriptedServer()
    dial, view, _ = hold(lost_after(5.0), away(), away(), away(), back, seconds=30.0)
    assert dial.at_s == pytest.approx([0.0, 5.5, 6.5, 8.5, 12.5])
    assert dial.waits_s == [60.0, 0.0, 0.0, 0.0, 0.0]
    assert view.of("trouble") == [
        "code 1001: leaving; trying again in 0.5 s",
        "nothing listens; trying again in 1.0 s",
        "nothing listens; trying again in 2.0 s",
        "nothing listens; trying again in 4.0 s",
    ]
    assert view.of("note") == ["connected again; the server does not remember what was said before"]
    assert view.of("state")[-1] is State.LISTENING
    assert back.sent
    assert back.sent[0][0] > 12.5


def test_what_the_server_asks_for_is_waited_for() -> None:
    dial, _, _ = hold(lost_after(5.0), away(retry_after_s=8.0), ScriptedServer(), seconds=30.0)
    assert dial.at_s == pytest.approx([0.0, 5.5, 5.5 + 8.0 * 1.25])


def test_after_a_good_connection_there_is_patience_anew() -> None:
    dial, _, _ = hold(lost_after(1.0), away(), lost_after(60.0), ScriptedServer(), seconds=100.0)
    assert dial.at_s == pytest.approx([0.0, 1.5, 2.5, 62.5 + 0.5])


def test_after_a_short_one_there_is_not() -> None:
    dial, _, _ = hold(lost_after(1.0), lost_after(1.0), lost_after(1.0), ScriptedServer(), seconds=100.0)
    assert dial.at_s == pytest.approx([0.0, 1.5, 3.5, 6.5])


def test_a_server_that_stays_away_is_given_up() -> None:
    dial, view, ended = hold(lost_after(1.0), *[away()] * 20, patience_s=10.0)
    assert ended == "nothing listens; given up after 10 s of trying again"
    assert dial.at_s[-1] <= 11.0
    assert view.of("state")[-1] is State.WAITING


def test_a_server_that_is_not_there_at_first_is_an_error_at_once() -> None:
    dial, view, ended = hold(away())
    assert (ended, dial.at_s, view.of("trouble")) == ("nothing listens", [0.0], [])


@pytest.mark.parametrize("why", ["HTTP 401", "HTTP 403"])
def test_a_token_that_is_no_good_any_more_is_not_tried_again(why: str) -> None:
    dial, _, ended = hold(lost_after(1.0), UnavailableError(why))
    assert (ended, len(dial.at_s)) == (why, 2)


def test_a_server_that_turns_the_caller_out_is_not_dialled_again() -> None:
    dial, _, ended = hold(ScriptedServer((1.0, Disconnected("code 1008: too fast"))))
    assert (ended, len(dial.at_s)) == ("code 1008: too fast", 1)


def test_a_server_that_says_goodbye_ends_the_call() -> None:
    dial, _, ended = hold(ScriptedServer((1.0, Heard("bye")), hangs_up=True))
    assert (ended, len(dial.at_s)) == ("", 1)


def test_ctrl_c_while_waiting_ends_it() -> None:
    dial, _, ended = hold(lost_after(1.0), *[away()] * 9, seconds=5.0)
    assert ended == ""
    assert len(dial.at_s) == 4


def ask(
    *found: ScriptedServer | Exception, recording_s: float = 1.0, limit_s: float = 5.0
) -> tuple[WrittenView, Any, float, str]:
    """Ask a recording; the view, what was played, when it was over, and how it ended."""

    async def main() -> tuple[WrittenView, Any, float, str]:
        view = WrittenView()
        recording = np.full(round(recording_s * RATE_HZ), 0.5, np.float32)
        card = FileCard(recording, RATE_HZ)
        question = Question(recording_s, limit_s)
        ended = ""
        try:
            await Call(Dialled(*found), card, view, rate_hz=RATE_HZ, patience_s=9.0, question=question).run()
        except (UnavailableError, CallFailedError) as error:
            ended = str(error)
        return view, card.played(), asyncio.get_running_loop().time(), ended

    return virtual_time.run(main())


def sound(seconds: float, level: float = 0.25) -> ReplyAudio:
    return ReplyAudio(to_pcm16(np.full(round(seconds * RATE_HZ), level, np.float32)))


@pytest.mark.parametrize("full_duplex", [True, False])
def test_a_recording_is_asked_and_its_answer_heard_out(full_duplex: bool) -> None:
    server = ScriptedServer((1.5, sound(2.0)), (1.6, ReplyEnded()), full_duplex=full_duplex)
    view, played, over_s, ended = ask(server)
    assert ended == ""
    sent = np.frombuffer(b"".join(pcm for _, pcm in server.sent), "<i2")
    assert np.all(sent[:RATE_HZ] == 16_384)
    assert not sent[RATE_HZ:].any()
    assert view.of("first sound") == [pytest.approx(0.5, abs=0.021)]
    assert played.size / RATE_HZ == pytest.approx(2.0, abs=0.02)
    assert over_s == pytest.approx(3.55, abs=0.05)


def test_a_server_that_leaves_after_its_answer_has_answered() -> None:
    _, played, _, ended = ask(ScriptedServer((1.5, sound(2.0)), (1.6, ReplyEnded()), hangs_up=True))
    assert ended == ""
    assert played.size / RATE_HZ == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (ScriptedServer((1.5, sound(0.1)), hangs_up=True), "closed the connection before its reply had ended"),
        (ScriptedServer((1.5, sound(0.1))), "the reply fell silent for 5 s without ending"),
        (ScriptedServer((0.5, Failed("out of memory"))), "out of memory"),
        (lost_after(0.5), "code 1001: leaving"),
        (away(), "nothing listens"),
    ],
)
def test_a_question_that_is_not_answered_is_not_asked_again(server: ScriptedServer | Exception, said: str) -> None:
    assert said in ask(server)[3]


def test_no_answer_is_no_failure_of_the_call() -> None:
    view, played, over_s, ended = ask(ScriptedServer())
    assert (view.of("first sound"), played.size, ended) == ([], 0, "")
    assert over_s == pytest.approx(6.0, abs=0.05)
