"""Read an ONNX file: its nodes, its weights and its notes. Field numbers are those of onnx.proto (IR version 3 on)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.ocr.onnx import wire
from rewardkit.ocr.onnx.wire import Value

Attribute = int | float | str | Tensor | list[int] | list[float]

DTYPES: dict[int, str] = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType -> its layout in raw_data."""


@dataclass(frozen=True)
class Node:
    """One operator of a graph."""

    operator: str
    inputs: tuple[str, ...]
    """Names of its inputs; empty for an optional one that is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """What a file holds: nodes in an order that they can run in, weights by name, notes (metadata) by key."""

    nodes: tuple[Node, ...]
    weights: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: Mapping[str, str]


def read_graph(path: Path) -> Graph:
    """Read an ONNX file; raise `UserError` where it is none, is cut short, or keeps its weights in other files."""
    with _named(path):
        model = _model(path)
        return _graph(wire.message(wire.raw(model[7][0])), _notes(model))


def read_notes(path: Path) -> Mapping[str, str]:
    """Read only the notes (metadata) of an ONNX file; raise `UserError` as `read_graph` does."""
    with _named(path):
        return _notes(_model(path))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever is wrong inside a file into a `UserError` that names it."""
    try:
        yield
    except (UserError, LookupError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _model(path: Path) -> wire.Message:
    model = wire.message(memoryview(path.read_bytes()))
    if not model.get(7):
        raise UserError("this is no ONNX file: it holds no graph")
    return model


def _notes(model: wire.Message) -> dict[str, str]:
    pairs = [wire.message(wire.raw(value)) for value in model.get(14, [])]
    return {wire.text(pair[1][0]): wire.text(pair[2][0]) for pair in pairs}


def _graph(graph: wire.Message, notes: Mapping[str, str]) -> Graph:
    weights = dict(_tensor(wire.message(wire.raw(value))) for value in graph.get(5, []))
    return Graph(
        tuple(_node(wire.message(wire.raw(value))) for value in graph.get(1, [])),
        weights,
        tuple(name for name in _names(graph.get(11, [])) if name not in weights),
        _names(graph.get(12, [])),
        notes,
    )


def _names(values: list[Value]) -> tuple[str, ...]:
    return tuple(wire.text(wire.message(wire.raw(value))[1][0]) for value in values)


def _node(node: wire.Message) -> Node:
    attributes = (wire.message(wire.raw(value)) for value in node.get(5, []))
    return Node(
        wire.text(node[4][0]),
        tuple(wire.text(value) for value in node.get(1, [])),
        tuple(wire.text(value) for value in node.get(2, [])),
        {wire.text(attribute[1][0]): _attribute(attribute) for attribute in attributes},
    )


def _attribute(attribute: wire.Message) -> Attribute:
    kind = wire.integer(attribute[20][0])
    if kind == 1:
        return wire.floats(attribute[2])[0]
    if kind == 2:
        return wire.signed(attribute.get(3, [0])[0])
    if kind == 3:
        return wire.text(attribute[4][0])
    if kind == 4:
        return _tensor(wire.message(wire.raw(attribute[5][0])))[1]
    if kind == 6:
        return wire.floats(attribute.get(7, []))
    if kind == 7:
        return wire.integers(attribute.get(8, []))
    raise UserError(f"attribute {wire.text(attribute[1][0])!r} is of a kind ({kind}) that is not read here")


def _tensor(tensor: wire.Message) -> tuple[str, Tensor]:
    """Read a TensorProto: its name and its values, from raw_data or from the field of its type."""
    name = wire.text(tensor[8][0]) if tensor.get(8) else ""
    kind, shape = wire.integer(tensor[2][0]), wire.integers(tensor.get(1, []))
    if wire.integer(tensor.get(14, [0])[0]) == 1:
        raise UserError(f"the weights of {name!r} are in another file; save the model as one file")
    if kind not in DTYPES:
        raise UserError(f"{name!r} is of ONNX data type {kind}, which is not read here")
    if tensor.get(9):
        values = np.frombuffer(wire.raw(tensor[9][0]), dtype=DTYPES[kind])
    elif kind == 1:
        values = np.array(wire.floats(tensor.get(4, [])), dtype=DTYPES[kind])
    else:
        values = np.array(wire.integers(tensor.get(7, tensor.get(5, []))), dtype=DTYPES[kind])
    return name, torch.from_numpy(values.copy()).reshape(shape)
