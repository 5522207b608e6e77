"""Ops: one declaration each, with its shape rule, gradient rules and decomposition beside it.

    exp = primitive("exp", meta=same_float)

    @exp.vjp("x")
    def _(grad, out):
        return grad * out

The positional parameters of ``meta`` name the op's inputs, its keyword-only parameters the
attributes. A gradient rule names what it needs: ``grad``, any input ``x``, its shape
``x_shape``, any output, any attribute, ``needs`` (an input's name to whether its gradient is
wanted); only what is named is kept for the backward pass, and a rule runs only where its gradient
is wanted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from neurenix.dtypes import DType
from neurenix.ops import dispatch

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

Shape: TypeAlias = tuple[int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])

OPS: dict[str, Op] = {}
"""Every declared op by its name."""


class TensorMeta(NamedTuple):
    """What is known of a tensor without its values."""

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


class ViewMeta(NamedTuple):
    """Where a view lies in the buffer of its source; strides and offset count elements."""

    shape: Shape
    strides: Shape
    offset: int


MetaRule: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A gradient rule, and where the values of its parameters come from.

    Attributes:
        function: Called with the values of its parameters.
        targets: The inputs whose gradients it returns; several make it return a tuple.
        parameters: (kind, key) a parameter: ``("grad", 0)``, ``("needs", 0)``,
            ``("input", i)``, ``("output", i)``, ``("shape", i)`` or ``("attr", name)``.
    """

    function: Callable[..., Any]
    targets: tuple[int, ...]
    parameters: tuple[tuple[str, Any], ...]


class Op:
    """An operation on tensors.

    Attributes:
        doc: What it does, for reference pages.
        name: Its one name everywhere: kernels, tests, benchmarks.
        meta: Shape rule: from inputs (anything with ``shape`` and ``dtype``) and attributes to a
            `TensorMeta`, or to a tuple of them where the op has several outputs.
        inputs: Names of the inputs; the last stands for all further ones if ``variadic``.
        outputs: Names of the outputs. A gradient flows through the first alone.
        donates: Output index to the input whose buffer it is; the op writes that input.
        differentiable: Whether a gradient can flow through it at all.
        view: It only describes the same buffer anew; ``meta`` gives a `ViewMeta`.
        rules: Its gradient rules.
        decomposition: The same computation in simpler ops, or None for a primitive.
    """

    __slots__ = (
        "attrs",
        "decomposition",
        "differentiable",
        "doc",
        "donates",
        "inputs",
        "meta",
        "name",
        "outputs",
        "rules",
        "variadic",
        "view",
    )

    def __init__(
        self,
        name: str,
        *,
        meta: MetaRule,
        outputs: tuple[str, ...] = ("out",),
        donates: Mapping[int, int] | None = None,
        differentiable: bool = True,
        view: bool = False,
        doc: str | None = None,
    ) -> None:
        if name in OPS:
            raise ValueError(f"there is an op {name!r} already")
        parameters = inspect.signature(meta).parameters.values()
        self.name = name
        self.doc = doc
        self.meta = meta
        self.inputs = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.attrs = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.outputs = outputs
        self.donates = dict(donates or {})
        self.differentiable = differentiable
        self.view = view
        self.rules: list[Rule] = []
        self.decomposition: Callable[..., Any] | None = None
        OPS[name] = self

    def vjp(self, *targets: str) -> Callable[[Function], Function]:
        """Declare the gradient rule of an input: the vector-Jacobian product.

        Args:
            targets: The input, or several whose gradients one computation gives together; the
                rule then returns a tuple in this order. In a variadic op the one target stands
                for all inputs.
        """

        def declare(function: Function) -> Function:
            parameters = tuple(
                self._source(name) for name in inspect.signature(function).parameters
            )
            indices = tuple(self.inputs.index(target) for target in targets)
            self.rules.append(Rule(function, indices, parameters))
            return function

        return declare

    def _source(self, name: str) -> tuple[str, Any]:
        if name in ("grad", "needs"):
            return name, 0
        if name in self.outputs:
            return "output", self.outputs.index(name)
        if name in self.inputs:
            return "input", self.inputs.index(name)
        if name in self.attrs:
            return "attr", name
        if name.removesuffix("_shape") in self.inputs:
            return "shape", self.inputs.index(name.removesuffix("_shape"))
        raise ValueError(
            f"a gradient rule of {self.name!r} has a parameter {name!r}, which is neither grad, "
            f"needs, an input {self.inputs}, an output {self.outputs} nor an attribute {self.attrs}"
        )

    def decompose(self, function: Function) -> Function:
        """Declare the op's decomposition: same parameters, simpler ops."""
        self.decomposition = function
        return function

    def __call__(self, *inputs: Tensor | None, **attrs: Any) -> Tensor:
        """Apply the op; of several outputs, return the first."""
        return dispatch.apply(self, inputs, attrs)[0]

    def all(self, *inputs: Tensor | None, **attrs: Any) -> tuple[Tensor, ...]:
        """Apply the op and return all its outputs."""
        return dispatch.apply(self, inputs, attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def primitive(
    name: str,
    *,
    meta: MetaRule,
    differentiable: bool = True,
    view: bool = False,
    donates: Mapping[int, int] | None = None,
    doc: str | None = None,
) -> Op:
    """Declare an op that every backend has a kernel for."""
    return Op(name, meta=meta, differentiable=differentiable, view=view, donates=donates, doc=doc)


def composite(
    name: str,
    *,
    meta: MetaRule,
    outputs: tuple[str, ...] = ("out",),
    donates: Mapping[int, int] | None = None,
    differentiable: bool = True,
    doc: str | None = None,
) -> Op:
    """Declare an op that has a decomposition; a backend may have a kernel for it.

    With gradient rules it is one node of the tape; without, its decomposition is taped.
    """
    return Op(
        name,
        meta=meta,
        outputs=outputs,
        donates=donates,
        differentiable=differentiable,
        doc=doc,
    )
