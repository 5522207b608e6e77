"""Build the native CPU engine and install it here, where cargo is at hand.

    python tools/install_engine.py

Without cargo it says so and changes nothing: NumPy serves the device `cpu` then. An engine that was
installed from the same sources stays as it is.
"""

from __future__ import annotations

from native_wheel import install

if __name__ == "__main__":
    install("neurenix-backend-cpu", "native CPU engine", "NumPy serves the device cpu")
