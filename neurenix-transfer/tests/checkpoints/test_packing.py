"""Values come back from a checkpoint as they went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neurenix
from neurenix_transfer.checkpoints.packing import pack, unpack


def test_values_come_back_as_they_were():
    value = {
        "none": None,
        "flags": [True, False],
        "numbers": (1, 2.5, -0.0, float("inf"), 5e-324, 0.1 + 0.2),
        "nan": float("nan"),
        "text": "é",
        "tensors": {"a": neurenix.ones((2, 3), dtype=neurenix.bfloat16), "b": neurenix.full((), 7)},
        "keys": {1: "one", (2, 3): [4]},
        "$odd": {"$tensor": "no tensor"},
        "scalar": np.float32(0.1),
        "array": np.arange(3),
    }
    tensors = {}
    import json

    back = unpack(json.loads(json.dumps(pack(value, tensors))), tensors)
    for key in ("none", "flags", "numbers", "text", "keys", "$odd"):
        assert back[key] == value[key], key
        assert type(back[key]) is type(value[key])
    assert np.isnan(back["nan"])
    assert np.signbit(back["numbers"][2])
    assert back["tensors"]["a"].dtype == neurenix.bfloat16
    assert back["tensors"]["b"].item() == 7
    assert back["scalar"] == np.float32(0.1)
    np.testing.assert_array_equal(back["array"].numpy(), value["array"])


def test_what_cannot_be_packed_is_named():
    with pytest.raises(TypeError, match=r"callbacks/0/file: it is a (Posix|Windows)Path"):
        pack({"callbacks": [{"file": Path("x")}]}, {})
