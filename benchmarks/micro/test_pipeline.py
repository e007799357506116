"""What a conversation does besides running its models."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from benchmarks.micro.conftest import Measured, voice
from pipeline.audio import StreamResampler, float_to_pcm16, pcm16_to_float
from pipeline.clauses import ClauseSplitter
from pipeline.echo import EchoGuard
from pipeline.events import ReplyAudio
from pipeline.hearing import CallerAudio
from pipeline.history import History
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.outbox import Outbox
from pipeline.profiles import load_profile
from pipeline.tts.mastering import master
from pipeline.tts.speakable import speakable
from pipeline.turns import TurnDetector

REPLIES = {
    Language.EN: (
        "Well, the first train leaves at 7:45 and costs $12.50. If you would rather sleep in, there is another one at "
        "ten that takes about 2 1/2 hours; Dr. Smith took it on 2024-03-01 and was pleased with the view of the sea. "
    ),
    Language.FR: (
        "Le premier train part à 7h45 et coûte 12,50 €. Si vous préférez dormir, il y en a un autre à dix heures qui "
        "met environ 2 heures et demie ; le 3e wagon a la plus belle vue sur la mer. "
    ),
    Language.ZH: (
        "第一班火车早上七点四十五分出发，票价是12.5元。"
        "如果你想多睡一会儿，十点还有一班车，大约需要两个半小时就能到达海边的小城。"
    ),
    Language.JA: (
        "最初の電車は七時四十五分に出発して、料金は1,250円です。"
        "もう少し寝ていたいなら、十時にもう一本あって、海までおよそ二時間半かかります。"
    ),
}


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8_000, 16_000)])
def test_resample_a_second_in_frames(measured: Measured, from_hz: int, to_hz: int) -> None:
    frames = np.split(voice(1.0, from_hz), 50)

    def work() -> int:
        resampler = StreamResampler(from_hz, to_hz)
        return sum(resampler.push(frame).size for frame in frames)

    assert measured(work) > 0.99 * to_hz - 100


def test_pcm16_of_a_second_and_back(measured: Measured) -> None:
    samples = voice(1.0, 24_000)
    assert measured(lambda: pcm16_to_float(float_to_pcm16(samples))).size == samples.size


def test_frame_a_second_for_voice_activity(measured: Measured) -> None:
    pieces = np.split(voice(1.0, 16_000), 50)

    def work() -> int:
        audio = CallerAudio(lambda: 0.0)
        return sum(len(audio.take(piece)) for piece in pieces) + audio.window.since(0.5).size

    assert measured(work) == 31 + 8_000


def test_turns_of_a_minute(measured: Measured) -> None:
    speaks = np.sin(np.arange(1_875) / 20) > 0
    settings = load_profile("embedded").turns

    def work() -> int:
        detector = TurnDetector(settings)
        return sum(detector.push(0.9 if frame else 0.05, -20.0) is not None for frame in speaks)

    assert measured(work) > 1_000


@pytest.mark.parametrize("language", REPLIES)
def test_cut_a_growing_reply_into_clauses(measured: Measured, language: Language) -> None:
    text = 2 * REPLIES[language]
    step = 5 if language in (Language.EN, Language.FR) else 2
    tokens = [text[at : at + step] for at in range(0, len(text), step)]

    def work() -> str:
        splitter = ClauseSplitter(language)
        clauses = [clause for token in tokens for clause in splitter.push(token)]
        return "".join([*clauses, *splitter.finish()])

    assert measured(work) == text


@pytest.mark.parametrize("language", REPLIES)
def test_write_out_a_clause_as_it_is_said(measured: Measured, language: Language) -> None:
    assert measured(lambda: speakable(REPLIES[language], language))


def test_pass_events_through_the_outbox(measured: Measured) -> None:
    events = [ReplyAudio(1, np.zeros(2_400, np.float32))] * 200

    async def pass_on() -> int:
        outbox = Outbox(16)

        async def give() -> None:
            for event in events:
                await outbox.put(event)
            await outbox.close()

        giving = asyncio.create_task(give())
        taken = 0
        while await outbox.get() is not None:
            taken += 1
        await giving
        return taken

    with asyncio.Runner() as runner:
        assert measured(lambda: runner.run(pass_on())) == len(events)


def test_tell_an_echo_from_a_caller(measured: Measured) -> None:
    reply, caller = voice(2.0, 24_000), voice(1.0, 16_000)[::-1].copy()
    guard = EchoGuard(lambda: 2.0)
    for number, piece in enumerate(np.split(reply, 20)):
        guard.sent(piece, 0.1 * number)
    assert not measured(lambda: guard.explains(caller))


def test_prompt_of_a_long_history(measured: Measured) -> None:
    messages = [Message("user" if number % 2 else "assistant", REPLIES[Language.EN]) for number in range(400)]

    def work() -> int:
        return len(History(messages).prompt("Be brief.", 4_000, lambda text: len(text) // 4))

    assert 10 < measured(work) < 400


def test_master_a_clause(measured: Measured) -> None:
    stretches = np.split(voice(3.0, 24_000), 6)
    assert measured(lambda: sum(piece.size for piece in master(stretches, gain=1.0, pause_s=0.3))) > 60_000
