"""An ONNX graph as a torch module: it runs node by node, and gradients flow through every node."""

from collections import defaultdict
from collections.abc import Mapping

from torch import Tensor, nn

from rewardkit.errors import UserError
from rewardkit.ocr.onnx.operators import OPERATORS
from rewardkit.ocr.onnx.read import Graph, Node


class TorchGraph(nn.Module):
    """A frozen network with one input and one output; its floating-point weights are buffers, so `.to()` moves them."""

    def __init__(self, graph: Graph) -> None:
        """Raise `UserError`, naming them, for unsupported operators, and for several inputs or outputs."""
        super().__init__()
        unknown = sorted({node.operator for node in graph.nodes} - OPERATORS.keys())
        if unknown:
            raise UserError(f"the ONNX graph uses unsupported operators: {', '.join(unknown)}")
        if len(graph.inputs) != 1 or len(graph.outputs) != 1 or any(len(node.outputs) != 1 for node in graph.nodes):
            raise UserError("only ONNX graphs with one input and one output, and nodes with one output, are supported")
        self.input, self.output = graph.inputs[0], graph.outputs[0]
        self.nodes = graph.nodes
        self._places: dict[str, str] = {}
        self._integers: dict[str, Tensor] = {}
        for index, (name, weight) in enumerate(graph.weights.items()):
            if weight.is_floating_point():
                self._places[name] = f"weight_{index}"  # a buffer's name may not contain a dot
                self.register_buffer(self._places[name], weight)
            else:
                self._integers[name] = weight
        self._done = _last_uses(graph.nodes, self.output)

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {self.input: x, **self._integers}
        values |= {name: self.get_buffer(place) for name, place in self._places.items()}
        for index, node in enumerate(self.nodes):
            inputs = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = OPERATORS[node.operator](node.attributes, *inputs)
            for name in self._done[index]:
                del values[name]
        return values[self.output]


def _last_uses(nodes: tuple[Node, ...], output: str) -> Mapping[int, list[str]]:
    """Index of a node -> the names that are not used after it, so that their memory can be freed."""
    last = {name: index for index, node in enumerate(nodes) for name in (*node.outputs, *node.inputs) if name}
    done: dict[int, list[str]] = defaultdict(list)
    for name, index in last.items():
        if name != output:
            done[index].append(name)
    return done
