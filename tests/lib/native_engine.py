"""Whether the native engine can be built here, for tests that need its wheel."""

from __future__ import annotations

import pytest
from build_distributions import buildable

ENGINE = "neurenix-backend-cpu"
needs_engine = pytest.mark.skipif(
    ENGINE not in buildable(), reason=f"{ENGINE} is not built here: there is no cargo"
)
