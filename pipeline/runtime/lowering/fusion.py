"""What stands right before and right behind an operator becomes part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.runtime.lowering.estimator import GROUP_NORM_MISH
from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.lowering.linear import LINEAR, Linear
from pipeline.runtime.lowering.shapes import Shapes
from pipeline.runtime.onnx_file import Shape
from pipeline.runtime.onnx_node import Node

RELU, GELU, SILU = 1, 2, 3  # activations of a Linear8


def fuse(graph: Rewriting) -> None:
    shapes = Shapes(graph)
    for node in graph.nodes(LINEAR):
        for fuse_next in (_fuse_bias, _fuse_activation, _fuse_residual):
            node = fuse_next(graph, shapes, node)
    for node in graph.nodes("LayerNormalization"):
        _fuse_layer_norm(graph, node)
    for node in graph.nodes(GROUP_NORM_MISH):
        _fuse_time(graph, shapes, node)


def _fuse_bias(graph: Rewriting, shapes: Shapes, node: Node) -> Node:
    """Returns the node that the layer is now, as the next ones do."""
    linear, sum_ = Linear.of(node), _sum(graph, node)
    if linear is None or sum_ is None or linear.bias:
        return node
    bias = graph.constant(_other(sum_, node))
    if bias is None or bias.shape != (shapes.size(linear.scale),):
        return node
    replace(linear, bias=_other(sum_, node)).put(graph, sum_)
    return sum_


def _fuse_activation(graph: Rewriting, shapes: Shapes, node: Node) -> Node:
    linear = Linear.of(node)
    for number, find in _ACTIVATIONS.items():
        if linear is not None and (last := find(graph, node.outputs[0])) is not None:
            replace(linear, activation=number).put(graph, last)
            return last
    return node


def _relu(graph: Rewriting, value: str) -> Node | None:
    return node if (node := graph.only_user(value)) and node.op == "Relu" else None


def _gelu(graph: Rewriting, value: str) -> Node | None:
    """Not its approximation, which has an attribute."""
    return node if (node := graph.only_user(value)) and node.op == "Gelu" and not node.attributes else None


def _silu(graph: Rewriting, value: str) -> Node | None:
    """x sigmoid(x)."""
    users = graph.users(value)
    if [node.op for node in users] != ["Sigmoid", "Mul"] or graph.is_output(value):
        return None
    sigmoid, product = users
    is_product = sorted(product.inputs) == sorted([value, sigmoid.outputs[0]])
    return product if is_product and graph.only_user(sigmoid.outputs[0]) is product else None


_ACTIVATIONS: dict[int, Callable[[Rewriting, str], Node | None]] = {RELU: _relu, GELU: _gelu, SILU: _silu}


def _fuse_residual(graph: Rewriting, shapes: Shapes, node: Node) -> Node:
    """Of the very same shape: the sum must not be of one row with many."""
    linear, sum_ = Linear.of(node), _sum(graph, node)
    if linear is None or sum_ is None:
        return node
    residual = _other(sum_, node)
    shape = shapes.of(node.outputs[0])
    if shape is None or shapes.of(residual) != shape or graph.constant(residual) is not None:
        return node
    replace(linear, residual=residual).put(graph, sum_)
    return sum_


def _fuse_layer_norm(graph: Rewriting, norm: Node) -> None:
    """Each layer that reads it computes it itself, if all readers are such layers."""
    value, users = norm.outputs[0], graph.users(norm.outputs[0])
    linears = [linear for user in users if (linear := Linear.of(user)) and _can_normalize(linear, value)]
    epsilon = norm.attributes.get("epsilon")
    if norm.attributes != {"axis": -1, "epsilon": epsilon} or not isinstance(epsilon, float):
        return
    if len(norm.inputs) == 3 and len(linears) == len(users) and not graph.is_output(value):
        x, gamma, beta = norm.inputs
        for linear, user in zip(linears, users, strict=True):
            replace(linear, x=x, gamma=gamma, beta=beta, epsilon=epsilon).put(graph, user)


def _can_normalize(linear: Linear, value: str) -> bool:
    return linear.x == value != linear.residual and linear.taps == 1 and not linear.rectified


def _fuse_time(graph: Rewriting, shapes: Shapes, node: Node) -> None:
    """One row that is added to every frame."""
    sum_ = _sum(graph, node)
    row: Shape = (1, shapes.size(node.inputs[1]))
    if sum_ is not None and shapes.of(_other(sum_, node)) == row:
        graph.become(sum_, GROUP_NORM_MISH, [*node.inputs, _other(sum_, node)], node.attributes)


def _sum(graph: Rewriting, node: Node) -> Node | None:
    """The one that alone reads what the node makes."""
    user = graph.only_user(node.outputs[0])
    return user if user is not None and user.op == "Add" and user.inputs[0] != user.inputs[1] else None


def _other(sum_: Node, node: Node) -> str:
    a, b = sum_.inputs
    return b if a == node.outputs[0] else a
