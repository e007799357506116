"""A Llama in 8 bits: the file it comes from, and that it computes what it would in floats."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import FloatArray
from pipeline.lm.base import LanguageModelError, Message
from pipeline.lm.llama import Llama
from pipeline.lm.llama_int8 import LlamaInt8
from pipeline.lm.llama_int8.decoding import OnnxDecoding
from pipeline.lm.llama_int8.gguf import Gguf, GgufError
from pipeline.lm.llama_int8.model_file import ModelFile, ModelFileError
from pipeline.stopping import Stop, Stopped
from pipeline.weights import WeightStore
from tests.pipeline import tiny_gguf

PROMPT = list(range(3, 40))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def decoding(path: Path) -> OnnxDecoding:
    return OnnxDecoding(ModelFile(path), conversations=3, context_tokens=60, threads=1)


def off_by(found: FloatArray, wanted: FloatArray) -> float:
    """Root mean square of the difference, as a part of what there is."""
    return float(np.sqrt(((found - wanted) ** 2).mean() / wanted.var()))


def log_odds(probability: float | None) -> float:
    assert probability is not None
    probability = min(max(probability, 0.001), 0.999)  # llama.cpp looks at the likeliest words only
    return math.log(probability / (1 - probability))


def test_it_computes_what_it_would_in_floats(decoding: OnnxDecoding) -> None:
    for length in (1, 2, 20, len(PROMPT)):
        assert off_by(decoding.following(PROMPT[:length], Stop()), tiny_gguf.logits(PROMPT[:length])[-1]) < 0.05


def held(decoding: OnnxDecoding, slot: int, length: int) -> FloatArray:
    """All that a slot holds of its first tokens."""
    return np.stack([kept[slot, :, :length] for kept in decoding._caches.values()])


def test_the_likeliest_is_told_of_each_that_is_verified(decoding: OnnxDecoding) -> None:
    best = tiny_gguf.logits(PROMPT).argmax(axis=1)
    decoding.read(0, PROMPT[:5], 0)
    assert np.mean(decoding.verify(0, PROMPT[5:], 5) == best[5:]) > 0.8  # some are nearly as likely as others


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_a_text_is_the_same_however_much_of_it_is_read_at_once(
    decoding: OnnxDecoding, parts: list[int], slot: int
) -> None:
    whole = decoding.verify(0, PROMPT, 0)
    kept = held(decoding, 0, len(PROMPT)).copy()
    found: list[int] = []
    for part in [*parts, len(PROMPT)]:
        if tokens := PROMPT[len(found) : len(found) + part]:
            found += decoding.verify(slot, tokens, len(found))
    assert found == whole
    assert off_by(held(decoding, slot, len(PROMPT)), kept) < 0.01


def test_those_who_write_together_write_what_each_would_alone(decoding: OnnxDecoding) -> None:
    """But for what is rounded otherwise: here all lies far enough apart."""
    texts = [PROMPT[:10], PROMPT[3:30], PROMPT[7:20]]
    alone = [int(tiny_gguf.logits(text)[-1].argmax()) for text in texts]
    for slot, text in enumerate(texts):
        decoding.read(slot, text[:-1], 0)
    assert decoding.step([(slot, text[-1], len(text) - 1) for slot, text in enumerate(texts)]) == alone


def test_who_has_no_part_in_a_step_keeps_what_is_held(decoding: OnnxDecoding) -> None:
    """Whatever became of the slot before: read, written on, copied into, exchanged."""
    one, other = PROMPT[:12], PROMPT[9:30]

    def step_without(slots: dict[int, int]) -> None:
        before = {slot: held(decoding, slot, length).copy() for slot, length in slots.items()}
        decoding.read(2, PROMPT[:3], 0)
        decoding.step([(2, 5, 3)])
        for slot, length in slots.items():
            assert np.array_equal(held(decoding, slot, length), before[slot])

    decoding.read(0, one, 0)
    decoding.read(1, other, 0)
    step_without({0: len(one), 1: len(other)})
    decoding.step([(0, 7, len(one)), (1, 8, len(other))])
    step_without({0: len(one) + 1, 1: len(other) + 1})
    decoding.copy(1, 0, len(other))
    assert np.array_equal(held(decoding, 0, len(other)), held(decoding, 1, len(other)))
    step_without({0: len(other), 1: len(other) + 1})
    decoding.read(0, one[:4], 0)
    decoding.swap(0, 1, len(other))
    step_without({0: len(other), 1: 4})


def test_what_is_copied_or_swapped_is_gone_on_with(decoding: OnnxDecoding) -> None:
    one, other = PROMPT[:12], PROMPT[9:30]
    after_one, after_other = decoding.verify(0, [*one, 5], 0)[-1], decoding.verify(1, [*other, 6], 0)[-1]
    decoding.copy(0, 2, len(one))
    assert decoding.verify(2, [5], len(one)) == [after_one]
    decoding.swap(0, 1, len(other))
    assert decoding.verify(0, [6], len(other)) == [after_other]
    assert decoding.verify(1, [5], len(one)) == [after_one]


def test_a_slot_can_be_filled_to_its_last_place(decoding: OnnxDecoding) -> None:
    full = [3 + number % 90 for number in range(decoding.context_tokens)]
    after = decoding.verify(0, full, 0)[-1]
    decoding.read(0, full[:-1], 0)
    assert decoding.verify(0, full[-1:], len(full) - 1) == [after]
    kept = held(decoding, 0, len(full)).copy()
    decoding.read(1, PROMPT, 0)
    decoding.step([(1, 5, len(PROMPT))])  # in which the full one has no part, and stands before
    assert np.array_equal(held(decoding, 0, len(full)), kept)


def test_who_does_not_wait_any_more_is_not_told(decoding: OnnxDecoding) -> None:
    stop = Stop()
    stop.tell()
    with pytest.raises(Stopped):
        decoding.following(PROMPT, stop)


def test_text_becomes_tokens_as_smollm2_was_taught(path: Path) -> None:
    tokenizer = ModelFile(path).tokenizer
    words = [tiny_gguf.WORDS[token] for token in tokenizer.encode("the thin<|im_end|>\n42").ids]
    assert words == ["the", "Ġ", "th", "in", "<|im_end|>", "Ċ", "4", "2"]


def test_a_template_that_refuses_is_an_error_that_says_why(tmp_path: Path) -> None:
    values = tiny_gguf.VALUES | {"tokenizer.chat_template": "{{ messages[0].role.missing.more }}"}
    engine = LlamaInt8(tiny_gguf.write(tmp_path / "m", values), conversations=1, context_tokens=60, threads=1)
    with pytest.raises(LanguageModelError, match=r"template refuses the conversation: .*missing"):
        list(engine.reply([Message("user", "hi")], max_tokens=3, stop=Stop()))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"general.architecture": "qwen2"}, "general.architecture = 'qwen2', not 'llama'"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "tokenizer.ggml.pre = 'llama-bpe', not 'smollm'"),
        ({"tokenizer.chat_template": None}, "no tokenizer.chat_template"),
        ({"llama.attention.head_count": 0}, "llama.attention.head_count = 0"),
        ({"llama.attention.head_count": [6]}, r"llama.attention.head_count = \[6\]"),
        ({"llama.attention.head_count": 7}, "7 heads for a width of 96 and 2 heads of keys"),
        ({"llama.attention.key_length": 32}, "attention.key_length 32, not 16"),
        ({"llama.rope.scaling.type": "linear"}, "rotations that are scaled"),
        ({"tokenizer.ggml.merges": ["th"]}, r"no tokenizer that can be used \(.*\)"),
    ],
)
def test_another_model_is_refused_with_what_serves_it(tmp_path: Path, changed: dict[str, object], why: str) -> None:
    values = {name: value for name, value in (tiny_gguf.VALUES | changed).items() if value is not None}
    with pytest.raises(ModelFileError, match=rf"{why}: serve it by an engine of kind = \"llama\""):
        ModelFile(tiny_gguf.write(tmp_path / "m", values))


@pytest.mark.parametrize(("name", "why"), [("rope_freqs.weight", "scaled"), ("blk.1.attn_q.bias", "biases")])
def test_weights_that_would_be_left_out_are_refused(tmp_path: Path, name: str, why: str) -> None:
    tensors = tiny_gguf.weights() | {name: np.ones(8, np.float32)}
    with pytest.raises(ModelFileError, match=why):
        ModelFile(tiny_gguf.write(tmp_path / "m", tensors=tensors))


def test_whatever_is_no_text_ends_an_answer(path: Path) -> None:
    assert ModelFile(path).ends == {tiny_gguf.WORDS.index(word) for word in tiny_gguf.CONTROL}


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=200)
def test_a_broken_file_is_an_error_that_names_it(path: Path, at: int, bytes_: bytes) -> None:
    whole = path.read_bytes()
    broken = path.with_name("broken.gguf")
    for content in (whole[:at], whole[:at] + bytes_ + whole[at + len(bytes_) :]):
        broken.write_bytes(content)
        said = ""
        try:
            file = ModelFile(broken)
            for name in tiny_gguf.weights():
                file.weight(name.removesuffix(".weight"))
        except (GgufError, ModelFileError) as error:
            said = str(error)
        assert not said or (str(broken) in said and ("download it again" in said or "serve it by" in said))


def test_blocks_are_read_as_llama_cpp_writes_them(tmp_path: Path) -> None:
    """By the formulas of ggml-quants.c: 32 weights a block, of which the first 16 are in the lower halves of bytes."""
    step, least = np.float16(0.5), np.float16(-3.0)
    packed = bytes(low | (15 - low) << 4 for low in range(16))
    kinds = {
        2: (step.tobytes() + packed, [(count - 8) * 0.5 for count in (*range(16), *range(15, -1, -1))]),
        3: (step.tobytes() + least.tobytes() + packed, [n * 0.5 - 3 for n in (*range(16), *range(15, -1, -1))]),
        8: (step.tobytes() + bytes(np.arange(-16, 16, dtype=np.int8)), [n * 0.5 for n in range(-16, 16)]),
        1: (np.arange(32, dtype=np.float16).tobytes(), list(range(32))),
    }
    for kind, (content, wanted) in kinds.items():
        head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1sI2QIQ", 1, b"w", 2, 16, 2, kind, 0)
        (tmp_path / "m").write_bytes(head + bytes(-len(head) % 32) + content)
        assert Gguf(tmp_path / "m").tensor("w").tolist() == np.reshape(wanted, (2, 16)).tolist()


@pytest.mark.parametrize(
    ("shape", "why"),
    [([1] * 100, "a tensor has 100 dimensions"), ([0, 2**63], "w does not fit"), ([2**40, 2], "w does not fit")],
)
def test_a_shape_that_cannot_be_is_an_error(tmp_path: Path, shape: list[int], why: str) -> None:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1s", 1, b"w") + sizes + struct.pack("<IQ", 0, 0)
    (tmp_path / "m").write_bytes(head + bytes(400))
    with pytest.raises(GgufError, match=why):
        Gguf(tmp_path / "m").tensor("w")


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1sI2QIQ", 1, b"w", 2, 16, 2, 14, 0)
    (tmp_path / "m").write_bytes(head + bytes(400))
    with pytest.raises(GgufError, match=r"w is of type 14, and F32, F16, Q4_0, Q4_1 and Q8_0 are read"):
        Gguf(tmp_path / "m").tensor("w")


@pytest.mark.models
def test_smollm2_reads_token_by_token_what_it_reads_at_once(weights: WeightStore) -> None:
    """To the last bit: what is rounded otherwise would be another word in one place of twenty."""
    file = ModelFile(weights.path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf")
    decoding = OnnxDecoding(file, conversations=2, context_tokens=120, threads=1)
    text = file.tokenizer.encode("The rain in Spain stays mainly in the plain, and what is it like in May? " * 4).ids
    whole = decoding.verify(0, text, 0)
    found: list[int] = []
    for part in (9, 1, 1, 1, 5, 1, 2, 3, 1, 1, len(text)):
        tokens = text[len(found) : len(found) + part]
        found += decoding.verify(1, tokens, len(found))
    assert found == whole
    assert np.array_equal(held(decoding, 1, len(text)), held(decoding, 0, len(text)))


@pytest.mark.models
def test_smollm2_is_the_same_model_as_through_llama_cpp(weights: WeightStore) -> None:
    file = weights.path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    ours = LlamaInt8(file, conversations=1, context_tokens=512, threads=2)
    theirs = Llama(file, conversations=1, context_tokens=512)
    said = ["What is the weather like", "I would like to go home", "My number is 4 2 7", "Then I went to", "Thank you"]
    for text in said:
        mine, other = (log_odds(engine.sentence_ends(text, stop=Stop())) for engine in (ours, theirs))
        assert mine == pytest.approx(other, abs=1.0)  # between a whole sentence and a broken one there are 3 or more
    question = [Message("system", "Answer in one short sentence."), Message("user", "What is the capital of France?")]
    for engine in (ours, theirs):
        assert "Paris" in "".join(map(str, engine.reply(question, max_tokens=24, stop=Stop())))
