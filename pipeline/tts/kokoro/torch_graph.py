"""Runs an ONNX graph by torch: the operators of Kokoro's, in floats.

onnxruntime runs the graph on a GPU only as another package in the place of the one that the CPU's engines need; torch
is there anyhow. Numbers of kind float are on the device; integers, which are the arithmetic of shapes, stay on the
processor, where to look at one waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from pipeline.stopping import Stop

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """`spent` are the values that nobody needs after it."""

    run: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    spent: tuple[str, ...]


class TorchGraph:
    """One model. `run` may be called from one thread at a time."""

    def __init__(self, model: bytes, device: str) -> None:
        """Raises `ValueError`: the model has an operator that is not known here."""
        graph = onnx.load_from_string(model).graph
        self._device = device
        arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self._constants = {name: self._tensor(array) for name, array in arrays.items()}
        self.outputs = tuple(output.name for output in graph.output)
        last_use = {name: number for number, node in enumerate(graph.node) for name in node.input}
        kept = {*self._constants, *self.outputs}
        self._steps = [
            _Step(
                _operator(node, arrays, device),
                tuple(node.input),
                tuple(node.output),
                tuple({name for name in node.input if last_use[name] == number and name not in kept} - {""}),
            )
            for number, node in enumerate(graph.node)
        ]

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, npt.NDArray[Any] | Tensor], stop: Stop) -> list[Tensor]:
        """All outputs, on the device; inputs are arrays or such outputs.

        Raises:
            Stopped: told to stop; what ran ends between two nodes of the graph.
        """
        values: dict[str, Any] = {"": None, **self._constants}
        for name, value in inputs.items():
            values[name] = value if isinstance(value, Tensor) else self._tensor(value)
        for step in self._steps:
            stop.check()
            result = step.run(*(values[name] for name in step.inputs))
            if len(step.outputs) == 1:
                values[step.outputs[0]] = result
            else:
                values.update(zip(step.outputs, result, strict=False))
            for name in step.spent:
                del values[name]
        return [values[name] for name in self.outputs]

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return _placed(torch.from_numpy(np.array(array)), self._device)


def _operator(node: onnx.NodeProto, arrays: Mapping[str, npt.NDArray[Any]], device: str) -> Callable[..., Any]:
    """What computes the outputs of a node from its inputs."""
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type == "LSTM":
        return _lstm(node, arrays, attributes, device)
    if node.op_type == "ConstantOfShape":
        return _constant_of_shape(attributes, device)
    if node.op_type in _PLAIN:
        plain = _PLAIN[node.op_type]
        return lambda *inputs: plain(*_together(inputs))
    if node.op_type in _OPERATORS:
        operator = _OPERATORS[node.op_type]
        return lambda *inputs: operator(attributes, *inputs)
    raise ValueError(
        f"{node.name}: the operator {node.op_type} is not known; this is not the Kokoro model that is pinned"
    )


def _placed(tensor: Tensor, device: str) -> Tensor:
    return tensor.to(device) if tensor.is_floating_point() else tensor


def _together(tensors: Sequence[Tensor]) -> list[Tensor]:
    """On one device: the GPU, if one of them is there. A single number may stay where it is."""
    device = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), None)
    return [tensor if device is None or not tensor.dim() else tensor.to(device) for tensor in tensors]


def _integers(tensor: Tensor) -> list[int]:
    return [int(value) for value in tensor.cpu().tolist()]


def _reshape(attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(_integers(shape))])


def _gather(attributes: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    axis = attributes.get("axis", 0) % x.dim()
    return x[(slice(None),) * axis + (indices.to(x.device).long(),)]


def _split(attributes: Attributes, x: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.split(_integers(sizes), dim=attributes.get("axis", 0)))


def _slice(
    attributes: Attributes,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first, past = _integers(starts), _integers(ends)
    along = range(len(first)) if axes is None else _integers(axes)
    strides = [1] * len(first) if steps is None else _integers(steps)
    for axis, start, end, stride in zip(along, first, past, strides, strict=True):
        chosen = range(x.shape[axis])[start:end:stride]
        if stride > 0:
            x = x.narrow(axis, chosen.start, max(0, chosen.stop - chosen.start))
            x = x[(slice(None),) * (axis % x.dim()) + (slice(None, None, stride),)] if stride > 1 else x
        else:
            x = x.index_select(axis, torch.tensor(list(chosen), device=x.device))
    return x


def _pad(attributes: Attributes, x: Tensor, pads: Tensor) -> Tensor:
    """Of the last axis."""
    sizes = _integers(pads)
    return torch.nn.functional.pad(x, (sizes[x.dim() - 1], sizes[-1]), mode=attributes["mode"].decode())


def _resize(attributes: Attributes, x: Tensor, _region: None, scales: Tensor) -> Tensor:
    """Of the last axis."""
    return torch.nn.functional.interpolate(x, scale_factor=float(scales[-1]), mode=attributes["mode"].decode())


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    before, after = attributes.get("pads", [0, 0])
    if before != after:
        x, before = torch.nn.functional.pad(x, (before, after)), 0
    return torch.nn.functional.conv1d(
        x,
        weight,
        bias,
        stride=attributes.get("strides", [1]),
        padding=before,
        dilation=attributes.get("dilations", [1]),
        groups=attributes.get("group", 1),
    )


def _conv_transpose(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.nn.functional.conv_transpose1d(
        x,
        weight,
        bias,
        stride=attributes["strides"],
        padding=attributes["pads"][0],
        output_padding=attributes.get("output_padding", [0]),
        groups=attributes["group"],
        dilation=attributes["dilations"],
    )


def _layer_norm(attributes: Attributes, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[attributes.get("axis", -1) :], gain, shift, attributes["epsilon"])


def _batch_norm(attributes: Attributes, x: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return torch.nn.functional.batch_norm(x, mean, var, gain, shift, eps=attributes["epsilon"])


def _instance_norm(attributes: Attributes, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return torch.nn.functional.instance_norm(x, weight=gain, bias=shift, eps=attributes["epsilon"])


def _skip_layer_norm(attributes: Attributes, x: Tensor, skip: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x + skip, x.shape[-1:], gain, shift, attributes["epsilon"])


def _scatter(attributes: Attributes, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    x = x.clone()
    x[tuple(indices.to(x.device).unbind(-1))] = updates.to(x.device, x.dtype)
    return x


def _constant_of_shape(attributes: Attributes, device: str) -> Callable[[Tensor], Tensor]:
    value = _placed(torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy()), device)
    return lambda shape: value.expand(_integers(shape)).clone()


def _cast(attributes: Attributes, x: Tensor) -> Tensor:
    kind = torch.from_numpy(np.zeros(1, helper.tensor_dtype_to_np_dtype(attributes["to"]))).dtype
    return x.to(kind)


def _range(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _lstm(
    node: onnx.NodeProto, arrays: Mapping[str, npt.NDArray[Any]], attributes: Attributes, device: str
) -> Callable[..., Any]:
    """ONNX has the gates in the order input, output, forget, cell, torch in the order input, forget, cell, output."""
    weights, states, biases = (arrays[name] for name in node.input[1:4])
    size, directions = attributes["hidden_size"], len(weights)
    module = torch.nn.LSTM(weights.shape[2], size, bidirectional=directions == 2)

    def ordered(gates: npt.NDArray[Any]) -> Tensor:
        inputs, outputs, forgets, cells = np.split(gates, 4)
        return torch.from_numpy(np.concatenate([inputs, forgets, cells, outputs]))

    with torch.no_grad():
        for direction, suffix in enumerate(("", "_reverse")[:directions]):
            of_inputs, of_states = np.split(biases[direction], 2)
            for name, gates in (
                ("weight_ih", weights[direction]),
                ("weight_hh", states[direction]),
                ("bias_ih", of_inputs),
                ("bias_hh", of_states),
            ):
                getattr(module, f"{name}_l0{suffix}").copy_(ordered(gates))
    module.to(device).eval()

    def run(x: Tensor, *_: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        y, (state, cell) = module(x)  # the initial state is zero
        return y.unflatten(2, (directions, size)).transpose(1, 2), state, cell

    return run


_PLAIN: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "Atan": torch.atan,
    "Cos": torch.cos,
    "Div": lambda x, y: torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc"),
    "Equal": torch.eq,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "NonZero": lambda x: torch.nonzero(x).T,
    "Pow": torch.pow,
    "Range": _range,
    "Round": torch.round,
    "Shape": lambda x: torch.tensor(x.shape),
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Where": torch.where,
}
"""Those without attributes, whose inputs are numbers of one kind."""

_OPERATORS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": lambda attributes, x, low, high=None: torch.clamp(x, low, high),
    "Concat": lambda attributes, *parts: torch.cat(_together(parts), dim=attributes["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "CumSum": lambda attributes, x, axis: torch.cumsum(x, dim=int(axis)),
    "DequantizeLinear": lambda attributes, x, step, zero: (x.to(step.device, step.dtype) - zero.item()) * step,
    "Expand": lambda attributes, x, shape: x * torch.ones(_integers(shape), dtype=x.dtype, device=x.device),
    "FastGelu": lambda attributes, x, bias: torch.nn.functional.gelu(x + bias, approximate="tanh"),
    "FusedMatMul": lambda attributes, x, y: torch.matmul(*_together([x.transpose(-2, -1), y])) * attributes["alpha"],
    "Gather": _gather,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda attributes, x: torch.nn.functional.leaky_relu(x, attributes["alpha"]),
    "Pad": _pad,
    "ReduceMean": lambda attributes, x, axes: x.mean(_integers(axes), keepdim=bool(attributes.get("keepdims", 1))),
    "ReduceSum": lambda attributes, x, axes: x.sum(_integers(axes), keepdim=bool(attributes.get("keepdims", 1))),
    "Reshape": _reshape,
    "Resize": _resize,
    "ScatterND": _scatter,
    "SkipLayerNormalization": _skip_layer_norm,
    "Slice": _slice,
    "Softmax": lambda attributes, x: torch.softmax(x, dim=attributes["axis"]),
    "Split": _split,
    "Squeeze": lambda attributes, x, axes: x.squeeze(tuple(_integers(axes))),
    "Transpose": lambda attributes, x: x.permute(attributes["perm"]),
    "Unsqueeze": lambda attributes, x, axes: _unsqueezed(x, _integers(axes)),
}


def _unsqueezed(x: Tensor, axes: Sequence[int]) -> Tensor:
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x
