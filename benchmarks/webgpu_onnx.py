"""Matrix products and ResNet-18 by ONNX Runtime's WebGPU provider (onnxruntime-webgpu on PyPI)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from peer import Unavailable

Array = np.ndarray[Any, Any]


def product(left: Array, right: Array) -> Callable[[], Array]:
    """Return what multiplies two matrices of one size."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("MatMul", ["left", "right"], ["out"])]
    values = {"left": left, "right": right}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        for name, value in values.items()
    ]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, left.shape)
    return _session(helper.make_graph(nodes, "product", inputs, [out]), values)


def resnet18(convolutions: dict[str, list[Array]], head: list[Array], image: Array) -> Any:
    """Return what runs ResNet-18 on a picture.

    Args:
        convolutions: The weight and the bias of each convolution, in the order of the network,
            batch norms folded into them, by its name.
        head: The weight and the bias of the linear layer.
        image: Of shape (1, 3, height, width).
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        out = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def constant(name: str, value: Array) -> str:
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def conv(name: str, x: str, stride: int) -> str:
        weight, bias = convolutions[name]
        size = weight.shape[-1]
        inputs = [x, constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]
        return node("Conv", inputs, strides=[stride] * 2, pads=[size // 2] * 4,
                    kernel_shape=[size] * 2)  # fmt: skip

    x = node("Relu", [conv("conv1", "image", 2)])
    x = node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            inner = node("Relu", [conv(f"{name}.conv1", x, stride)])
            inner = conv(f"{name}.conv2", inner, 1)
            detour = f"{name}.downsample.0"
            x = conv(detour, x, stride) if detour in convolutions else x
            x = node("Relu", [node("Add", [inner, x])])
    x = node("Flatten", [node("GlobalAveragePool", [x])])
    out = node("Gemm", [x, constant("weight", head[0]), constant("bias", head[1])], transB=1)
    shape = (1, len(head[1]))
    graph = helper.make_graph(
        nodes, "resnet18",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)],
        constants,
    )  # fmt: skip
    return _session(graph, {"image": image})


def _session(graph: Any, inputs: dict[str, Array]) -> Callable[[], Array]:
    """Return what runs a graph on the adapter.

    Raises:
        Unavailable: The provider is not there, or opens no adapter: Dawn, which it is built on,
            asks more of a driver than Mesa 22's lavapipe has.
    """
    import onnxruntime
    from onnx import helper

    wanted = "WebGpuExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise Unavailable("this build of ONNX Runtime has no WebGPU; onnxruntime-webgpu has")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[wanted])
    if session.get_providers()[0] != wanted:
        raise Unavailable("its WebGPU provider opens no adapter with this driver")
    return lambda: session.run(None, inputs)[0]
