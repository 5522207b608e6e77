"""How one walks through the parts of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from neurenix.nn.module import Module
    from neurenix.nn.parameter import Parameter
    from neurenix.tensor import Tensor


class Traversal:
    """The walks of a `Module`: down its children, over its parameters and buffers, by path.

    What is shared, such as tied weights, comes up once, under its first name.
    """

    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]
    _child_names: dict[str, None]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the direct children by name."""
        seen = set()
        for name in self._child_names:
            child = self.__dict__[name]
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """Yield the direct children."""
        for _, child in self.named_children():
            yield child

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it with their paths, parents before children.

        Args:
            prefix: The path of this module.
            remove_duplicate: Whether a shared module comes up under its first path only.
        """
        yield from _walk(cast("Module", self), prefix, set() if remove_duplicate else None)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, parents before children."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their paths.

        Args:
            prefix: The path of this module.
            recurse: Whether those of the modules below are included.
            remove_duplicate: Whether a shared parameter comes up under its first path only.
        """
        return self._named_tensors("_parameter_names", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters.

        Args:
            recurse: Whether those of the modules below are included.
        """
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their paths.

        Args:
            prefix: The path of this module.
            recurse: Whether those of the modules below are included.
            remove_duplicate: Whether a shared buffer comes up under its first path only.
        """
        return self._named_tensors("_buffer_names", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers.

        Args:
            recurse: Whether those of the modules below are included.
        """
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, path: str) -> Module:
        """Return the module at a path such as ``"layer1.0.conv1"``; ``""`` is this one.

        Raises:
            AttributeError: There is no module at that path.
        """
        module: Any = self
        walked: list[str] = []
        for name in path.split(".") if path else ():
            child = module.__dict__.get(name) if name in module._child_names else None
            if child is None:
                where = f" at {'.'.join(walked)!r}" if walked else ""
                has = ", ".join(module._child_names) or "none"
                raise AttributeError(
                    f"no module {path!r}: {type(module).__name__}{where} has no child {name!r}; "
                    f"its children: {has}"
                )
            module = child
            walked.append(name)
        return cast("Module", module)

    def get_parameter(self, path: str) -> Parameter:
        """Return the parameter at a path such as ``"layer1.0.conv1.weight"``.

        Raises:
            AttributeError: There is no parameter at that path.
        """
        return cast("Parameter", self._tensor_at(path, "_parameter_names", "parameter"))

    def get_buffer(self, path: str) -> Tensor:
        """Return the buffer at a path such as ``"bn1.running_mean"``.

        Raises:
            AttributeError: There is no buffer at that path.
        """
        return self._tensor_at(path, "_buffer_names", "buffer")

    def _tensor_at(self, path: str, table: str, kind: str) -> Tensor:
        parent, _, name = path.rpartition(".")
        module = self.get_submodule(parent)
        names = vars(module)[table]
        if name not in names or module.__dict__[name] is None:
            has = ", ".join(names) or "none"
            raise AttributeError(
                f"no {kind} {path!r}: {type(module).__name__} has no {kind} {name!r}; "
                f"its {kind}s: {has}"
            )
        return cast("Tensor", module.__dict__[name])

    def _named_tensors(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners: Iterator[tuple[str, Any]] = (
            self.named_modules(prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        )
        for path, module in owners:
            values = module.__dict__
            for name in values[table]:
                tensor = values[name]
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor


def _walk(module: Module, path: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
    if seen is not None:
        if id(module) in seen:
            return
        seen.add(id(module))
    yield path, module
    for name in module._child_names:
        child = module.__dict__[name]
        if child is not None:
            yield from _walk(child, f"{path}.{name}" if path else name, seen)
