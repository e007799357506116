"""The pauses of recordings, what the models say of them, and when a policy would have taken each for the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness import fixtures
from harness.fixtures import Fixture
from harness.fixtures.treatments import with_pause
from harness.replay import end_of_speech_s
from pipeline.audio import INPUT_RATE_HZ, FloatArray, level_dbfs
from pipeline.end_of_turn import Statements, is_open, is_over, log_odds, wait_s
from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.loading import load_language_model, load_speech_to_text
from pipeline.profiles import TurnProfile, load_profile
from pipeline.smart_turn import SmartTurn
from pipeline.stopping import Stop
from pipeline.turns import Onset, Resumed, Silence, TurnDetector
from pipeline.vad import FRAME_S, FRAME_SAMPLES, SileroVoiceActivity
from pipeline.weights import WeightStore

INSERTED_S = (0.3, 0.5, 0.7, 0.9, 1.2)
AFTER_S = 2.5
"""So much silence follows each clip."""
# Until they are known in the server: about what two cores take.
TRANSCRIBED_AFTER_S = 0.2
JUDGED_AFTER_S = 0.12
READ_AFTER_S = 0.12
AGAIN_LOG_ODDS = 0.3
"""By so much (standard deviation) another resampling of a clip moves what the recogniser says of an end."""


@dataclass(slots=True)
class Pause:
    """A silence in a clip, and what the models say of it.

    Attributes:
        end_s: where the speech before it ends.
        noticed_s: the silence that there was when it was noticed.
        lasted_s: the silence after which the speaker was heard to go on; infinite for that after the last word.
        stirs_s: the silences at which something stirred, or speech seemed to begin.
        ends: what the recogniser said; see `pipeline.end_of_turn`.
        completeness: what Smart Turn answered, each time it was asked.
        sentence: what the language model said of the transcript, if it could tell.
    """

    end_s: float
    noticed_s: float
    lasted_s: float = math.inf
    stirs_s: list[float] = field(default_factory=list)
    ends: float | None = None
    completeness: list[float] = field(default_factory=list)
    sentence: float | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """One playing of a clip; `inserted_s` is the length of the pause put into it, 0 for none."""

    clip: str
    language: str
    inserted_s: float
    end_of_speech_s: float
    pauses: list[Pause]

    def answered_s(self, settings: TurnProfile) -> float:
        """When the turn would be taken for over, in seconds after the end of speech; -inf if the speaker went on."""
        for pause in self.pauses:
            if (silence_s := _decided(pause, settings)) is not None:
                final = pause is self.pauses[-1]
                return pause.end_s + silence_s - self.end_of_speech_s if final else -math.inf
        return math.inf


def _decided(pause: Pause, settings: TurnProfile) -> float | None:
    """The silence at which the pause would be taken for the end of the turn; None if the speaker goes on before."""
    silence_s, stirs = pause.noticed_s, {_frames(at_s) for at_s in pause.stirs_s}
    asked_s = [settings.ask_s, settings.ask_s + settings.ask_again_s]
    asked_at_s: float | None = None
    while silence_s < pause.lasted_s - FRAME_S / 2:
        known = silence_s >= pause.noticed_s + TRANSCRIBED_AFTER_S
        judged = pause.completeness[: sum(silence_s >= max(at_s, pause.noticed_s) + JUDGED_AFTER_S for at_s in asked_s)]
        told = Statements(pause.ends, judged, pause.sentence is not None)
        if known and judged and asked_at_s is None and is_open(settings, told):
            asked_at_s = silence_s
        if asked_at_s is not None and silence_s >= asked_at_s + READ_AFTER_S:
            told = replace(told, sentence=pause.sentence)
        needed_s = wait_s(settings, told) if known else settings.longest_wait_s
        if is_over(settings, Silence(pause.end_s, silence_s, _frames(silence_s) in stirs), needed_s):
            return silence_s
        silence_s += FRAME_S
    return None


def _frames(seconds: float) -> int:
    return round(seconds / FRAME_S)


class Models:
    """Those of the embedded profile that are asked about a pause."""

    def __init__(self) -> None:
        store, profile = WeightStore(), load_profile("embedded")
        self.turns = profile.turns
        self.voice_activity = SileroVoiceActivity(store.path("silero-vad"))
        self.end_of_turn = SmartTurn(store.path("smart-turn"), threads=1)
        self.speech_to_text = load_speech_to_text(profile.engines[profile.speech_to_text.engine], store)
        thinking = {
            name: load_language_model(settings, store) for name, settings in profile.of_stage("language_model").items()
        }
        self.language_models: dict[Language, LanguageModel] = {
            language: thinking[name] for language, name in profile.language_model.engines.items()
        }


def playings(clip: Fixture, models: Models) -> Iterator[Spoken]:
    """A clip as it is, and with pauses of `INSERTED_S` put in between two words, drawn by lot."""
    samples_16k = fixtures.read(clip, INPUT_RATE_HZ)
    end_s = end_of_speech_s(clip)
    yield Spoken(clip.id, clip.language, 0.0, end_s, pauses_of(samples_16k, clip.language, models))
    lot = np.random.default_rng(int(clip.sha256[:8], 16))
    for length_s in INSERTED_S:
        if clip.word_gaps:
            at = round(int(lot.choice(clip.word_gaps)) * INPUT_RATE_HZ / clip.rate_hz)
            longer = with_pause(samples_16k, at, length_s, INPUT_RATE_HZ)
            yield Spoken(clip.id, clip.language, length_s, end_s + length_s, pauses_of(longer, clip.language, models))


def pauses_of(samples_16k: FloatArray, language: str, models: Models) -> list[Pause]:
    """What the server would find out of each pause, if its models took no time."""
    padded = np.pad(samples_16k, (0, round(AFTER_S * INPUT_RATE_HZ)))
    stream, detector, pauses = models.voice_activity.stream(), TurnDetector(models.turns), list[Pause]()
    asks = (models.turns.ask_s, models.turns.ask_s + models.turns.ask_again_s)
    begins = 0
    for start in range(0, padded.size - FRAME_SAMPLES, FRAME_SAMPLES):
        frame = padded[start : start + FRAME_SAMPLES]
        heard = padded[begins : start + FRAME_SAMPLES]
        now_s = (start + FRAME_SAMPLES) / INPUT_RATE_HZ
        match detector.push(stream.probability(frame), level_dbfs(frame)):
            case Onset(start_s):
                begins = max(0, round((start_s - models.turns.prefix_s) * INPUT_RATE_HZ))
            case Silence(end_s, silence_s, stirs):
                if not pauses or pauses[-1].end_s != end_s:
                    transcript = models.speech_to_text.transcribe(
                        heard, {Language(language): 1.0}, draft=None, stop=Stop()
                    )
                    sentence = models.language_models[transcript.language].sentence_ends(transcript.text, stop=Stop())
                    pauses.append(Pause(end_s, silence_s, ends=transcript.ends, sentence=sentence))
                if stirs:
                    pauses[-1].stirs_s.append(silence_s)
                asked = len(pauses[-1].completeness)
                if asked < len(asks) and silence_s >= asks[asked]:
                    pauses[-1].completeness.append(models.end_of_turn.completeness(heard, Stop()))
            case Resumed() if pauses and math.isinf(pauses[-1].lasted_s):  # and not after what only faded
                pauses[-1].lasted_s = now_s - pauses[-1].end_s
            case None if pauses and math.isinf(pauses[-1].lasted_s):
                pauses[-1].stirs_s.append(now_s - pauses[-1].end_s)
    return pauses


def heard_again(spoken: Sequence[Spoken], lot: np.random.Generator) -> list[Spoken]:
    """The same once more, as it might have been: the recogniser's log-odds a little other, and frames that begin a
    little elsewhere, so that who speaks on is heard to a little later. What one listening yields is luck, in part.
    """
    return [replace(one, pauses=[_heard_again(pause, lot) for pause in one.pauses]) for one in spoken]


def _heard_again(pause: Pause, lot: np.random.Generator) -> Pause:
    later_s = lot.uniform(0, FRAME_S)
    ends = pause.ends
    if ends is not None:
        ends = 1 / (1 + math.exp(-log_odds(ends) - lot.normal(0, AGAIN_LOG_ODDS)))
    stirs_s = [at_s + later_s for at_s in pause.stirs_s]
    return replace(pause, ends=ends, lasted_s=pause.lasted_s + later_s, stirs_s=stirs_s)
