"""A factory that fails as one in Rust does: PyO3 derives its panics from BaseException."""


class PanicException(BaseException):
    __module__ = "pyo3_runtime"


def open_backend():
    raise PanicException("called `Option::unwrap()` on a `None` value")
