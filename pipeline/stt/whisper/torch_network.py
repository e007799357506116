"""Whisper through transformers, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration

from pipeline.audio import FloatArray
from pipeline.stopping import Stop
from pipeline.stt.whisper.network import Following
from pipeline.torch_stopping import Stoppable


class TorchNetwork:
    """Satisfies `pipeline.stt.whisper.network.Network`."""

    def __init__(self, folder: Path, named: Sequence[int], ends: Sequence[int], *, device: str, dtype: str) -> None:
        """`folder` holds a model in transformers' form.

        Raises:
            OSError: files are missing.
        """
        kind = getattr(torch, dtype)
        model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=kind, local_files_only=True)
        model.to(device).eval()
        self._device, self._dtype = device, kind
        self._encoder, self._decoder, self._to_vocabulary = model.model.encoder, model.model.decoder, model.proj_out
        self._stoppable = Stoppable(model)
        self.mels: int = model.config.num_mel_bins
        self._named = torch.tensor(named, device=device)
        self._ends = torch.tensor(ends, device=device)
        said = model.generation_config
        never = [*(said.suppress_tokens or ())]
        self._text = self._allowed(model.config.vocab_size, never)
        self._begin = self._allowed(model.config.vocab_size, [*never, *(said.begin_suppress_tokens or ())])

    def _allowed(self, vocabulary: int, never: Sequence[int]) -> Any:
        """What is added to the logits: nothing, or that which forbids."""
        added = torch.zeros(vocabulary, device=self._device)
        added[
            torch.tensor([token for token in never if token >= 0], dtype=torch.long, device=self._device)
        ] = -torch.inf
        return added

    @torch.inference_mode()
    def hear(self, mel: FloatArray, stop: Stop, *, quick: bool) -> Any:
        """See `Network`; it always is as quick as it can.

        transformers' own encoder takes nothing but the full window, so its parts are called here.
        """
        encoder = self._encoder
        gelu = torch.nn.functional.gelu
        with self._stoppable.by(stop):
            x = torch.from_numpy(mel).to(self._device, self._dtype)
            x = gelu(encoder.conv2(gelu(encoder.conv1(x)))).transpose(1, 2)
            x = x + encoder.embed_positions.weight[: x.shape[1]]
            for layer in encoder.layers:
                x = layer(x, None)
            return encoder.layer_norm(x)

    @torch.inference_mode()
    def read(
        self, tokens: Sequence[int], before: int, memory: Any, heard: Any, stop: Stop, *, opening: int | None = None
    ) -> tuple[Following, Any]:
        """See `Network`."""
        if memory is None:
            memory = EncoderDecoderCache(DynamicCache(), DynamicCache())
        with self._stoppable.by(stop):
            hidden = self._decoder(
                input_ids=torch.tensor([list(tokens)], device=self._device),
                encoder_hidden_states=heard,
                cache=memory,
                use_cache=True,
            ).last_hidden_state
            logits = self._to_vocabulary(hidden)[0].float()
        norm = torch.logsumexp(logits, dim=-1, keepdim=True)
        following = torch.tensor([*tokens[1:], tokens[0]], device=self._device)
        given = logits.gather(-1, following[:, None]) - norm
        text = logits + self._text
        if opening is not None:
            text[opening] = logits[opening] + self._begin
        following = Following(
            best=text.argmax(dim=-1).cpu().numpy(),
            log_probability=(text.amax(dim=-1, keepdim=True) - norm)[:, 0].cpu().numpy(),
            given=given[:, 0].cpu().numpy(),
            ends=(logits[:, self._ends] - norm).exp().sum(dim=-1).cpu().numpy(),
            named=(logits[:, self._named] - norm).cpu().numpy(),
        )
        return following, memory

    def shortened(self, memory: Any, length: int) -> Any:
        """See `Network`."""
        memory.self_attention_cache.crop(length - memory.get_seq_length())
        return memory
