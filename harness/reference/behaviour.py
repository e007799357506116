"""What the reference server is told to do in one conversation."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlencode

from harness import jsonlines

STAGES = ("pause", "committed", "transcript", "first_token", "first_clause", "first_sample", "first_sent")
"""What lies between the end of speech and the first byte, in order, by the names of the server's trace."""

Kind = Literal[
    "clipped", "full-scale", "wrap", "click", "click-start", "click-end", "dc", "between-samples", "dead-air", "mute"
]
Break = Literal[
    "no-reply", "endless", "hang-up", "close", "odd-bytes", "not-json", "no-type", "not-base64", "wrong-frame", "error",
    "failed", "declared-rate", "rate",
]  # fmt: skip  # a table, which is not seen with each entry in a line

QUERY = "behaviour"
"""The field of the address's query that carries one."""


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong with the samples.

    Attributes:
        kind: `clipped` is a run of 8 samples at full scale, `full-scale` 1 sample in 200; `wrap` an overflow of int16;
            `click` a jump that fades, where two chunks meet; `dc` an offset; `between-samples` a tone whose crests are
            beyond full scale and whose samples are not; `dead-air` silence; `mute` takes the voice away.
        at_s: where in the reply, seconds.
        size: of full scale for a click or an offset, seconds for dead air.
    """

    kind: Kind
    at_s: float = 0.0
    size: float = 0.0


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a sound of the caller brings about.

    Attributes:
        answer: it is answered with this text; empty for no answer.
        times: so often, one answer after the other.
        stops_after_s: the reply under way is broken off so long after the sound began; None lets it go on.
    """

    answer: str = ""
    times: int = 1
    stops_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Manners:
    """How the server takes turns in a conversation of several sounds, which it tells apart by the silence between.

    Attributes:
        patience_s: so much silence ends a sound.
        reactions: to the first sound, the second, and so on; to any further one there is none.
    """

    patience_s: float = 0.3
    reactions: tuple[Reaction, ...] = ()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One answer to one question, or manners in a whole conversation. All times in seconds.

    Attributes:
        speech_end_s: where the speech of the question ends, since its first sample.
        stages_s: what each of `STAGES` adds to the wait; a negative one lets the reply begin before the speech is over.
        jitter_s: every stage takes longer by up to so much, drawn from `seed`.
        untold: stages that the trace leaves out.
        heard: the transcript that is told; None tells none.
        spoken: the text that the reply is said to speak.
        said: what the audio says, in words of `voice.WORDS`; None for `spoken`.
        lead_in_s: silence before the voice.
        gain_db: of the voice, whose level is about -20 LUFS.
        chunk_s: length of a chunk.
        pace: from one chunk to the next, as a share of a chunk's length.
        stall_chunk: before this chunk (from 1) delivery stands still for `stall_s`; 0 never stalls.
        broken_off_chunks: a reply of so many chunks is broken off in mid-wave before the reply proper; 0 for none.
        defects: what is wrong with the samples.
        breaks: what is wrong with the protocol.
        manners: the server listens for itself; all that is said of the reply is said of each, but for its words, and
            the first byte of a reply comes when `manners.patience_s` of silence have ended a sound.
    """

    speech_end_s: float
    stages_s: tuple[float, ...] = (0.06, 0.03, 0.02, 0.03, 0.02, 0.03, 0.01)
    jitter_s: float = 0.0
    seed: int = 0
    untold: tuple[str, ...] = ()
    heard: str | None = None
    spoken: str = ""
    said: str | None = None
    lead_in_s: float = 0.04
    gain_db: float = 0.0
    chunk_s: float = 0.04
    pace: float = 0.6
    stall_chunk: int = 0
    stall_s: float = 0.0
    broken_off_chunks: int = 0
    defects: tuple[Defect, ...] = ()
    breaks: Break | None = None
    manners: Manners | None = None

    def delays_s(self) -> dict[str, float]:
        """Stage to what it adds to the wait, its jitter drawn."""
        drawn = random.Random(self.seed)  # noqa: S311 - not for secrets
        return {
            stage: delay_s + drawn.uniform(0, self.jitter_s)
            for stage, delay_s in zip(STAGES, self.stages_s, strict=True)
        }

    def query(self) -> str:
        """As the query of an address."""
        return urlencode({QUERY: jsonlines.encode(self)})


def parse_query(query: str) -> Behaviour:
    """The behaviour that an address asks for.

    Raises:
        jsonlines.LineError: it asks for none, or one that is not understood.
    """
    asked = parse_qs(query).get(QUERY)
    if not asked:
        raise jsonlines.LineError(f"the address says nothing of the {QUERY}; add ?{QUERY}=JSON to it")
    behaviour = jsonlines.decode(Behaviour, jsonlines.parse(asked[0]))
    if len(behaviour.stages_s) != len(STAGES):
        raise jsonlines.LineError(f"stages_s has one entry for each of {', '.join(STAGES)}")
    if not 0.001 <= behaviour.chunk_s <= 1:
        raise jsonlines.LineError("chunk_s lies between 0.001 and 1")
    return behaviour
