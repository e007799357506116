"""`end-of-turn`: how soon a turn is taken for over, against how many callers are cut off by that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import mannwhitneyu

from benchmarks.callers import progress
from harness import fixtures
from harness.fixtures import LANGUAGES, Fixture
from harness.fixtures.treatments import with_pause
from harness.replay import end_of_speech_s
from pipeline.audio import INPUT_RATE_HZ, FloatArray, level_dbfs
from pipeline.end_of_turn import Statements, evidence, is_open, is_over, wait_s
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
FIXED_S = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8)
"""The silences of a server that listens for nothing else."""
AFTER_S = 2.5
"""So much silence follows each clip."""
# Until they are known in the server: about what two cores take.
TRANSCRIBED_AFTER_S = 0.2
JUDGED_AFTER_S = 0.12
READ_AFTER_S = 0.12
WEIGHTS = ((0.1, 0.15, 0.2, 0.3), (0.0, 0.15, 0.25, 0.4, 0.55), (-4.0, -3.5, -3.0, -2.0))
"""Of the voice, of the sentence, and the centre of the latter's log-odds, where the language model is a witness."""


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


@click.group()
def end_of_turn() -> None:
    """How soon a turn is taken for over, against how many callers are cut off by that."""


@end_of_turn.command()
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Only these.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Where the evidence goes.")
def listen(languages: tuple[str, ...], out: Path) -> None:
    """Ask the models about every pause of the recordings, and of the same with a pause put between two words.

    Takes about ten minutes for all six languages. `frontier` reads what this writes.
    """
    clips = fixtures.available("recorded", languages or LANGUAGES, None)
    models = _Models()
    out.parent.mkdir(parents=True, exist_ok=True)
    with progress() as bar, out.open("w") as file:
        for clip in bar.track(clips, description="listening"):
            for spoken in _playings(clip, models):
                file.write(json.dumps(asdict(spoken)) + "\n")


class _Models:
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


def _playings(clip: Fixture, models: _Models) -> Iterator[Spoken]:
    samples_16k = fixtures.read(clip, INPUT_RATE_HZ)
    end_s = end_of_speech_s(clip)
    yield Spoken(clip.id, clip.language, 0.0, end_s, _pauses(samples_16k, clip.language, models))
    lot = np.random.default_rng(int(clip.sha256[:8], 16))
    for length_s in INSERTED_S:
        if clip.word_gaps:
            at = round(int(lot.choice(clip.word_gaps)) * INPUT_RATE_HZ / clip.rate_hz)
            longer = with_pause(samples_16k, at, length_s, INPUT_RATE_HZ)
            yield Spoken(clip.id, clip.language, length_s, end_s + length_s, _pauses(longer, clip.language, models))


def _pauses(samples_16k: FloatArray, language: str, models: _Models) -> list[Pause]:
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


@end_of_turn.command()
@click.argument("pauses", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes.")
@click.option("--without", multiple=True, help="Clips to leave out: monologues, say.")
def frontier(pauses: Path, plot: Path | None, without: tuple[str, ...]) -> None:
    """Try many policies on what `listen` wrote, and show those that nothing beats. Takes a minute or two.

    A policy is a set of waits and the longest wait of the profile. The profile's own is the first of the table; then
    come those that hear nobody, and wait for the same silence whatever was said.
    """
    spoken = [_read(line) for line in pauses.read_text().splitlines()]
    spoken = [one for one in spoken if one.clip not in without]
    profile = load_profile("embedded").turns
    with progress() as bar:
        policies = list(_policies(profile))
        tried = [(policy, _outcome(spoken, policy)) for policy in bar.track(policies, description="deciding")]
    tried.sort(key=lambda one: (one[1][0], one[1][3]))
    # Whatever is slower than another has to cut in less.
    least = [math.inf, *np.minimum.accumulate([result[3] for _, result in tried])]
    best = [one for one, before in zip(tried, least, strict=False) if one[1][3] < before]
    table = Table("waits", "longest", "median, s", "p95, s", "cut in, plain", "cut in, with a pause")
    own = (profile, _outcome(spoken, profile))
    deaf = [_policy(profile, (), silence_s) for silence_s in FIXED_S]
    fixed = [(policy, _outcome(spoken, policy)) for policy in deaf]
    for policy, result in [own, *fixed, *best]:
        table.add_row(
            _told(policy),
            f"{policy.longest_wait_s:g}",
            *(f"{value:.2f}" for value in result[:2]),
            *(f"{value:.1%}" for value in result[2:]),
        )
    console = Console(width=140)
    console.print(table)
    _tell_what_weights_do(spoken, profile, console)
    _tell_what_is_told_apart(spoken, profile, console)
    if plot:
        _draw([result for _, result in tried], own[1], [result for _, result in fixed], plot)


def _tell_what_is_told_apart(spoken: Sequence[Spoken], profile: TurnProfile, console: Console) -> None:
    """How well each witness, and all, tell the ends of turns from pauses as long as those put in."""
    ends = [one.pauses[-1] for one in spoken if not one.inserted_s and one.pauses]
    put_in = [
        pause for one in spoken if one.inserted_s for pause in one.pauses[:-1] if pause.lasted_s >= one.inserted_s
    ]
    witnesses: dict[str, Callable[[Pause], float]] = {
        "words": lambda pause: evidence(profile, Statements(pause.ends)),
        "voice": lambda pause: evidence(profile, Statements(None, pause.completeness)),
        "words and voice": lambda pause: evidence(profile, Statements(pause.ends, pause.completeness)),
        "all": lambda pause: evidence(
            profile, Statements(pause.ends, pause.completeness, pause.sentence is not None, pause.sentence)
        ),
    }
    _tell_areas(ends, put_in, witnesses, console)
    read_ends, read_put_in = ([one for one in pauses if one.sentence is not None] for pauses in (ends, put_in))
    if read_ends and read_put_in:
        console.print("where the language model can tell:")
        _tell_areas(
            read_ends,
            read_put_in,
            {"sentence": lambda pause: evidence(profile, Statements(0.5, sentence=pause.sentence)), **witnesses},
            console,
        )


def _tell_areas(
    ends: Sequence[Pause], put_in: Sequence[Pause], witnesses: Mapping[str, Callable[[Pause], float]], console: Console
) -> None:
    for name, witness in witnesses.items():
        above = mannwhitneyu([witness(pause) for pause in ends], [witness(pause) for pause in put_in]).statistic
        area = above / len(ends) / len(put_in)
        console.print(f"{name}: area under the curve {area:.3f}, of {len(ends)} ends and {len(put_in)} pauses")


def _tell_what_weights_do(spoken: Sequence[Spoken], profile: TurnProfile, console: Console) -> None:
    """The profile's waits, with other weights of the witnesses."""
    table = Table(
        "weight of the voice of three",
        "of the sentence",
        "centre",
        "median, s",
        "p95, s",
        "cut in, plain",
        "with a pause",
    )
    for voice, sentence, centre in product(*WEIGHTS):
        if not sentence and centre != WEIGHTS[2][0]:
            continue  # without weight, its centre is nothing
        weighed = replace(profile, voice_weight_of_three=voice, sentence_weight=sentence, sentence_centre=centre)
        median_s, p95_s, plain, paused = _outcome(spoken, weighed)
        table.add_row(
            *(f"{value:g}" for value in (voice, sentence, centre)),
            *(f"{value:.2f}" for value in (median_s, p95_s)),
            *(f"{value:.1%}" for value in (plain, paused)),
        )
    console.print(table)


def _read(line: str) -> Spoken:
    row = json.loads(line)
    return Spoken(**(row | {"pauses": [Pause(**pause) for pause in row["pauses"]]}))


def _policies(profile: TurnProfile) -> Iterator[TurnProfile]:
    sures, soons_s, longests_s = (2.6, 3.2, 3.6, 4.0, 4.6), (0.4, 0.5, 0.55, 0.7, 0.9), (1.0, 1.24, 1.3, 1.5, 1.8)
    for sure, soon_s, longest_s in product(sures, soons_s, longests_s):
        yield _policy(profile, ((sure, soon_s),), longest_s)
    for sure, likely, soon_s, later_s, longest_s in product(
        sures, (1.0, 2.0, 3.0), soons_s, (0.75, 1.0, 1.2), longests_s
    ):
        if likely < sure and soon_s < later_s < longest_s:
            yield _policy(profile, ((sure, soon_s), (likely, later_s)), longest_s)


def _policy(profile: TurnProfile, waits: tuple[tuple[float, float], ...], longest_s: float) -> TurnProfile:
    return replace(profile, waits=waits, waits_of_three=waits, longest_wait_s=longest_s)


def _told(policy: TurnProfile) -> str:
    if not policy.waits:
        return "always the longest"
    waits, of_three = (str([list(wait) for wait in waits]) for waits in (policy.waits, policy.waits_of_three))
    return waits if waits == of_three else f"{waits}, of three {of_three}"


def _outcome(spoken: Sequence[Spoken], policy: TurnProfile) -> tuple[float, float, float, float]:
    """Median and p95 of the time to the decision, seconds; shares cut in, without and with a pause put in."""
    answered = [(one.inserted_s, one.answered_s(policy)) for one in spoken]
    plain = [at_s for inserted_s, at_s in answered if not inserted_s]
    paused = [at_s for inserted_s, at_s in answered if inserted_s]
    waited = [at_s for at_s in plain if at_s > -math.inf]
    return (
        float(np.quantile(waited, 0.5)),
        float(np.quantile(waited, 0.95)),
        plain.count(-math.inf) / len(plain),
        paused.count(-math.inf) / len(paused),
    )


def _draw(
    results: Sequence[tuple[float, ...]], own: tuple[float, ...], fixed: Sequence[tuple[float, ...]], path: Path
) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(
        [r[0] for r in fixed], [100 * r[3] for r in fixed], "o-", color="C1", markersize=4, label="a fixed silence"
    )
    axes.scatter([r[0] for r in results], [100 * r[3] for r in results], s=8, color="0.7", label="policies tried")
    axes.scatter([own[0]], [100 * own[3]], s=60, color="C3", marker="D", label="the profile's")
    axes.axhline(8, color="C0", linewidth=0.8, label="limit")
    axes.set_xlabel("from the end of speech to the decision, median, s")
    axes.set_ylabel("cut in at a pause of 0.3 to 1.2 s, %")
    axes.legend()
    figure.savefig(path, dpi=120)
