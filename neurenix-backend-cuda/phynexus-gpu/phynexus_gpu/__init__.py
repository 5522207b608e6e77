"""Phynexus on a GPU, in Python: what the packages for CUDA and for ROCm share.

Each of them carries a copy of this folder with its own native module, `_native`, beside it.
"""
