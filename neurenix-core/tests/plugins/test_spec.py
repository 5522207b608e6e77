"""A declaration that cannot be right is an error where it is made."""

from __future__ import annotations

from typing import Any

import pytest

from neurenix.errors import PluginError
from neurenix.plugins import BackendSpec


def spec(**fields: Any) -> BackendSpec:
    good = {"name": "acme", "device_type": "npu", "api": (1, 0), "factory": "acme.backend:open"}
    return BackendSpec(**{**good, **fields})


def test_third_parties_stand_between_numpy_and_the_native_engines() -> None:
    assert spec().priority == 50


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name must be a name"),
        ({"device_type": "NPU"}, "device_type must be a lower-case word such as 'npu', not 'NPU'"),
        ({"device_type": "npu:1"}, "device_type must be"),
        ({"api": "1.0"}, r"api must be a pair \(major, minor\), not '1.0'"),
        ({"api": (1,)}, "api must be"),
        ({"priority": "high"}, "priority must be an integer"),
        ({"factory": "acme.backend"}, "factory must be a string 'package.module:function'"),
        ({"factory": print}, "factory must be a string"),
        ({"probe": "probe"}, "probe must be a string"),
    ],
)
def test_fields_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        spec(**fields)
