"""True architectures of a few thousand random weights, written as their publishers would, for the real loading code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    VitsConfig,
    VitsModel,
    VitsTokenizer,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

TEXT = (
    "The rain in Spain stays mainly in the plain. What is the weather like today, and will it be the same tomorrow? "
    "Please call my sister in the morning; tell her that I shall be late. 你好。안녕하세요. ありがとう。"
    "Merci beaucoup, à demain."
)

QWEN_TEMPLATE = (
    '{%- if tools %}<|im_start|>system\nTools, to be called as <tool_call>{"name": ..., "arguments": ...}</tool_call>:'
    "{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}<|im_end|>\n{%- endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{%- for call in message.tool_calls or [] %}\n<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}"
    '{%- if message.role == \'user\' and loop.last and tools %}Answer as {"name": ..., "parameters": ...}: '
    "{{ tools | tojson }}"
    "{% endif %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>"
    "{%- endfor %}{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def chat_tokenizer(special: list[str], *, bos: str | None, eos: str, template: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE, trained here on a few sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, chat_template=template, pad_token=eos
    )


def write_qwen(folder: Path) -> None:
    tokenizer = chat_tokenizer(["<|im_start|>", "<|im_end|>"], bos=None, eos="<|im_end|>", template=QWEN_TEMPLATE)
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
    )
    _write(Qwen3ForCausalLM(config), tokenizer, folder)


def write_llama(folder: Path) -> None:
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"]
    tokenizer = chat_tokenizer(special, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_TEMPLATE)
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
    )
    _write(LlamaForCausalLM(config), tokenizer, folder)


def _write(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_whisper(folder: Path, tokenizer_file: Path) -> None:
    """With the tokenizer of a real one, whose vocabulary the tokens of languages and marks are part of."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=128,  # as large-v3
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        suppress_tokens=[1, 2, 7],
        begin_suppress_tokens=[220, 50257],
    )
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_vits(folder: Path) -> None:
    letters = [" ", *"abcdefghijklmnopqrstuvwxyz'-"]
    torch.manual_seed(4)
    config = VitsConfig(
        vocab_size=len(letters),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=32,
        spectrogram_bins=9,
        upsample_initial_channel=64,
        depth_separable_num_layers=2,
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=2,
        posterior_encoder_num_wavenet_layers=2,
        duration_predictor_num_flows=2,
        duration_predictor_flow_bins=6,
    )
    model = VitsModel(config)
    with torch.no_grad():  # at random it would say each letter for a second
        for weight in model.duration_predictor.parameters():
            weight.zero_()
    model.save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: number for number, letter in enumerate(letters)}), encoding="utf-8")
    VitsTokenizer(
        str(vocabulary), language="kor", phonemize=False, is_uroman=True, pad_token=letters[0]
    ).save_pretrained(folder)
