"""A chat model through transformers: what it writes is what its network, asked in the usual way, writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.lm.base import CutOff, LanguageModelError, Message, Tool, Toolbox, ToolCall, Usage
from pipeline.stopping import Stop
from tests.pipeline.conformance.engines import GPU_EXTRA

pytestmark = [*GPU_EXTRA]

QUESTION = [Message("system", "Be brief."), Message("user", "What is the weather like today?")]
TOOLBOX = Toolbox((Tool("look", "Looks.", {"type": "object"}),), required=True)


@pytest.fixture(scope="module", params=["qwen", "llama"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.pipeline.conformance import tiny

    target = tmp_path_factory.mktemp(request.param)
    getattr(tiny, f"write_{request.param}")(target)
    return target


@pytest.fixture
def engine(folder: Path) -> Any:
    from pipeline.lm.transformers import Transformers

    return Transformers(folder, device="cpu", dtype="float32", conversations=2, context_tokens=700, cuda_graphs=True)


def test_it_writes_what_the_network_writes(folder: Path, engine: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    # Long enough for every view of the cache.
    prompt = engine._prompt([*QUESTION, Message("user", "Tell me more of the rain. " * 20)], Toolbox())
    network = AutoModelForCausalLM.from_pretrained(folder)
    written = network.generate(torch.tensor([prompt]), max_new_tokens=300, do_sample=False)[0, len(prompt) :].tolist()
    told = list(engine._batch.submit(prompt, 300, engine._ends, Stop()).tokens())
    assert told == [token for token in written if token not in engine._ends]
    assert len(prompt) + len(told) > 256


def test_a_second_turn_is_read_from_where_the_first_ended(engine: Any) -> None:
    read: list[tuple[int, int]] = []
    decoding = engine._batch._decoding
    plain = decoding.read
    decoding.read = lambda slot, tokens, before: read.append((before, len(tokens))) or plain(slot, tokens, before)
    first = "".join(piece for piece in engine.reply(QUESTION, max_tokens=20, stop=Stop()) if isinstance(piece, str))
    second = [*QUESTION, Message("assistant", first), Message("user", "And then?")]
    engine.prepare(QUESTION, stop=Stop())
    list(engine.reply(second, max_tokens=4, stop=Stop()))
    (before, _), *_ = read[2:]
    assert read[1][1] == 1
    assert before > 0.6 * len(engine._prompt(QUESTION, Toolbox()))


def test_it_counts_what_it_took(engine: Any) -> None:
    *_, cut, usage = engine.reply(QUESTION, max_tokens=7, stop=Stop())
    assert cut == CutOff()
    assert usage == Usage(len(engine._prompt(QUESTION, Toolbox())), 7)


def give(engine: Any, monkeypatch: pytest.MonkeyPatch, written: str, *, cut: bool) -> list[list[int]]:
    """Have it write that, for at random it would never call; what it is asked is in the list."""
    tokens = engine._tokenizer.encode(written, add_special_tokens=False)
    asked: list[list[int]] = []
    request = SimpleNamespace(cut=cut, tokens=lambda: iter(tokens))
    monkeypatch.setattr(engine._batch, "submit", lambda prompt, *rest: asked.append(prompt) or request)
    return asked


def rest_of_call(engine: Any) -> str:
    """What comes after that which it is made to begin with, in the form of its template."""
    if engine._form.bare:
        return 'look", "parameters": {"x": 1}}'
    return '{"name": "look", "arguments": {"x": 1}}</tool_call>'


def test_a_call_that_must_be_is_begun_for_it(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = give(engine, monkeypatch, rest_of_call(engine), cut=False)
    call, usage = engine.reply(QUESTION, max_tokens=60, toolbox=TOOLBOX, stop=Stop())
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("look", '{"x": 1}')
    assert usage.prompt_tokens == len(asked[0])
    prompt = engine._tokenizer.decode(asked[0])
    assert prompt.endswith(engine._form.forced)
    assert "Looks." in prompt


def test_half_a_call_is_none(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    give(engine, monkeypatch, rest_of_call(engine)[:20], cut=True)
    cut, usage = engine.reply(QUESTION, max_tokens=5, toolbox=TOOLBOX, stop=Stop())
    assert cut == CutOff()
    assert isinstance(usage, Usage)


def test_a_template_that_refuses_is_an_error_in_words(engine: Any) -> None:
    engine._tokenizer.chat_template = "{{ raise_exception('no system messages') }}"
    with pytest.raises(LanguageModelError, match="the chat template refuses the conversation: no system messages"):
        list(engine.reply(QUESTION, max_tokens=5, stop=Stop()))


def test_a_model_without_a_template_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    from pipeline.lm.transformers import Transformers

    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="no chat template"):
        Transformers(
            tmp_path / "bare", device="cpu", dtype="float32", conversations=1, context_tokens=64, cuda_graphs=False
        )


def test_a_network_that_sees_only_a_part_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    from pipeline.lm.transformers.decoding import TorchDecoding

    config = MistralConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=8,
    )
    with pytest.raises(ValueError, match=r"only full attention is served"):
        TorchDecoding(MistralForCausalLM(config), conversations=1, context_tokens=64, cuda_graphs=False)
