"""Read an ONNX file with the onnx package: its nodes, weights and metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from rewardkit.errors import UserError

Attribute = int | float | str | Tensor | list[int] | list[float]


@dataclass(frozen=True)
class Node:
    """One operator of a graph."""

    operator: str
    inputs: tuple[str, ...]
    """Names of its inputs; empty for an omitted optional input."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """The content of a file: nodes in topological order, weights by name, metadata by key."""

    nodes: tuple[Node, ...]
    weights: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: Mapping[str, str]


def read_graph(path: Path) -> Graph:
    """Read an ONNX file; raise `UserError` if it is invalid, truncated, or has its weights in other files."""
    model = load(path)
    try:
        weights = {tensor.name: values(tensor) for tensor in model.graph.initializer}
        nodes = tuple(map(node, model.graph.node))
    except (UserError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    inputs = tuple(one.name for one in model.graph.input if one.name not in weights)
    return Graph(nodes, weights, inputs, tuple(one.name for one in model.graph.output), notes(model))


def read_notes(path: Path) -> Mapping[str, str]:
    """Read only the metadata of an ONNX file; raise `UserError` as `read_graph` does."""
    return notes(load(path))


def load(path: Path) -> onnx.ModelProto:
    """Parse a file without external weights: a path in a model is untrusted and not followed."""
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except (DecodeError, OSError) as error:
        raise UserError(f"cannot read {path}: this is not a complete ONNX file ({error}); download it again") from error
    if not model.HasField("graph"):
        raise UserError(f"cannot read {path}: this is not an ONNX file: it has no graph")
    return model


def notes(model: onnx.ModelProto) -> dict[str, str]:
    return {note.key: note.value for note in model.metadata_props}


def node(proto: onnx.NodeProto) -> Node:
    attributes = {one.name: attribute(one) for one in proto.attribute}
    return Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes)


def attribute(proto: onnx.AttributeProto) -> Attribute:
    value: Any = onnx.helper.get_attribute_value(proto)
    if isinstance(value, onnx.TensorProto):
        return values(value)
    if isinstance(value, bytes):
        return value.decode()
    several = value if isinstance(value, list) else [value]
    if all(isinstance(one, int | float) for one in several):
        return value
    raise UserError(f"attribute {proto.name!r} has an unsupported type ({proto.type})")


def values(tensor: onnx.TensorProto) -> Tensor:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UserError(f"the weights of {tensor.name!r} are in another file; save the model as one file")
    found = onnx.numpy_helper.to_array(tensor)
    if found.dtype.kind not in "biuf" or found.dtype in (np.uint16, np.uint32, np.uint64):
        raise UserError(f"{tensor.name!r} has the unsupported ONNX data type {tensor.data_type}")
    return torch.from_numpy(found.copy())
