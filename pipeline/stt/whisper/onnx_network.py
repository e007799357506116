"""Whisper on onnxruntime, from the weights of a CTranslate2 model, in graphs of its own (`graphs.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.audio import FloatArray
from pipeline.onnx_session import Arrays, OnnxSession
from pipeline.stopping import Stop
from pipeline.stt.whisper.graphs import Shape, decoder_graph, encoder_graph
from pipeline.stt.whisper.network import Following, Tokens
from pipeline.stt.whisper.weights import read_weights

_HIDDEN = np.float32(-1e9)


class OnnxNetwork:
    """Satisfies `pipeline.stt.whisper.network.Network`."""

    def __init__(self, folder: Path, named: Sequence[int], ends: Sequence[int], *, threads: int) -> None:
        """`folder` holds `model.bin` and `config.json`, as CTranslate2's converter leaves them.

        `threads` is how many encode what has to be quick; all else takes one, for more make the decoder no faster.

        Raises:
            ModelFileError: `model.bin` is not a model of CTranslate2.
        """
        weights = read_weights(folder / "model.bin")
        shape = Shape.of(weights)
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokens = Tokens(tuple(named), tuple(ends), tuple(said["suppress_ids"]), tuple(said["suppress_ids_begin"]))
        self.mels = shape.mels
        self._own = shape.own_names()
        self._nothing: Arrays = {
            f"before:{name}": np.zeros(
                (1, shape.heads, shape.head_width, 0) if "keys" in name else (1, shape.heads, 0, shape.head_width),
                np.float32,
            )
            for name in self._own
        }
        encoder = encoder_graph(weights)
        self._encoder = OnnxSession(encoder, threads=1)
        self._quick_encoder = OnnxSession(encoder, threads=threads) if threads > 1 else self._encoder
        self._decoder = OnnxSession(decoder_graph(weights, tokens), threads=1)

    def hear(self, mel: FloatArray, stop: Stop, *, quick: bool) -> Arrays:
        """See `Network`."""
        encoder = self._quick_encoder if quick else self._encoder
        return dict(zip(encoder.outputs, encoder.run({"mel": mel}, stop), strict=True))

    def read(
        self,
        tokens: Sequence[int],
        before: int,
        memory: Arrays | None,
        heard: Arrays,
        stop: Stop,
        *,
        opening: int | None = None,
    ) -> tuple[Following, Arrays]:
        """See `Network`."""
        count = len(tokens)
        mask = np.zeros((1, 1, count, before + count), np.float32)
        mask[0, 0, :, before:] = np.triu(np.full((count, count), _HIDDEN), 1)
        opens = np.arange(count) == opening
        inputs: Arrays = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(before, before + count, dtype=np.int64)[None],
            "mask": mask,
            "opens": opens.astype(np.int64)[None],
            **(self._nothing if memory is None else memory),
            **heard,
        }
        told: Arrays = dict(zip(self._decoder.outputs, self._decoder.run(inputs, stop), strict=True))
        following = Following(
            best=told["best"][0],
            log_probability=told["log_probability"][0, :, 0],
            given=told["given"][0, :, 0],
            ends=told["ends"][0, :, 0],
            named=told["named"][0],
        )
        return following, {f"before:{name}": told[name] for name in self._own}

    def shortened(self, memory: Arrays, length: int) -> Arrays:
        """See `Network`."""
        return {
            name: np.ascontiguousarray(kept[..., :length] if "keys" in name else kept[..., :length, :])
            for name, kept in memory.items()
        }
