"""The base class of all layers and models."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from neurenix.nn import mode
from neurenix.nn.hooks import HookHandle, HookTable, call_with_hooks, register
from neurenix.nn.parameter import Parameter
from neurenix.nn.state import IncompatibleKeys, load_state_dict, state_dict
from neurenix.nn.transport import move_module
from neurenix.nn.traversal import Traversal
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType


class Module(Traversal):
    """A function with parameters, made of other modules.

    A subclass defines ``forward``; calling the module runs it. What is assigned as an attribute
    is registered by its type: a `Parameter` as trainable, a `Module` as a child. Tensors that
    belong to the module's state but are not trained are registered with `register_buffer`.

        class Scale(Module):
            def __init__(self, channels: int) -> None:
                super().__init__()
                self.scale = Parameter(neurenix.ones((channels,)))

            def forward(self, x: Tensor) -> Tensor:
                return x * self.scale

    Attributes:
        when_frozen: What frozen parameters mean for the mode, in this module and below:
            ``"train"``, ``"eval"``, ``"eval_batch_norm"``, or None to do as the parent does.
            See `neurenix.nn.mode`.
        keeps_batch_statistics: Whether the module changes its buffers while it trains, as
            BatchNorm does.
        optional_state: Names of buffers that a state dict may lack without being incomplete.
    """

    when_frozen: mode.WhenFrozen | None = None
    keeps_batch_statistics: ClassVar[bool] = False
    optional_state: ClassVar[frozenset[str]] = frozenset()

    # The values of parameters, buffers and children are plain attributes of the instance, which
    # Python reads fastest; the registries below hold their names only, in order.
    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]  # name -> whether it belongs to the state dict
    _child_names: dict[str, None]
    _parents: dict[int, weakref.ref[Module]]
    _forward_hooks: HookTable
    _forward_pre_hooks: HookTable
    _training: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        # Set up here, so that a subclass works even if it forgets super().__init__().
        self = super().__new__(cls)
        vars(self).update(
            _parameter_names={},
            _buffer_names={},
            _child_names={},
            _parents={},
            _forward_hooks={},
            _forward_pre_hooks={},
            _training=True,
        )
        return self

    def __init__(self) -> None:
        pass

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output. Every subclass that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``, and the hooks around it."""
        if self._buffer_names:
            mode.follow_device(self)
        if self._forward_pre_hooks or self._forward_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter | Module):
            if not self._is_registered(name) and not hasattr(Module, name):
                self.__dict__.pop(name, None)  # a plain attribute gives way
            if isinstance(value, Parameter):
                self.register_parameter(name, value)
            else:
                self.register_module(name, value)
        elif name in self._parameter_names and value is not None:
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter; assign an nn.Parameter or None, "
                f"not {_described(value)}. To change its values, use {name}.copy_(...)"
            )
        elif name in self._child_names and value is not None:
            raise TypeError(
                f"{type(self).__name__}.{name} is a child module; assign a Module or None, "
                f"not {_described(value)}, or delete it first"
            )
        elif name in self._buffer_names and not (value is None or isinstance(value, Tensor)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a buffer; assign a Tensor or None, "
                f"not {_described(value)}"
            )
        elif name == "when_frozen" and value not in (None, *mode.WHEN_FROZEN):
            raise ValueError(
                f"when_frozen is one of {', '.join(map(repr, mode.WHEN_FROZEN))} or None, "
                f"not {value!r}"
            )
        else:
            if name in self._child_names:
                self._disown(name)
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._child_names:
            self._disown(name)
            del self._child_names[name]
        self._parameter_names.pop(name, None)
        self._buffer_names.pop(name, None)
        object.__delattr__(self, name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name, as for the bias of a layer without one.

        Raises:
            TypeError: It is not a `Parameter`.
            ValueError: The name cannot be used.
        """
        if not (param is None or isinstance(param, Parameter)):
            raise TypeError(f"parameter {name!r} must be an nn.Parameter, not {_described(param)}")
        self._claim(name, self._parameter_names)
        self._parameter_names[name] = None
        object.__setattr__(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but is not trained, such as a running mean.

        Args:
            name: The attribute under which it is read.
            tensor: Its value; None reserves the name.
            persistent: Whether it is part of the state dict.

        Raises:
            TypeError: It is not a `Tensor`.
            ValueError: The name cannot be used.
        """
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(f"buffer {name!r} must be a Tensor, not {_described(tensor)}")
        self._claim(name, self._buffer_names)
        self._buffer_names[name] = persistent
        object.__setattr__(self, name, tensor)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name.

        Raises:
            TypeError: It is not a `Module`.
            ValueError: The name cannot be used.
        """
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"child {name!r} must be a Module, not {_described(module)}")
        self._claim(name, self._child_names)
        self._disown(name)
        self._child_names[name] = None
        object.__setattr__(self, name, module)
        if module is not None:
            module._adopt(self)

    add_module = register_module

    def _claim(self, name: Any, registry: Mapping[str, Any]) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(
                f"{name!r} cannot name a part of a module: expected text, not empty and without "
                "dots, which separate the levels of a path"
            )
        if name in registry:
            return
        if self._is_registered(name):
            delattr(self, name)  # the new kind takes the name over
        elif getattr(self, name, None) is not None:
            raise ValueError(
                f"{type(self).__name__} already has an attribute {name!r}; choose another name"
            )

    def _is_registered(self, name: str) -> bool:
        return (
            name in self._parameter_names or name in self._buffer_names or name in self._child_names
        )

    def _adopt(self, parent: Module) -> None:
        for key in [key for key, ref in self._parents.items() if ref() is None]:
            del self._parents[key]
        self._parents[id(parent)] = weakref.ref(parent)

    def _disown(self, name: str) -> None:
        """Tell a child that it is going, unless it stays under another name."""
        child = self.__dict__.get(name)
        if isinstance(child, Module) and not any(
            self.__dict__[other] is child for other in self._child_names if other != name
        ):
            child._parents.pop(id(self), None)

    def __getstate__(self) -> dict[str, Any]:
        # A copy shares the children of a shallow copy, never its tables or parents.
        state = dict(vars(self))
        for table in ("_parameter_names", "_buffer_names", "_child_names"):
            state[table] = dict(state[table])
        for table in ("_forward_hooks", "_forward_pre_hooks"):
            state[table] = dict(state[table])
        del state["_parents"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for child in self.children():
            child._adopt(self)

    # Mode

    @property
    def training(self) -> bool:
        """Whether the module runs in training mode.

        This is the flag that `train` and `eval` set, unless the module is frozen and its
        `when_frozen` says that frozen modules run in eval mode. Assigning sets the flag.
        """
        return self._training and mode.runs_in_training(self)

    @training.setter
    def training(self, value: bool) -> None:
        object.__setattr__(self, "_training", bool(value))

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it into training mode, or into eval mode.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The module itself.
        """
        if not isinstance(mode, bool):
            raise TypeError(f"train() takes True or False, not {_described(mode)}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all below it into eval mode: the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make every parameter trainable, or freeze it."""
        for param in self.parameters():
            param.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                param.grad = param.grad.detach().zero_()

    # State, device and dtype

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Return all parameters and persistent buffers by their paths.

        The tensors are detached, and share their storage with the module's own.

        Args:
            prefix: What every key begins with.
        """
        return state_dict(self, prefix)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers, keeping their identity.

        Everything is checked first: where it raises, nothing has changed.

        Args:
            state_dict: Tensors or arrays, by path.
            strict: Whether missing and unexpected keys are an error. A shape that does not fit
                is one in any case.

        Returns:
            The keys that were missing and those that were unexpected.

        Raises:
            StateDictError: Keys or shapes do not fit; one message lists them all.
        """
        return load_state_dict(self, state_dict, strict)

    def to(
        self,
        *targets: DeviceLike | DType,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
    ) -> Self:
        """Move everything to a device, and cast what is floating to a dtype, in place.

        Parameters and buffers keep their identity, so that optimizers keep hold of them;
        gradients come along.

        Args:
            *targets: A device, a dtype, or both.
            device: The device.
            dtype: The floating dtype.

        Returns:
            The module itself.
        """
        move_module(self, targets, device, dtype)
        return self

    def apply(self, function: Callable[[Module], None]) -> Self:
        """Call a function with every module below this one, children first, then with this."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # Hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args)`` before every forward.

        What it returns, unless None, replaces the arguments: a tuple of them, or a single one.

        Args:
            hook: The function.
            prepend: Whether it runs before the hooks that are there already.
            with_kwargs: Call ``hook(module, args, kwargs)`` instead; it returns both or None.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return register(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args, output)`` after every forward.

        What it returns, unless None, replaces the output.

        Args:
            hook: The function.
            prepend: Whether it runs before the hooks that are there already.
            with_kwargs: Call ``hook(module, args, kwargs, output)`` instead.

        Returns:
            A handle whose ``remove()`` takes the hook away.
        """
        return register(self._forward_hooks, hook, prepend, with_kwargs)

    # Description

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the repr, such as the sizes."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.splitlines() if "\n" in extra else []
        for name in self._child_names:
            lines.append(f"({name}): {self.__dict__[name]!r}".replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({extra})"
        if extra and "\n" not in extra:
            lines.insert(0, extra)
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _described(value: object) -> str:
    return f"a {type(value).__name__}"
