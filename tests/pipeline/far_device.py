"""A second device, on any machine: what is on it cannot be mixed with what is not, as on a GPU.

It calls itself `meta`, for torch makes tensors of that everywhere; their numbers are kept, and computed with, on the
processor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"


class _Far(torch.Tensor):
    """On the second device; `near` are its numbers."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> _Far:
        far: _Far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), dtype=near.dtype, device=torch.device(NAME)
        )
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{operator} outside of FarDevice")


class FarDevice(TorchDispatchMode):  # type: ignore[misc]  # of torch, which is not looked into
    """There is one within."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raises `RuntimeError`, as torch does: an operator is given tensors of both devices. A single number of the
        processor's may be among those of the other, which is the only mixture that a GPU takes."""
        kwargs = dict(kwargs or {})
        with self:  # one that is made of others is judged as those
            result = operator.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        is_far = any(isinstance(one, _Far) for one in tensors)
        if (device := kwargs.get("device")) is not None:
            is_far = torch.device(device).type == NAME
            kwargs["device"] = torch.device("cpu")
        elif is_far and any(one.dim() for one in tensors if not isinstance(one, _Far)):
            raise RuntimeError(f"{operator}: tensors of two devices")
        result = operator(*tree_map(_near, args), **tree_map(_near, kwargs))
        return tree_map(_far, result) if is_far else result


def _near(value: Any) -> Any:
    return value.near if isinstance(value, _Far) else value


def _far(value: Any) -> Any:
    return _Far(value) if isinstance(value, torch.Tensor) else value
