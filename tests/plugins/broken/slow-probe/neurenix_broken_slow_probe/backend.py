"""A probe that waits for what never comes."""

import time

from neurenix.backends.numpy.backend import NumpyBackend


def probe():
    time.sleep(600)


def open_backend():
    return NumpyBackend()
