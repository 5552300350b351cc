"""ONNX operators in torch: those that convolutional and attention recognisers are made of (onnx.ai/onnx/operators).

Each takes the node's attributes and its inputs (`None` for an omitted one) and returns its one output. Integer inputs
are shapes and indices; they stay on the CPU. If an attribute became an input in a later opset, both are supported.
"""

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rewardkit.errors import UserError

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]


def conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    stride, dilation = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    spans = [dilated * (size - 1) + 1 for dilated, size in zip(dilation, weight.shape[2:], strict=True)]
    x = padded(a, x, spans, stride, 0.0)
    return functional.conv2d(x, weight, bias, tuple(stride), 0, tuple(dilation), a.get("group", 1))


def max_pool(a: Attributes, x: Tensor) -> Tensor:
    kernel, stride = a["kernel_shape"], a.get("strides", [1, 1])
    return functional.max_pool2d(padded(a, x, kernel, stride, -torch.inf), kernel, stride)


def average_pool(a: Attributes, x: Tensor) -> Tensor:
    if any(a.get("pads", [])) or a.get("auto_pad", "NOTSET") != "NOTSET":
        raise UserError("ONNX average pooling with padding is not supported")
    return functional.avg_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]))


def padded(a: Attributes, x: Tensor, spans: list[int], stride: list[int], value: float) -> Tensor:
    """Pad height and width according to the attributes; SAME_UPPER puts an odd pixel at the end."""
    if a.get("ceil_mode", 0):
        raise UserError("ONNX pooling with ceil_mode is not supported")
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if a.get("auto_pad", "NOTSET") == "SAME_UPPER":
        sides = zip(x.shape[2:], spans, stride, strict=True)
        needed = [max((-(-size // step) - 1) * step + span - size, 0) for size, span, step in sides]
        (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in needed)
    elif a.get("auto_pad", "NOTSET") != "NOTSET":
        raise UserError(f"ONNX auto_pad {a['auto_pad']} is not supported")
    return functional.pad(x, (left, right, top, bottom), value=value) if any((top, left, bottom, right)) else x


def batch_norm(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=a.get("epsilon", 1e-5))


def hard_sigmoid(a: Attributes, x: Tensor) -> Tensor:
    return (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1)


def softmax(a: Attributes, x: Tensor) -> Tensor:
    axis = a.get("axis", -1)
    if axis % x.ndim != x.ndim - 1:  # over another axis, opsets before 13 differ
        raise UserError("ONNX softmax over another axis than the last is not supported")
    return x.softmax(-1)


def reduce_mean(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.mean(_axes(a, axes) or list(range(x.ndim)), keepdim=bool(a.get("keepdims", 1)))


def squeeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = _axes(a, axes)
    return x.squeeze(tuple(chosen)) if chosen else x.squeeze()


def unsqueeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = _axes(a, axes)
    rank = x.ndim + len(chosen)
    for axis in sorted(one % rank for one in chosen):
        x = x.unsqueeze(axis)
    return x


def _axes(a: Attributes, axes: Tensor | None) -> list[int]:
    return a.get("axes", []) if axes is None else axes.tolist()


def reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.reshape(-1).tolist()
    if not a.get("allowzero", 0):
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def slice_(
    a: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    first, last = starts.tolist(), ends.tolist()
    chosen = list(range(len(first))) if axes is None else axes.tolist()
    strides = [1] * len(first) if steps is None else steps.tolist()
    if min(strides) < 1:
        raise UserError("ONNX slices with a negative step are not supported")
    places = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, first, last, strides, strict=True):
        places[axis] = slice(start, end, step)
    return x[tuple(places)]


def shape_of(a: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int64)


def power(a: Attributes, x: Tensor, exponent: Tensor) -> Tensor:
    # A Python number keeps x * x exact and cheap; for a tensor torch takes the general path.
    return x ** exponent.item() if exponent.numel() == 1 else x**exponent


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Constant": lambda a: a["value"],
    "Conv": conv,
    "Div": lambda a, x, y: x / y,
    "Erf": lambda a, x: x.erf(),
    "Flatten": lambda a, x: x.reshape(reduce(operator.mul, x.shape[: a.get("axis", 1)], 1), -1),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda a, x: x * (x / 6 + 0.5).clamp(0, 1),
    "Identity": lambda a, x: x,
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Mul": lambda a, x, y: x * y,
    "Pow": power,
    "ReduceMean": reduce_mean,
    "Relu": lambda a, x: x.relu(),
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": lambda a, x: x.sigmoid(),
    "Slice": slice_,
    "Softmax": softmax,
    "Sqrt": lambda a, x: x.sqrt(),
    "Squeeze": squeeze,
    "Sub": lambda a, x, y: x - y,
    "Transpose": lambda a, x: x.permute(a.get("perm", list(range(x.ndim))[::-1])),
    "Unsqueeze": unsqueeze,
}
"""Name -> (attributes, inputs) -> output."""
