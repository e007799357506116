"""Tool calls as models write them into their answers, in the two forms that are common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.lm.base import LanguageModelError, Toolbox, ToolCall
from pipeline.lm.chat_completions import new_call_id

_BEGINS_A_CALL = re.compile(r'\s*\{\s*"name"')


@dataclass(frozen=True, slots=True)
class CallForm:
    """Attributes:
    opens: stands before a call.
    closes: stands behind it; nothing, if a call is the rest of the answer.
    bare: an answer that begins with a brace is a call, too.
    arguments: their name in the JSON object that is a call.
    forced: what is put into the model's mouth when it must call.
    """

    opens: str
    closes: str
    bare: bool
    arguments: str
    forced: str


HERMES = CallForm("<tool_call>", "</tool_call>", bare=False, arguments="arguments", forced="<tool_call>\n")
"""Of Hermes and Qwen."""
LLAMA = CallForm("<|python_tag|>", "", bare=True, arguments="parameters", forced='{"name": "')
"""Of Llama 3.1 and later."""


def form_of(chat_template: str) -> CallForm | None:
    """In which form the model of a chat template calls; None of one that knows nothing of tools."""
    if HERMES.opens in chat_template:
        return HERMES
    if "tools" in chat_template and LLAMA.arguments in chat_template:
        return LLAMA
    return None


class WrittenCalls:
    """Takes an answer as it is written and parts the text from the calls."""

    def __init__(self, form: CallForm, toolbox: Toolbox) -> None:
        self._form = form
        self._names = {tool.name for tool in toolbox.tools}
        self._held = ""
        self._begun = False
        """Something of the answer, be it blank or not, has been told already."""
        self._calling = False
        self._calls: list[str] = []

    def push(self, text: str) -> str:
        """What of it is text, as far as that is sure."""
        self._held += text
        told = ""
        while True:
            if self._calling:
                closed = bool(self._form.closes) and self._form.closes in self._held
                if not closed:
                    break
                call, self._held = self._held.split(self._form.closes, 1)
                self._calls.append(call)
                self._calling = False
                continue
            if self._form.bare and not self._begun:
                start = self._held.lstrip()
                if not start:
                    break
                if start.startswith("{"):
                    self._calling = True
                    continue
            before, opened, after = self._held.partition(self._form.opens)
            if opened:
                told += before
                self._held = after
                self._calling = True
                continue
            sure = len(before) - _beginning(before, self._form.opens)
            told += before[:sure]
            self._held = before[sure:]
            self._begun = self._begun or bool(told)
            break
        return told

    def finish(self) -> tuple[str, list[ToolCall]]:
        """What text is left, and the calls, when the answer is over.

        Raises:
            LanguageModelError: one is not what a call must be.
        """
        left, self._held = self._held, ""
        if not self._calling:
            return left, self._read(self._calls)
        if self._form.bare and not self._begun:
            try:
                return "", self._read([*self._calls, left])
            except LanguageModelError:
                if not left.lstrip().startswith("{") or _BEGINS_A_CALL.match(left):
                    raise
                return left, []  # it only looked like one
        return "", self._read([*self._calls, left])

    def _read(self, written: list[str]) -> list[ToolCall]:
        return [self._call(value) for text in written for value in _objects(text)]

    def _call(self, value: Any) -> ToolCall:
        name = value.get("name") if isinstance(value, dict) else None
        if name not in self._names:
            raise LanguageModelError(f"the language model calls {name!r}; there are {', '.join(sorted(self._names))}")
        arguments = value.get(self._form.arguments, {})
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return ToolCall(new_call_id(), name, written)


def _beginning(text: str, mark: str) -> int:
    """How many characters at the end of `text` may be the beginning of `mark`."""
    return next((size for size in range(len(mark) - 1, 0, -1) if text.endswith(mark[:size])), 0)


def _objects(text: str) -> Iterator[Any]:
    """The JSON values in a call, one after the other, with a semicolon between them or none."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError as error:
            raise LanguageModelError(f"the language model wrote a call that is no JSON: {error}") from None
        yield value
        text = text[end:].strip().removeprefix(";").strip()
