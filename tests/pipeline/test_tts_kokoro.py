"""Kokoro's speech: it can be heard, played, and its clauses joined."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop, Stopped
from pipeline.tts.kokoro import Kokoro, fit
from pipeline.tts.kokoro.onnx_network import OnnxNetwork
from pipeline.tts.mastering import true_peak
from pipeline.weights import WeightStore

SENTENCES = {
    Language.EN: "Thank you very much, see you tomorrow.",
    Language.FR: "Merci beaucoup, à demain.",
    Language.ES: "Muchas gracias, hasta mañana.",
    Language.ZH: "非常感谢，明天见。",
    Language.JA: "ありがとうございます。また明日。",
}


@pytest.fixture(scope="module")
def kokoro(weights: WeightStore) -> Kokoro:
    return Kokoro(weights.path("kokoro"), partial(OnnxNetwork, threads=2))


def spoken(kokoro: Kokoro, text: str, language: Language, *, speed: float = 1.0, voice: str = "") -> FloatArray:
    pieces = kokoro.speak(text, language, voice or kokoro.voices[language][0], speed=speed, stop=Stop())
    return np.concatenate([np.zeros(0, np.float32), *pieces])


@pytest.mark.models
@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_can_be_played(kokoro: Kokoro, language: Language) -> None:
    speech = spoken(kokoro, SENTENCES[language], language)
    assert speech.dtype == np.float32
    assert np.all(np.isfinite(speech))
    assert true_peak(speech) < 10 ** (-1 / 20)
    assert 1.0 < speech.size / OUTPUT_RATE_HZ < 5.0
    assert -30 < pyloudnorm.Meter(OUTPUT_RATE_HZ).integrated_loudness(speech) < -14
    assert np.max(np.abs(np.diff(speech))) < 0.9
    assert np.flatnonzero(np.abs(speech) > 0.01)[0] < 0.06 * OUTPUT_RATE_HZ
    assert max(abs(speech[0]), abs(speech[-1])) < 1e-3


@pytest.mark.models
def test_clauses_that_are_spoken_at_once_sound_as_they_do_alone(kokoro: Kokoro) -> None:
    alone = [spoken(kokoro, sentence, language) for language, sentence in SENTENCES.items()]
    with ThreadPoolExecutor(2) as threads:
        at_once = list(threads.map(partial(spoken, kokoro), SENTENCES.values(), SENTENCES))
    for one, same in zip(alone, at_once, strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.models
@pytest.mark.parametrize("text", ["Yes.", "Sure,", "Of course,"])
def test_a_word_is_as_loud_as_a_sentence(kokoro: Kokoro, text: str) -> None:
    word, sentence = (
        np.quantile(np.abs(spoken(kokoro, said, Language.EN)), 0.95) for said in (text, SENTENCES[Language.EN])
    )
    assert 0.4 < word / sentence < 2.5


@pytest.mark.models
def test_a_clause_is_heard_before_all_of_it_is_made(kokoro: Kokoro) -> None:
    stop = Stop()
    pieces = kokoro.speak(SENTENCES[Language.EN], Language.EN, "af_heart", speed=1.0, stop=stop)
    assert next(pieces).size
    stop.tell()
    with pytest.raises(Stopped):
        list(pieces)


@pytest.mark.models
def test_stretches_join_without_a_click(kokoro: Kokoro) -> None:
    stretches = list(kokoro.stretches("ɪt lˈivz æt nˈun, fɹʌm ðə plˈætfɔɹm baɪ ðə ɹˈɪvəɹ.", "af_heart", 1.0, Stop()))
    assert len(stretches) > 2
    raw = np.concatenate(stretches)
    steps = np.abs(np.diff(raw))
    for joint in np.cumsum([stretch.size for stretch in stretches])[:-1]:
        assert steps[joint - 1] <= steps[joint - 600 : joint + 600].max()


@pytest.mark.models
def test_speed_changes_the_length(kokoro: Kokoro) -> None:
    text = SENTENCES[Language.EN]
    assert spoken(kokoro, text, Language.EN, speed=1.5).size < 0.85 * spoken(kokoro, text, Language.EN).size


@pytest.mark.models
@pytest.mark.parametrize("text", ["", "…", "🎉", "```x```"])
def test_nothing_to_say_is_silent(kokoro: Kokoro, text: str) -> None:
    assert spoken(kokoro, text, Language.EN).size == 0


@pytest.mark.models
def test_what_it_cannot_speak_is_refused_with_the_choices(kokoro: Kokoro) -> None:
    with pytest.raises(ValueError, match=r"'nobody'.*choose one of af_heart, am_michael"):
        spoken(kokoro, "Hi.", Language.EN, voice="nobody")
    with pytest.raises(ValueError, match="no speech in ko"):
        spoken(kokoro, "네.", Language.KO, voice="af_heart")


def test_missing_weights_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="s2s weights pull"):
        Kokoro(tmp_path, partial(OnnxNetwork, threads=1))


def test_too_long_a_clause_is_cut_at_a_natural_place() -> None:
    sounds = "ab cd, " * 100
    cut = list(fit(sounds))
    assert " ".join(cut) == sounds.strip()
    assert all(len(piece) <= 510 for piece in cut)
    assert cut[0].endswith(",")
    assert [len(piece) for piece in fit("a" * 1000)] == [510, 490]


@pytest.mark.models
def test_silence_around_a_clause_is_not_synthesised(kokoro: Kokoro) -> None:
    raw = np.concatenate(list(kokoro.stretches("ʃˈʊɹ.", "af_heart", 1.0, Stop())))
    audible = np.flatnonzero(np.abs(raw) > 10 ** (-40 / 20))
    # Unedited, the model makes 1.3 s for this word, of which 0.5 s are before it.
    assert audible[0] < 0.12 * OUTPUT_RATE_HZ
    assert raw.size < 0.6 * OUTPUT_RATE_HZ
    # And the word has died away where it was cut.
    assert raw.size - audible[-1] > 0.02 * OUTPUT_RATE_HZ


@pytest.mark.models
def test_a_clause_that_nobody_wants_any_more_is_not_finished(kokoro: Kokoro) -> None:
    stop = Stop()
    stop.tell()
    with pytest.raises(Stopped):
        next(iter(kokoro.speak("Hello there.", Language.EN, "af_heart", speed=1.0, stop=stop)))
