"""A live conversation with a scripted card and server, in virtual time."""

from __future__ import annotations

import numpy as np
import pytest

from client.audio import to_pcm16
from client.call import Call, CallFailedError
from client.connection import DisconnectedError
from client.conversation import STALLED_S, State
from client.events import Disconnected, Failed, Heard, ReplyAudio, ReplyEnded, SpeechStarted, SpeechStopped, Spoken
from harness import virtual_time
from tests.client.scripted import BLOCK_S, RATE_HZ, Dialled, ScriptedCard, ScriptedServer, WrittenView, run_for


def sound(seconds: float, item: str = "a") -> ReplyAudio:
    return ReplyAudio(to_pcm16(np.full(round(seconds * RATE_HZ), 0.25, np.float32)), item)


def converse(server: ScriptedServer, *, seconds: float = 6.0, card: ScriptedCard | None = None) -> WrittenView:
    async def main() -> WrittenView:
        view = WrittenView()
        used = card or ScriptedCard()
        call = Call(Dialled(server), used, view, rate_hz=RATE_HZ, patience_s=60.0)
        try:
            await run_for(call, seconds)
        finally:
            assert server.closed
            assert not used.is_open
            view.tally = call.tally  # type: ignore[attr-defined]  # for the test to see
        return view

    return virtual_time.run(main())


def test_what_the_microphone_hears_is_sent_as_it_is_heard() -> None:
    server = ScriptedServer()
    converse(server, seconds=1.0)
    assert len(server.sent) in (49, 50)
    for number, (at_s, pcm) in enumerate(server.sent, 1):
        assert at_s == pytest.approx(number * BLOCK_S)
        assert pcm == np.full(320, number, "<i2").tobytes()


def test_a_turn_is_shown_and_its_first_sound_counted_from_the_last_word_to_where_it_leaves_the_machine() -> None:
    card = ScriptedCard(delay_s=0.03)
    server = ScriptedServer(
        (0.5, SpeechStarted()),
        (2.0, SpeechStopped(1.5)),
        (2.1, Heard("hello")),
        (2.2, Spoken("Hi ")),
        (2.21, sound(0.5)),
        (2.3, Spoken("there.")),
        (2.31, ReplyEnded()),
    )
    view = converse(server, card=card)
    assert view.of("you") == ["hello"]
    assert view.of("reply") == ["Hi ", "there."]
    assert view.of("over") == [None]
    # The block at 2.22 s takes the first sample; the word at 1.5 s of what was sent was heard at that time.
    assert view.of("first sound") == [pytest.approx(2.22 + 0.03 - 1.5)]
    assert view.of("state") == [
        State.CONNECTING,
        State.LISTENING,
        State.HEARING,
        State.THINKING,
        State.REPLYING,
        State.LISTENING,
    ]
    sounding_s = [at_s for at_s, _ in card.played]
    assert sounding_s[0] == pytest.approx(2.22)
    assert sounding_s[-1] == pytest.approx(2.70)


def test_who_speaks_over_a_reply_silences_it_at_once_and_the_server_is_told_what_was_heard() -> None:
    card = ScriptedCard()
    server = ScriptedServer(
        (1.0, Spoken("A long story.")),
        (1.005, sound(3.0)),
        (2.0, SpeechStarted()),
        (2.05, sound(1.0)),  # on its way already
        (2.06, ReplyEnded(cancelled=True)),
        (3.0, Spoken("Yes?")),
        (3.01, sound(0.2, "b")),
        (3.02, ReplyEnded()),
    )
    view = converse(server, card=card)
    assert server.truncated == [(pytest.approx(2.0), "a", 980)]
    assert view.of("over") == [pytest.approx(0.98), None, None]
    assert not [at_s for at_s, _ in card.played if 2.03 < at_s < 3.0]
    assert next(at_s for at_s, _ in card.played if at_s > 3.0) == pytest.approx(3.02)


def test_a_reply_is_over_when_it_has_been_played() -> None:
    server = ScriptedServer(
        (1.0, Spoken("One.")),
        (1.005, sound(2.0)),
        (1.1, ReplyEnded()),
        (4.0, Spoken("Two.")),
        (4.005, sound(1.0, "b")),
        (4.1, ReplyEnded()),
        (4.2, Spoken("Three.")),
    )
    view = converse(server)
    assert [at_s for at_s, told, _ in view.told if told == "over"] == [pytest.approx(3.02), pytest.approx(4.2)]


def test_a_connection_that_is_lost_while_a_truncation_is_sent_is_dialled_again() -> None:
    class Leaving(ScriptedServer):
        async def truncate(self, item: str, heard_ms: int) -> None:
            raise DisconnectedError("gone")

    server = Leaving((1.005, sound(3.0)), (2.0, SpeechStarted()), (2.0, Disconnected("code 1011", again=True)))

    async def main() -> list[str]:
        view = WrittenView()
        call = Call(Dialled(server, ScriptedServer()), ScriptedCard(), view, rate_hz=RATE_HZ, patience_s=60.0)
        await run_for(call, 4.0)
        return view.of("trouble")

    assert virtual_time.run(main())[0].startswith("code 1011; trying again")


def test_a_call_that_ends_cuts_the_reply() -> None:
    view = converse(ScriptedServer((1.0, Spoken("A long story.")), (1.005, sound(3.0))), seconds=2.01)
    assert view.of("over") == [pytest.approx(1.0)]


def test_a_reply_that_the_server_breaks_off_is_silenced_too() -> None:
    card = ScriptedCard()
    server = ScriptedServer((1.005, sound(3.0)), (1.5, ReplyEnded(cancelled=True)))
    converse(server, card=card)
    assert server.truncated == [(pytest.approx(1.5), "a", 480)]
    assert card.played[-1][0] <= 1.53


@pytest.mark.parametrize("ended_s", [1.1, 2.5])
def test_on_the_binary_protocol_the_microphone_is_closed_until_the_reply_is_over_and_played(ended_s: float) -> None:
    server = ScriptedServer((1.005, sound(1.0, "")), (ended_s, ReplyEnded()), full_duplex=False)
    view = converse(server)
    closed = [at_s for at_s, _ in server.sent if 1.005 < at_s < max(ended_s, 2.02) - 0.001]
    assert closed == []
    assert [at_s for at_s, _ in server.sent][-1] > 5.9
    assert view.of("first sound") == [None]
    assert server.truncated == []


def test_an_error_of_the_servers_is_shown_and_the_conversation_goes_on() -> None:
    server = ScriptedServer(
        (1.0, SpeechStopped(0.5)), (1.1, Failed("out of memory")), (2.0, sound(0.1)), (2.1, ReplyEnded())
    )
    view = converse(server)
    assert view.of("trouble") == ["out of memory"]
    assert view.of("state")[2:4] == [State.THINKING, State.LISTENING]
    assert len(view.of("first sound")) == 1


def test_noise_that_is_no_turn_is_not_waited_for() -> None:
    view = converse(ScriptedServer((1.0, SpeechStarted()), (1.5, SpeechStopped(None)), (1.6, Heard(""))))
    assert view.of("state")[-1] is State.LISTENING


def test_what_was_lost_is_counted() -> None:
    card = ScriptedCard(loses=[10, 20])
    view = converse(ScriptedServer((1.0, sound(0.1)), (1.5, sound(0.1)), (1.6, ReplyEnded())), card=card)
    tally = view.tally  # type: ignore[attr-defined]  # set above
    assert (tally.overruns, tally.underruns, tally.gaps, tally.turns) == (2, 2, 1, 1)


def test_a_card_that_is_unplugged_ends_the_call() -> None:
    with pytest.raises(CallFailedError, match="unplugged"):
        converse(ScriptedServer(), card=ScriptedCard(stops_at_s=1.0))


def test_a_server_that_reads_nothing_is_gone() -> None:
    server = ScriptedServer(reads=False)
    view = converse_until_lost(server)
    assert view.of("trouble")[0].startswith("the server has read nothing for 10 s; trying again in")
    assert view.told[-1][0] >= STALLED_S


def converse_until_lost(server: ScriptedServer) -> WrittenView:
    async def main() -> WrittenView:
        view = WrittenView()
        dial = Dialled(server, ScriptedServer())
        await run_for(Call(dial, ScriptedCard(), view, rate_hz=RATE_HZ, patience_s=60.0), STALLED_S + 3)
        assert len(dial.at_s) == 2
        return view

    return virtual_time.run(main())
