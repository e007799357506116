"""What a GGUF file has of a Llama: weights, sizes, tokenizer, chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from pipeline.audio import FloatArray
from pipeline.lm.llama_int8.gguf import Gguf

T = TypeVar("T")

_CONTROL = 3
"""The type of tokens that are no text."""


class ModelFileError(ValueError):
    """A model that cannot be read so; names what it has, and the remedy."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network. Keys and values have `key_heads`, each of which `heads // key_heads` look at."""

    layers: int
    width: int
    inner_width: int
    heads: int
    key_heads: int
    head_width: int
    epsilon: float
    rotation_base: float


class ModelFile:
    """Attributes:
    shape: of the network.
    template: Jinja, from messages to a prompt.
    tokenizer: that of SmolLM2.
    ends: the tokens that end an answer: all that are no text.
    """

    def __init__(self, path: Path) -> None:
        """Raises:
        GgufError: the file is broken.
        ModelFileError: no Llama, or not with the tokenizer of SmolLM2.
        """
        self._path = path
        self._file = Gguf(path)
        self._require("general.architecture", "llama")
        self._require("tokenizer.ggml.pre", "smollm")
        width, heads = self._number("embedding_length"), self._number("attention.head_count")
        self.shape = shape = Shape(
            layers=self._number("block_count"),
            width=width,
            inner_width=self._number("feed_forward_length"),
            heads=heads,
            key_heads=self._number("attention.head_count_kv"),
            head_width=width // heads,
            epsilon=self._told("llama.attention.layer_norm_rms_epsilon", float),
            rotation_base=self._told("llama.rope.freq_base", float),
        )
        if width % heads or heads % shape.key_heads:
            raise self._refused(f"{heads} heads for a width of {width} and {shape.key_heads} heads of keys")
        for name in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
            if f"llama.{name}" in self._file.values and self._number(name) != shape.head_width:
                raise self._refused(f"{name} {self._number(name)}, not {shape.head_width}")
        if "rope_freqs.weight" in self._file.tensors or "llama.rope.scaling.type" in self._file.values:
            raise self._refused("rotations that are scaled")
        if biases := [name for name in self._file.tensors if name.endswith(".bias")]:
            raise self._refused(f"biases ({biases[0]})")
        self.template = self._told("tokenizer.chat_template", str)
        words, kinds = (self._told(f"tokenizer.ggml.{name}", list) for name in ("tokens", "token_type"))
        self.ends = frozenset(number for number, kind in enumerate(kinds) if kind == _CONTROL)
        try:
            self.tokenizer = _tokenizer(words, self._told("tokenizer.ggml.merges", list), self.ends)
        except Exception as error:  # whatever the library makes of what is there
            raise self._refused(f"no tokenizer that can be used ({error})") from error

    def weight(self, name: str) -> FloatArray:
        """Of a layer shape (out, in), of a norm (width,), of the table of words (words, width)."""
        return self._file.tensor(f"{name}.weight")

    def output(self) -> FloatArray:
        """Shape (words, width): what makes words of the last state, which may be the table that words go in by."""
        return self.weight("output" if "output.weight" in self._file.tensors else "token_embd")

    def _number(self, name: str) -> int:
        number = self._told(f"llama.{name}", int)
        if number < 1:
            raise self._refused(f"llama.{name} = {number}")
        return number

    def _told(self, name: str, kind: type[T]) -> T:
        told = self._file.values.get(name)
        if not isinstance(told, kind):
            raise self._refused(f"no {name}" if told is None else f"{name} = {told!r}")
        return told

    def _require(self, name: str, wanted: str) -> None:
        if (told := self._told(name, str)) != wanted:
            raise self._refused(f"{name} = {told!r}, not {wanted!r}")

    def _refused(self, why: str) -> ModelFileError:
        return ModelFileError(f'{self._path} has {why}: serve it by an engine of kind = "llama"')


def _tokenizer(words: list[str], merges: list[str], control: frozenset[int]) -> Tokenizer:
    """Each digit by itself, the rest by bytes, as GPT-2 does."""
    vocabulary = {word: number for number, word in enumerate(words)}
    pairs = [(left, right) for left, _, right in (pair.partition(" ") for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    digits, rest = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, rest])
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(words[number], special=True, normalized=False) for number in sorted(control)]
    tokenizer.add_special_tokens(special)
    return tokenizer
