"""A factory that fails."""


def open_backend():
    raise RuntimeError("the device is out of memory")
