"""What every text-to-speech engine must do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray, float_to_pcm16, pcm16_to_float
from pipeline.languages import Language
from pipeline.stopping import Stop, Stopped
from pipeline.tts.mastering import true_peak
from tests.pipeline.conformance.engines import SPEAKING, Speaking, opened

SENTENCES = {
    Language.EN: "Thank you, see you tomorrow.",
    Language.FR: "Merci beaucoup, à demain.",
    Language.ES: "Muchas gracias, hasta mañana.",
    Language.ZH: "非常感谢，明天见。",
    Language.JA: "ありがとう。また明日。",
    Language.KO: "감사합니다, 내일 봐요.",
}


@pytest.fixture(scope="module", params=SPEAKING)
def speaking(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speaking]:
    yield from opened(request, tmp_path_factory)


def said(speaking: Speaking, text: str | None = None, *, speed: float = 1.0, stop: Stop | None = None) -> Iterator[Any]:
    language = next(iter(speaking.engine.voices))
    voice = speaking.engine.voices[language][0]
    words = SENTENCES[language] if text is None else text
    return speaking.engine.speak(words, language, voice, speed=speed, stop=stop or Stop())


def whole(pieces: Iterator[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def test_every_language_has_a_voice_and_can_be_played(speaking: Speaking) -> None:
    assert speaking.engine.voices
    for language, voices in speaking.engine.voices.items():
        pieces = list(speaking.engine.speak(SENTENCES[language], language, voices[0], speed=1.0, stop=Stop()))
        assert pieces
        for piece in pieces:
            assert (piece.dtype, piece.ndim) == (np.float32, 1)
            assert 0 < piece.size <= OUTPUT_RATE_HZ // 10
            assert np.all(np.isfinite(piece))
        assert true_peak(np.concatenate(pieces)) < 10 ** (-1 / 20)


def test_no_sample_wraps_at_full_scale(speaking: Speaking) -> None:
    speech = whole(said(speaking))
    assert np.max(np.abs(speech)) < 1.0
    played = pcm16_to_float(float_to_pcm16(speech))
    assert np.max(np.abs(played - speech)) < 2 / 32768


def test_a_clause_begins_and_ends_in_silence(speaking: Speaking) -> None:
    speech = whole(said(speaking))
    assert max(abs(speech[0]), abs(speech[-1])) < 1e-3


def test_the_same_text_is_said_the_same(speaking: Speaking) -> None:
    first, again = (whole(said(speaking)) for _ in range(2))
    if speaking.stoppable:
        assert np.array_equal(first, again)
    else:  # espeak-ng's hissing sounds are noise, each time another
        assert first.size == pytest.approx(again.size, rel=0.02)


def test_speed_changes_the_length(speaking: Speaking) -> None:
    assert whole(said(speaking, speed=1.5)).size < 0.9 * whole(said(speaking)).size


@pytest.mark.parametrize("text", ["", " ", "…", "🎉", "```x```"])
def test_what_has_no_words_is_silent(speaking: Speaking, text: str) -> None:
    assert list(said(speaking, text)) == []


def test_a_voice_or_language_that_is_not_there_is_refused_with_the_choices(speaking: Speaking) -> None:
    language = next(iter(speaking.engine.voices))
    with pytest.raises(ValueError, match=speaking.engine.voices[language][0]):
        list(speaking.engine.speak("Hi.", language, "nobody", speed=1.0, stop=Stop()))
    for other in set(Language).difference(speaking.engine.voices):
        with pytest.raises(ValueError, match=str(language)):
            list(speaking.engine.speak("Hi.", other, "nobody", speed=1.0, stop=Stop()))


def test_nothing_is_begun_for_nobody(speaking: Speaking) -> None:
    if not speaking.stoppable:
        pytest.skip("espeak-ng speaks a clause in some ten milliseconds, too few to be stopped in")
    before, stop = speaking.steps.begun, Stop()
    stop.tell()
    with pytest.raises(Stopped):
        list(said(speaking, stop=stop))
    assert speaking.steps.begun - before <= 1


@pytest.mark.parametrize("step", [1, 2])
def test_it_stops_with_the_step_that_is_under_way(speaking: Speaking, step: int) -> None:
    if not speaking.stoppable:
        pytest.skip("espeak-ng speaks a clause in some ten milliseconds, too few to be stopped in")
    before, stop = speaking.steps.begun, speaking.steps.stop_at(step)
    with pytest.raises(Stopped):
        list(said(speaking, stop=stop))
    assert speaking.steps.begun - before == step
    speaking.steps.on_step = lambda begun: None
    assert whole(said(speaking)).size
