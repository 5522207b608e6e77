"""ResNet-18, exported from PyTorch as ONNX, by ONNX Runtime and by OpenVINO."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from forwards import Array, Forward


class Exported:
    """The network as an ONNX file for batches of one size.

    Args:
        network: The network, PyTorch's.
        example: A batch of that size.
        threads: Threads of each runtime.
    """

    def __init__(self, network: Any, example: Array, threads: int) -> None:
        import torch

        self.example, self.threads = example, threads
        self._folder = tempfile.TemporaryDirectory()
        self.file = Path(self._folder.name) / "resnet18.onnx"
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter's, about its own parts
            torch.onnx.export(
                network,
                (torch.from_numpy(example),),
                self.file,
                dynamo=True,
                verbose=False,
                input_names=["x"],
                output_names=["logits"],
            )

    def onnx_runtime(self) -> Forward:
        """Return the network by ONNX Runtime, in float32."""
        import onnxruntime

        how = onnxruntime.SessionOptions()
        how.intra_op_num_threads, how.inter_op_num_threads = self.threads, 1
        how.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(self.file, how, providers=["CPUExecutionProvider"])
        return Forward(lambda pictures: {"x": pictures}, lambda x: session.run(None, x)[0])

    def openvino(self, precision: str) -> Forward:
        """Return the network by OpenVINO: ``"f32"`` or ``"bf16"``."""
        import openvino

        return self._by_openvino(openvino.Core().read_model(self.file), precision)

    def openvino_int8(self, calibration: Array) -> Forward:
        """Return the network by OpenVINO, quantised by NNCF after training.

        What it leaves in floats runs in the precision that OpenVINO chooses.

        Args:
            calibration: Photos, whose activations choose the scales.
        """
        os.environ["NNCF_CI"] = "1"  # NNCF reports its use to its makers unless this is set
        import nncf
        import openvino

        logging.getLogger("nncf").setLevel(logging.ERROR)
        size = len(self.example)
        batches = [
            calibration[start : start + size]
            for start in range(0, len(calibration) - size + 1, size)
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            quantised = nncf.quantize(
                openvino.Core().read_model(self.file),
                nncf.Dataset(batches),
                subset_size=len(batches),
            )
        return self._by_openvino(quantised, None)

    def _by_openvino(self, network: Any, precision: str | None) -> Forward:
        import openvino

        # The hint for latency gives one call all threads; that for throughput was half as fast.
        how: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if precision is not None:
            how["INFERENCE_PRECISION_HINT"] = precision
        request = openvino.Core().compile_model(network, "CPU", how).create_infer_request()
        return Forward(
            lambda pictures: [pictures],
            lambda x: request.infer(x, share_inputs=True, share_outputs=True)[0],
        )
