"""The short-time Fourier transform of Kokoro's source signal, as a convolution.

onnxruntime's `STFT` takes ten milliseconds a second of sound, a convolution with the basis of the transform takes one.

The model goes on with magnitude and phase. The first and the last bin have no imaginary part, so where they are
negative their phase is +π or -π by the sign of a rounding error. It learnt from a transform that gives +0, hence +π.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.audio import FloatArray
from pipeline.tts.kokoro.graph import GraphEditor


def transform_by_convolution(editor: GraphEditor) -> None:
    """Replace every `STFT` node, whose output is (1, frames, bins, 2): the last axis is real and imaginary part."""
    for node in editor.nodes("STFT"):
        signal, step, window, _ = node.input
        basis = _basis(editor.value(window))
        flat = editor.op("Reshape", signal, editor.constant([1, 1, -1], np.int64))
        convolved = editor.op(
            "Conv",
            *(flat.output[0], editor.constant(basis), editor.constant(_just_positive(basis))),
            strides=[int(editor.value(step))],
            kernel_shape=[basis.shape[2]],
        )
        frames = editor.op("Transpose", convolved.output[0], perm=[0, 2, 1])
        shape = editor.constant([1, -1, len(basis) // 2, 2], np.int64)
        editor.replace(
            node, [flat, convolved, frames, editor.op("Reshape", frames.output[0], shape, result=node.output[0])]
        )


def _basis(window: npt.NDArray[np.float32]) -> FloatArray:
    """Windowed cosines and negative sines in turn, a pair a bin of a one-sided transform: shape (2 bins, 1, width)."""
    width = len(window)
    angles = 2 * np.pi * np.outer(np.arange(width // 2 + 1), np.arange(width)) / width
    imaginary = -np.sin(angles)
    imaginary[[0, -1]] = 0.0
    pairs = np.stack([np.cos(angles), imaginary], axis=1) * window
    return pairs.reshape(-1, 1, width).astype(np.float32)


def _just_positive(basis: FloatArray) -> FloatArray:
    """Added to the bins: next to nothing where there is no imaginary part."""
    return np.where(basis.any(axis=(1, 2)), 0.0, 1e-30).astype(np.float32)
