"""The ONNX reader and runner: against onnxruntime on the real recogniser, and on files that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rewardkit.errors import UserError
from rewardkit.ocr import characters, recogniser_file
from rewardkit.ocr.onnx import Graph, Node, TorchGraph, read_graph, read_notes
from rewardkit.ocr.onnx.operators import OPERATORS


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(recogniser_file())


def test_probabilities_are_onnxruntimes(graph: Graph) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(recogniser_file()), options)
    lines = torch.rand(2, 3, 48, 72, generator=torch.Generator().manual_seed(0)) * 2 - 1
    lines[1, :, 10:38, 12:16] = 1.0
    theirs = session.run(None, {graph.inputs[0]: lines.numpy()})[0]
    ours = TorchGraph(graph)(lines).numpy()
    assert ours.shape == theirs.shape == (2, 9, 18710)
    assert np.abs(ours - theirs).max() < 1e-5
    assert theirs.max() > 0.1


def test_the_notes_name_the_characters(graph: Graph) -> None:
    assert read_notes(recogniser_file()) == graph.notes
    assert len(characters()) == 18710 - 1
    assert {"A", "z", "0", "春", " "} <= set(characters())
    assert "봄" not in characters()


def test_every_kind_of_attribute_and_weight_is_read(tmp_path: Path) -> None:
    attributes: dict[str, Any] = {
        "axis": -1,
        "epsilon": 0.5,
        "mode": "SAME_UPPER",
        "pads": [1, -2],
        "scales": [0.5, 2.0],
    }
    weights = [np.array([[1.5, -2]], "<f4"), np.array([-(2**40)]), np.array([True]), np.array([0.5], "<f2")]
    tensors = [onnx.numpy_helper.from_array(value, f"w{index}") for index, value in enumerate(weights)]
    node = onnx.helper.make_node("Any", ["x", "", "w0"], ["y"], **attributes, value=tensors[0])
    path = saved(tmp_path, [node], tensors)
    found = read_graph(path)
    (read,) = found.nodes
    assert (found.inputs, found.outputs, found.notes) == (("x",), ("y",), {"by": "us"})
    assert (read.operator, read.inputs, read.outputs) == ("Any", ("x", "", "w0"), ("y",))
    assert {name: read.attributes[name] for name in attributes} == attributes
    assert torch.equal(torch.as_tensor(read.attributes["value"]), torch.tensor([[1.5, -2]]))
    assert [found.weights[f"w{index}"].tolist() for index in range(4)] == [value.tolist() for value in weights]


def test_weights_in_another_file_are_refused_and_never_opened(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.zeros(2, "<f4"), "w")
    onnx.external_data_helper.set_external_data(weight, "../../etc/passwd")
    weight.ClearField("raw_data")
    with pytest.raises(UserError, match="'w' are in another file; save the model as one file"):
        read_graph(saved(tmp_path, [], [weight]))


def saved(folder: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> Path:
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "ours", ends[:1], ends[1:], weights))
    onnx.helper.set_model_props(model, {"by": "us"})
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x3a\x7f\x00", b"\x08"])
def test_what_is_no_onnx_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.onnx"):
        read_graph(path)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(recogniser_file().read_bytes()[:1_000_000])
    with pytest.raises(UserError, match=r"cut\.onnx"):
        read_graph(path)


def test_unknown_operators_are_named() -> None:
    node = Node("Einsum", ("x",), ("y",), {})
    with pytest.raises(UserError, match="Einsum"):
        TorchGraph(Graph((node,), {}, ("x",), ("y",), {}))


def test_same_upper_padding_puts_the_odd_pixel_at_the_end() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    pooled = OPERATORS["MaxPool"]({"kernel_shape": [2, 2], "strides": [1, 1], "auto_pad": "SAME_UPPER"}, x)
    assert pooled.tolist() == [[[[4, 5, 5], [4, 5, 5]]]]


def test_axes_as_attribute_and_as_input() -> None:
    x = torch.arange(6.0).view(2, 1, 3)
    one = torch.tensor([1])
    for name, shape in (("Squeeze", (2, 3)), ("Unsqueeze", (2, 1, 1, 3)), ("ReduceMean", (2, 1, 3))):
        by_attribute, by_input = OPERATORS[name]({"axes": [1]}, x), OPERATORS[name]({}, x, one)
        assert by_attribute.shape == by_input.shape == shape


def test_slice_and_reshape_as_onnx_has_them() -> None:
    x = torch.arange(24).view(2, 3, 4)
    two = torch.tensor
    sliced = OPERATORS["Slice"]({}, x, two([1, 0]), two([2**31, -1]), two([1, 2]), two([1, 2]))
    assert torch.equal(sliced, x[:, 1:, 0:-1:2])
    assert OPERATORS["Reshape"]({}, x, two([0, -1])).shape == (2, 12)
