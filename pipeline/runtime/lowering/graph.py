"""A graph that is being rewritten: who makes and who uses each value, and what becomes of nodes nobody uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.runtime.onnx_file import Array, Graph
from pipeline.runtime.onnx_node import Attribute, Node

DOMAIN = "cosyvoice"  # of our operators


class Rewriting:
    """Nodes keep their places, so an operator that stands where the last node of its pattern did finds its inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._makers: dict[str, Node] = {}
        self._users: defaultdict[str, dict[Node, None]] = defaultdict(dict)  # in order
        self._outputs = set(graph.outputs)
        for node in graph.nodes:
            self._connect(node)
        for node in reversed(graph.nodes):
            if not self._is_used(node):
                self._disconnect(node)

    def nodes(self, *ops: str) -> list[Node]:
        """Those in use, in an order in which they can be computed; all or of some kinds."""
        return [node for node in self.graph.nodes if self._is_used(node) and (not ops or node.op in ops)]

    def maker(self, value: str) -> Node | None:
        return self._makers.get(value)

    def users(self, value: str) -> list[Node]:
        return list(self._users[value])

    def is_output(self, value: str) -> bool:
        return value in self._outputs

    def only_user(self, value: str) -> Node | None:
        """None for an output of the graph, too."""
        users = self._users[value]
        return next(iter(users)) if len(users) == 1 and not self.is_output(value) else None

    def constant(self, value: str) -> Array | None:
        """An initializer's array, or one that is stored in half the bytes and cast to f32."""
        node = self._makers.get(value)
        if node is not None and node.op == "Cast" and node.attributes == {"to": 1}:
            half = self.constant(node.inputs[0])
            return None if half is None else half.astype(np.float32)
        array = self.graph.initializers.get(value)
        return array if isinstance(array, np.ndarray) else None

    def add_constant(self, name: str, array: Array) -> str:
        """The same name must mean the same array."""
        self.graph.initializers.setdefault(name, array)
        return name

    def become(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Attribute],
        outputs: Sequence[str] = (),
    ) -> None:
        """Makes the node one of our operators; it takes over the outputs of others if it is given theirs.

        Nodes that only the former inputs needed are dropped.
        """
        former = node.inputs
        self._disconnect(node)
        node.op, node.domain, node.rest = op, DOMAIN, b""
        node.inputs, node.attributes = _trimmed(inputs), dict(attributes)
        node.outputs = list(outputs) or node.outputs
        node.name = f"{op}:{node.outputs[0]}"
        self._connect(node)
        for value in former:
            self._drop_unused(value)

    def sweep(self) -> None:
        """Leaves only what is used in the graph."""
        self.graph.nodes = self.nodes()
        self.graph.initializers = {
            name: array for name, array in self.graph.initializers.items() if self._users[name] or name in self._outputs
        }

    def _connect(self, node: Node) -> None:
        self._makers.update(dict.fromkeys(node.outputs, node))
        for value in filter(None, node.inputs):
            self._users[value][node] = None

    def _disconnect(self, node: Node) -> None:
        for value in filter(None, node.inputs):
            self._users[value].pop(node, None)

    def _is_used(self, node: Node) -> bool:
        made = [value for value in node.outputs if self._makers.get(value) is node]
        return any(self._users[value] or value in self._outputs for value in made)

    def _drop_unused(self, value: str) -> None:
        """Disconnects the value's maker if nothing of it is used, and then the makers of what that one used."""
        pending = [value]
        while pending:
            node = self._makers.get(pending.pop())
            if node is not None and not self._is_used(node):
                self._disconnect(node)
                pending += node.inputs


def _trimmed(inputs: Sequence[str]) -> list[str]:
    """Without the empty names at the end."""
    return list(inputs[: max((i for i, name in enumerate(inputs, 1) if name), default=0)])
