"""A chat model of the hub through transformers in this process, several conversations at once on one copy of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.lm.base import NO_TOOLS, CutOff, LanguageModelError, Message, Piece, Toolbox, Usage
from pipeline.lm.batching import Batch
from pipeline.lm.chat_completions import chat_tools
from pipeline.lm.tool_calls import LLAMA, WrittenCalls, form_of
from pipeline.lm.transformers.decoding import TorchDecoding
from pipeline.stopping import Stop


class Transformers:
    """Greedy, by the model's own chat template. Satisfies `pipeline.lm.base.LanguageModel`.

    Attributes:
        decoding: what computes; for who measures it while nobody asks for a reply.
    """

    tells_ends = False

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        dtype: str,
        conversations: int,
        context_tokens: int,
        cuda_graphs: bool,
    ) -> None:
        """Args:
            folder: a causal language model with a chat template, in transformers' form.

        Raises:
            OSError: files are missing.
            ValueError: a model that cannot be served so; the message says why.
        """
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        template = self._tokenizer.chat_template
        if not isinstance(template, str):
            raise ValueError(  # noqa: TRY004 - of the files, not of an argument
                f"{folder} has no chat template: it is no chat model, or one of several templates"
            )
        self._form = form_of(template)
        network = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            device_map=device,
            attn_implementation="sdpa",
            local_files_only=True,
        ).eval()
        self._ends = _ends(network, self._tokenizer)
        self._special = frozenset(self._tokenizer.all_special_ids) - {
            self._tokenizer.convert_tokens_to_ids(LLAMA.opens)
        }
        self.decoding = TorchDecoding(
            network, conversations=conversations, context_tokens=context_tokens, cuda_graphs=cuda_graphs
        )
        self._batch = Batch(self.decoding)
        threading.Thread(target=self._batch.run, name="language-model-batch", daemon=True).start()

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        """See `LanguageModel`. What the model sees of the tools, and whether it can call any, is up to its template."""
        stop.check()
        calls = WrittenCalls(self._form, toolbox) if self._form and toolbox.tools else None
        prompt = self._prompt(messages, toolbox)
        if calls is not None and self._form is not None and toolbox.required:
            prompt += self._tokenizer.encode(self._form.forced, add_special_tokens=False)
            calls.push(self._form.forced)
        request = self._batch.submit(prompt, max_tokens, self._ends, stop)
        text, written = DecodeStream(skip_special_tokens=False), 0
        for token in request.tokens():
            written += 1
            piece = None if token in self._special else text.step(self._tokenizer.backend_tokenizer, token)
            if piece and calls is not None:
                piece = calls.push(piece)
            if piece:
                yield piece
        if calls is not None:
            try:
                left, asked = calls.finish()
                yield from filter(None, [left, *asked])
            except LanguageModelError:
                if not request.cut:  # half a call is none
                    raise
        if request.cut:
            yield CutOff()
        yield Usage(len(prompt), written)

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """See `LanguageModel`. What was read stays in a slot, where the prompt that goes on with it is looked for."""
        for _ in self._batch.submit(self._prompt(messages, toolbox), 0, self._ends, stop).tokens():
            pass

    def sentence_ends(self, text: str, *, stop: Stop) -> None:
        """What decodes keeps the likeliest token of a step, and no probabilities."""

    def count_tokens(self, text: str) -> int:
        """Exact, but for what the chat template puts around it."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _prompt(self, messages: Sequence[Message], toolbox: Toolbox) -> list[int]:
        try:
            written = self._tokenizer.apply_chat_template(
                [_for_template(message) for message in messages],
                tools=chat_tools(toolbox) if self._form and toolbox.tools else None,
                add_generation_prompt=True,
                tokenize=False,
                enable_thinking=False,  # of models that can do without; the others do not know it
            )
        except Exception as error:  # whatever the template raises
            raise LanguageModelError(f"the chat template refuses the conversation: {error}") from error
        return list(self._tokenizer.encode(written, add_special_tokens=False))


def _for_template(message: Message) -> dict[str, Any]:
    """As templates want it: arguments as a value, and a message of its own for each call, which suits all of them."""
    told: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.calls:
        told["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _value(call.arguments)}}
            for call in message.calls
        ]
    if message.call_id is not None:
        told["tool_call_id"] = message.call_id
    return told


def _value(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _ends(network: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    said = network.generation_config.eos_token_id
    several = said if isinstance(said, list) else [said]
    return frozenset(token for token in [*several, tokenizer.eos_token_id] if token is not None)
