"""Kokoro in floats: by torch as by onnxruntime, and as the 8-bit model speaks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from pipeline.audio import FloatArray
from pipeline.onnx_session import OnnxSession
from pipeline.stopping import Stop
from pipeline.tts.kokoro import MODEL_FILE, Kokoro, model_inputs, read_voice
from pipeline.tts.kokoro.model import FEATURES, PHASES, PITCH, SOURCE, STATISTICS, Parts, float_model
from pipeline.tts.kokoro.normalisation import read_statistics
from pipeline.tts.kokoro.onnx_network import OnnxNetwork
from pipeline.weights import WeightStore
from tests.pipeline.conformance.engines import GPU_EXTRA

pytestmark = [pytest.mark.models]

SOUNDS = "θˈæŋk juː, sˈiː juː təmˈɒɹəʊ."
VOICE = "af_heart"


@pytest.fixture(scope="module")
def parts(weights: WeightStore) -> Parts:
    return float_model(weights.path("kokoro") / MODEL_FILE)


@pytest.fixture(scope="module")
def inputs(weights: WeightStore) -> dict[str, Any]:
    return model_inputs(SOUNDS, read_voice(weights.path("kokoro"), VOICE), 1.0)


def share_alike(source: FloatArray, other: FloatArray) -> float:
    """Of the magnitudes where there is sound; the phase of next to nothing is rounding."""
    bins = other.shape[1] // 2
    loud = other[:, :bins] > 0.01
    return float(np.isclose(source[:, :bins][loud], other[:, :bins][loud], rtol=0.02).mean())


def test_in_floats_the_plan_is_that_of_eight_bits(weights: WeightStore, parts: Parts, inputs: Any) -> None:
    network = OnnxNetwork(weights.path("kokoro") / MODEL_FILE, threads=2)
    plan, steps = network.plan(inputs, Stop())
    eight_bits = plan[FEATURES]
    (floats,) = OnnxSession(parts.plan, threads=2).run(inputs, Stop(), [FEATURES])
    assert abs(floats.shape[2] - steps) <= 0.05 * steps
    common = min(floats.shape[2], steps)
    told = np.corrcoef(floats[0, :, :common].ravel(), eight_bits[0, :, :common].ravel())[0, 1]
    assert told > 0.7


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_torch_computes_what_onnxruntime_computes(parts: Parts, inputs: Any) -> None:
    from pipeline.tts.kokoro.torch_graph import TorchGraph

    plan = TorchGraph(parts.plan, "cpu")
    told = dict(zip(plan.outputs, plan.run(inputs, Stop()), strict=True))
    planned = (FEATURES, PITCH, PHASES)
    features, *source_of = OnnxSession(parts.plan, threads=2).run(inputs, Stop(), planned)
    voiced = dict(zip((PITCH, PHASES), source_of, strict=True))
    (source,) = OnnxSession(parts.source, threads=2).run(voiced, Stop())
    (torch_source,) = TorchGraph(parts.source, "cpu").run(voiced, Stop())
    np.testing.assert_allclose(told[FEATURES].numpy(), features, atol=1e-3)
    assert share_alike(torch_source.numpy(), source) > 0.99
    seen = {FEATURES: features[:, :, :40], SOURCE: source[:, :, : 40 * 60 + 1], "style": inputs["style"]}
    seen[STATISTICS] = read_statistics(VOICE)
    (expected,) = OnnxSession(parts.generator, threads=2).run(seen, Stop())
    (samples,) = TorchGraph(parts.generator, "cpu").run(seen, Stop())
    np.testing.assert_allclose(samples.numpy(), expected, atol=1e-4)


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_on_another_device_it_computes_the_same(parts: Parts, inputs: Any) -> None:
    import torch

    from pipeline.tts.kokoro.torch_graph import TorchGraph
    from tests.pipeline import far_device

    def told(part: bytes, given: dict[str, Any], device: str) -> dict[str, Any]:
        graph = TorchGraph(part, device)
        made = graph.run(given, Stop())
        assert {one.device.type for one in made} == {device}
        return {name: one.cpu().numpy() for name, one in zip(graph.outputs, made, strict=True)}

    def told_far(part: bytes, given: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode(), far_device.FarDevice():
            return told(part, given, far_device.NAME)

    planned = told(parts.plan, inputs, "cpu")
    np.testing.assert_allclose(told_far(parts.plan, inputs)[FEATURES], planned[FEATURES], atol=1e-3)
    features, voiced = planned[FEATURES], {name: planned[name] for name in (PITCH, PHASES)}
    (source,) = told(parts.source, voiced, "cpu").values()
    (far_source,) = told_far(parts.source, voiced).values()
    assert share_alike(far_source, source) > 0.99
    seen = {FEATURES: features[:, :, :40], SOURCE: source[:, :, : 40 * 60 + 1], "style": inputs["style"]}
    seen[STATISTICS] = read_statistics(VOICE)
    (samples,) = told(parts.generator, seen, "cpu").values()
    (far_samples,) = told_far(parts.generator, seen).values()
    np.testing.assert_allclose(far_samples, samples, atol=1e-4)


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_an_operator_that_is_not_known_is_named() -> None:
    from onnx import TensorProto, helper

    from pipeline.tts.kokoro.torch_graph import TorchGraph

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], name="here")], "g", [value], [other])
    with pytest.raises(ValueError, match="here: the operator Erf is not known"):
        TorchGraph(helper.make_model(graph).SerializeToString(), "cpu")


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_it_speaks_as_long_and_as_loud_as_in_eight_bits(weights: WeightStore) -> None:
    from pipeline.tts.kokoro.torch_network import TorchNetwork

    folder = weights.path("kokoro")
    networks = (partial(OnnxNetwork, threads=2), partial(TorchNetwork, device="cpu"))
    eight_bits, floats = (
        np.concatenate(list(Kokoro(folder, network).stretches(SOUNDS, VOICE, 1.0, Stop()))) for network in networks
    )
    assert floats.size == pytest.approx(eight_bits.size, rel=0.05)
    assert np.sqrt(np.mean(floats**2)) == pytest.approx(np.sqrt(np.mean(eight_bits**2)), rel=0.2)
