"""Run an ONNX network as a differentiable torch module, from its file.

`read_graph` reads the file, `TorchGraph` runs it. The supported operators are those of convolutional and attention
recognisers (see `operators`); others are refused by name when the graph is loaded.
"""

from rewardkit.ocr.onnx.graph import TorchGraph
from rewardkit.ocr.onnx.read import Graph, Node, read_graph, read_notes

__all__ = ["Graph", "Node", "TorchGraph", "read_graph", "read_notes"]
