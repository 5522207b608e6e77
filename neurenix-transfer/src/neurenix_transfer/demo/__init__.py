"""The demo: learning handwritten digits with and without transfer, side by side."""
