"""What the decoder writes, and in how many runs, with a network that knows one text by heart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto

from pipeline.audio import FloatArray
from pipeline.onnx_graph import GraphBuilder
from pipeline.onnx_session import OnnxSession
from pipeline.stopping import Stop
from pipeline.stt.whisper.decoding import Decoded, Decoder
from pipeline.stt.whisper.graphs import add_outputs
from pipeline.stt.whisper.network import Following, Tokens

PROMPT = [100, 101, 102]
END = 99
MOST = 60
texts = st.lists(st.integers(0, 5), max_size=40)


@dataclass
class Reciter:
    """Satisfies `Network`. After another beginning than that of the text it writes nonsense.

    Attributes:
        rivals: tokens that would do as well at a place, and how much less likely they are.
    """

    text: Sequence[int]
    rivals: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    mels: int = 80
    runs: list[int] = field(default_factory=list)

    def hear(self, mel: FloatArray, stop: Stop, *, quick: bool) -> None:
        raise NotImplementedError

    def read(
        self,
        tokens: Sequence[int],
        before: int,
        memory: list[int] | None,
        heard: object,
        stop: Stop,
        *,
        opening: int | None = None,
    ) -> tuple[Following, list[int]]:
        read = memory or []
        assert before == len(read)
        assert opening == (len(PROMPT) - 1 if memory is None else None)
        self.runs.append(len(tokens))
        following = []
        for token in tokens:
            read = [*read, token]
            following.append(self._after(read))
        best = np.array([token for token, _ in following])
        numbers = np.array([number for _, number in following], np.float32)
        given = [
            -number - (0.0 if token == likeliest else self._less_likely(token, number))
            for (likeliest, number), token in zip(following, [*tokens[1:], PROMPT[0]], strict=True)
        ]
        names = np.zeros((len(tokens), 2), np.float32)
        return Following(best, -numbers, np.array(given, np.float32), numbers / 1000, names), read

    def _less_likely(self, token: int, place: int) -> float:
        rival, less = self.rivals.get(place, (None, np.inf))
        return less if token == rival else np.inf

    def shortened(self, memory: list[int], length: int) -> list[int]:
        assert length < len(memory)
        return memory[:length]

    def _after(self, read: Sequence[int]) -> tuple[int, int]:
        """What follows, and a number that is another at every place."""
        written = list(read[len(PROMPT) :])
        for place, (rival, _) in self.rivals.items():
            if written[place : place + 1] == [rival]:
                written[place] = self.text[place]
        if written != list(self.text[: len(written)]):
            return 50 + len(written) % 7, 500 + len(written)
        return ([*self.text, END][len(written)], len(written))


def write(
    text: Sequence[int],
    draft: Sequence[int],
    most: int = MOST,
    *,
    fastest: int = MOST // 2 - 1,
    rivals: Mapping[int, tuple[int, float]] | None = None,
) -> tuple[Decoded, list[int]]:
    reciter = Reciter(text, rivals or {})
    decoded, named = Decoder(reciter, END).write(None, PROMPT, draft, most, fastest, Stop())
    assert named.shape == (2,)
    return decoded, reciter.runs


@given(texts, texts, st.integers(1, MOST))
@example([0] * 40, [0] * 39, MOST)
@example([1, 2, 3], [1, 2, 3, 4, 5], 2)
def test_a_draft_changes_nothing_of_what_is_written(text: list[int], draft: list[int], most: int) -> None:
    with_draft, runs = write(text, draft, most)
    alone, single = write(text, [], most)
    assert with_draft == alone
    assert len(runs) <= len(single)
    assert with_draft.tokens == text[: len(with_draft.tokens)]
    assert len(with_draft.ends) == len(with_draft.tokens) + 1


def test_a_draft_that_is_right_costs_one_run() -> None:
    text = list(range(30))
    assert write(text, text)[1] == [len(PROMPT) + 30]


def test_behind_a_wrong_word_a_draft_is_right_again() -> None:
    text = list(range(40))
    another_word = [*text[:10], 60, *text[11:]]
    a_longer_word = [*text[:10], 60, 61, 62, *text[11:]]
    a_word_too_many = [*text[:10], 60, 61, *text[10:]]
    a_word_too_few = [*text[:10], *text[12:]]
    for draft in (another_word, a_longer_word, a_word_too_many, a_word_too_few):
        decoded, runs = write(text, draft)
        assert decoded.tokens == text
        assert len(runs) <= 7


def test_of_two_tokens_that_are_about_as_likely_that_of_the_draft_is_kept() -> None:
    text = list(range(30))
    draft = [*text[:10], 60, *text[11:]]
    decoded, runs = write(text, draft, rivals={10: (60, 0.15)})
    assert decoded.tokens == draft
    assert len(runs) == 1
    assert decoded.log_probability == pytest.approx(-(sum(range(31)) + 0.15) / 31)
    assert len(decoded.ends) == len(draft) + 1


def test_a_token_that_is_clearly_less_likely_is_not_kept() -> None:
    text = list(range(30))
    draft = [*text[:10], 60, *text[11:]]
    assert write(text, draft, rivals={10: (60, 0.3)})[0] == write(text, [])[0]
    assert write(text, [], rivals={10: (60, 0.15)})[0].tokens == text


def test_of_a_draft_that_begins_wrongly_little_is_read_for_nothing() -> None:
    text = list(range(20))
    _, runs = write(text, [60 + place for place in range(50)])
    assert sum(runs) <= len(PROMPT) + 32 + len(text)


@given(st.lists(st.integers(0, 90), min_size=2, max_size=25, unique=True), st.integers(1, 29))
def test_a_text_is_written_once_where_the_model_writes_it_over_and_over(once: list[int], drafted: int) -> None:
    over_and_over = (once * MOST)[:MOST]
    decoded, runs = write(over_and_over, [])
    assert decoded.tokens == once
    assert len(decoded.ends) == len(once) + 1
    assert len(runs) <= 1 + max(MOST // 2, len(once) + 12)
    assert write(over_and_over, over_and_over[:drafted])[0] == decoded


def test_what_is_said_twice_in_as_long_as_that_takes_is_written_twice() -> None:
    twice = [*range(20)] * 2
    assert write(twice, [], fastest=len(twice))[0].tokens == twice
    assert write(twice, [], fastest=len(twice) - 1)[0].tokens == twice[:20]


@given(texts, st.integers(1, MOST))
def test_nothing_but_what_is_written_again_is_left_out(text: list[int], most: int) -> None:
    written = write(text, [], most)[0].tokens
    left_out = text[len(written) : most]
    assert left_out[:12] in ([], text[:12])
    assert not left_out or (written and len(text) >= most / 2)


def test_what_may_not_begin_a_text_is_the_likeliest_within_it() -> None:
    graph = GraphBuilder()
    told_of = Tokens(named=(1, 4), ends=(2, 4), never=(0,), never_first=(3,))
    add_outputs(graph, "logits", told_of, 5)
    names = ["best", "log_probability", "given", "ends", "named"]
    rows = {
        "logits": (TensorProto.FLOAT, [1, "n", 5]),
        **dict.fromkeys(("tokens", "opens"), (TensorProto.INT64, [1, "n"])),
    }
    logits = np.array([[[9.0, 0.0, 1.0, 5.0, 2.0]] * 2], np.float32)
    opens = np.array([[0, 1]])
    session = OnnxSession(graph.model(rows, names), threads=1)
    tokens = np.array([[0, 4]])
    told = session.run({"logits": logits, "tokens": tokens, "opens": opens}, Stop(), names)
    best, log_probability, given, ends, named = told
    logs = logits[0, 0] - np.log(np.exp(logits[0, 0]).sum())
    assert best.tolist() == [[3, 4]]
    np.testing.assert_allclose(log_probability[0, :, 0], logs[[3, 4]], rtol=1e-5)
    np.testing.assert_allclose(given[0, :, 0], logs[[4, 0]], rtol=1e-5)
    np.testing.assert_allclose(ends[0, :, 0], [np.exp(logs[[2, 4]]).sum()] * 2, rtol=1e-5)
    np.testing.assert_allclose(named[0], [logs[[1, 4]]] * 2, rtol=1e-5)
