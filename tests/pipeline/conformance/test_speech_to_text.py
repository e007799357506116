"""What every speech-to-text engine must do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from harness import fixtures
from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop, Stopped
from pipeline.stt.whisper import Whisper
from tests.pipeline.conformance.engines import HEARING, Hearing, opened

ALL = dict.fromkeys(Language, 1.0)
CLIPS = {Language(clip.language): clip for clip in fixtures.available("synthetic", [*Language], 1)}


@pytest.fixture(scope="module", params=HEARING)
def hearing(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hearing]:
    yield from opened(request, tmp_path_factory)


def samples(language: Language = Language.EN) -> FloatArray:
    return fixtures.read(CLIPS[language], INPUT_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize("language", Language)
def test_a_transcript_is_in_the_language_that_is_given(hearing: Hearing, language: Language) -> None:
    heard = hearing.engine.transcribe(samples(language), {language: 1.0}, draft=None, stop=Stop())
    assert heard.language is language
    assert heard.text == heard.text.strip()
    assert heard.text or not hearing.understands
    for probability in (heard.confidence, heard.ends):
        assert probability is None or 0.0 <= probability <= 1.0 + 1e-5


def test_only_a_language_that_is_likely_is_heard(hearing: Hearing) -> None:
    likely = {Language.JA: 1.0, Language.FR: 1.0}
    assert hearing.engine.transcribe(samples(), likely, draft=None, stop=Stop()).language in likely


def test_a_language_is_told_from_the_other_five(hearing: Hearing) -> None:
    heard = [hearing.engine.transcribe(samples(one), ALL, draft=None, stop=Stop()).language for one in CLIPS]
    assert set(heard) <= set(Language)
    if hearing.understands:
        # Of Korean the embedded weights hear one synthetic clip as Japanese.
        assert sum(one is other for one, other in zip(heard, CLIPS, strict=True)) >= len(CLIPS) - 1


def test_the_same_audio_is_heard_the_same(hearing: Hearing) -> None:
    first, again = (hearing.engine.transcribe(samples(), ALL, draft=None, stop=Stop()) for _ in range(2))
    assert first == again


def test_a_draft_is_no_part_of_the_question(hearing: Hearing) -> None:
    audio = samples()
    draft = hearing.engine.transcribe(audio[: audio.size // 2], ALL, draft=None, stop=Stop())
    plain = hearing.engine.transcribe(audio, ALL, draft=None, stop=Stop())
    drafted = hearing.engine.transcribe(audio, ALL, draft=draft, stop=Stop())
    assert (drafted.text, drafted.language) == (plain.text, plain.language)


def test_of_a_token_that_was_given_it_is_told_how_likely_it_was(hearing: Hearing) -> None:
    if not isinstance(hearing.engine, Whisper):
        pytest.skip("CTranslate2 takes no drafts, and is asked about no single tokens")
    network = hearing.engine._network
    heard = network.hear(np.zeros((1, network.mels, 800), np.float32), Stop(), quick=True)
    for place, language in enumerate(Language):
        told, _ = network.read(hearing.engine._prompt(language), 0, None, heard, Stop(), opening=3)
        # The language is the second token, and all languages are named.
        assert told.given[0] == pytest.approx(told.named[0, place], abs=1e-4)


@pytest.mark.parametrize("size", [0, 1, 160])
def test_hardly_any_audio_is_no_error(hearing: Hearing, size: int) -> None:
    heard = hearing.engine.transcribe(np.zeros(size, np.float32), ALL, draft=None, stop=Stop())
    # Into silence without any noise, which is never sent to it, Whisper may read a word or two.
    assert len(heard.text) < 40 or not hearing.understands


def test_more_than_a_window_is_no_error(hearing: Hearing) -> None:
    audio = np.concatenate([samples(), np.zeros(INPUT_RATE_HZ * 28, np.float32), samples()])
    heard = hearing.engine.transcribe(audio, {Language.EN: 1.0}, draft=None, stop=Stop())
    if hearing.understands:
        assert heard.text.lower().count("capital of france") == 2


def test_nothing_is_begun_for_nobody(hearing: Hearing) -> None:
    stop, before = Stop(), hearing.steps.begun
    stop.tell()
    with pytest.raises(Stopped):
        hearing.engine.transcribe(samples(), ALL, draft=None, stop=stop)
    assert hearing.steps.begun - before <= 1


@pytest.mark.parametrize("step", [1, 2, 3])
def test_it_stops_with_the_step_that_is_under_way(hearing: Hearing, step: int) -> None:
    before, stop = hearing.steps.begun, hearing.steps.stop_at(step)
    long = np.concatenate([samples()] * 8)
    with pytest.raises(Stopped):
        hearing.engine.transcribe(long, {Language.EN: 1.0}, draft=None, stop=stop)
    assert hearing.steps.begun - before == step


def test_a_stop_leaves_nothing_behind(hearing: Hearing) -> None:
    plain = hearing.engine.transcribe(samples(), ALL, draft=None, stop=Stop())
    with pytest.raises(Stopped):
        hearing.engine.transcribe(samples(), ALL, draft=None, stop=hearing.steps.stop_at(2))
    assert hearing.engine.transcribe(samples(), ALL, draft=None, stop=Stop()) == plain
