"""The networks of the profiles for a GPU, with random weights: how long they take does not depend on the values.

Written as their publishers would, so that the engines load them as they load the real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.work import LanguageModelShape, WhisperShape

_STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Attributes:
    language_models: by the profile that has it.
    vits: settings of its configuration that are not the default, which is that of the published one.
    """

    language_models: dict[str, LanguageModelShape]
    whisper: WhisperShape
    vits: dict[str, Any]


# By the publishers' configurations: meta-llama/Llama-3.1-8B-Instruct, Qwen/Qwen3-4B-Instruct-2507,
# openai/whisper-large-v3-turbo, facebook/mms-tts-kor.
PRODUCTION = Shapes(
    {
        "l4": LanguageModelShape(
            "llama", 32, 4096, 14336, 32, 8, 128, 128_256, tied=False, more={"rope_parameters": _STRETCHED}
        ),
        "l4-small": LanguageModelShape("qwen3", 36, 2560, 9728, 32, 8, 128, 151_936, tied=True, more={}),
    },
    WhisperShape(128, 1280, 5120, 20, 32, 4, 51_866),
    {},
)
TINY = Shapes(
    {
        "l4": LanguageModelShape("llama", 2, 64, 128, 4, 2, 16, 400, tied=False, more={"rope_parameters": _STRETCHED}),
        "l4-small": LanguageModelShape("qwen3", 2, 64, 128, 4, 2, 16, 400, tied=True, more={}),
    },
    WhisperShape(80, 64, 128, 2, 2, 2, 400),
    {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "ffn_dim": 32,
        "flow_size": 32,
        "spectrogram_bins": 9,
        "upsample_initial_channel": 64,
        "prior_encoder_num_flows": 2,
        "duration_predictor_num_flows": 2,
    },
)

_TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_END = "<|im_end|>"
_LONGEST = 131_072
"""Tokens of context that the network says it has been made for."""


def write_language_model(shape: LanguageModelShape, folder: Path, *, device: str, dtype: str) -> None:
    """With a tokenizer that has a token for each byte of a prompt, and a word for all others that may be written."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = _tokenizer(shape.words)
    config = AutoConfig.for_model(
        shape.family,
        vocab_size=shape.words,
        hidden_size=shape.width,
        intermediate_size=shape.inner_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kept_heads,
        head_dim=shape.head_width,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=_LONGEST,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **shape.more,
    )
    torch.manual_seed(0)
    with torch.device(device):
        network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    with torch.no_grad():  # an answer must not end before it is as long as is asked for
        network.lm_head.weight[tokenizer.all_special_ids] = 0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(words: int) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    fillers = [f"Ġw{number}" for number in range(words - len(letters) - 2)]
    vocabulary = {word: number for number, word in enumerate([*letters, *fillers, "<|im_start|>", _END])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.Replace("Ġ", " ")  # each token by itself is text, also one that is half a letter
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in ("<|im_start|>", _END)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END, pad_token=_END, chat_template=_TEMPLATE)


def write_whisper(shape: WhisperShape, folder: Path, *, device: str) -> None:
    """In 16-bit floats; without a tokenizer, for nothing of what it writes is read."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=shape.words,
        num_mel_bins=shape.mels,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.inner_width,
        decoder_ffn_dim=shape.inner_width,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    with torch.device(device):
        network = WhisperForConditionalGeneration(config)
    network.half().save_pretrained(folder)


def write_vits(more: dict[str, Any], folder: Path) -> None:
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    letters = [" ", *"abcdefghijklmnopqrstuvwxyz'-"]
    torch.manual_seed(0)
    network = VitsModel(VitsConfig(vocab_size=len(letters), **more))
    with torch.no_grad():  # at random it would say each letter for a second; so for two steps of 16 ms
        for weight in network.duration_predictor.parameters():
            weight.zero_()
    network.save_pretrained(folder)
    file = folder / "vocab.json"
    file.write_text(json.dumps({letter: number for number, letter in enumerate(letters)}), encoding="utf-8")
    VitsTokenizer(str(file), language="kor", phonemize=False, is_uroman=True, pad_token=letters[0]).save_pretrained(
        folder
    )
