"""The probe, and a backend that would be good."""

from neurenix.backends.numpy.backend import NumpyBackend


def probe():
    raise OSError("libnpu.so.1: cannot open shared object file")


def open_backend():
    return NumpyBackend()
