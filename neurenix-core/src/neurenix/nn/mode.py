"""Which mode a module runs in, and which device its buffers belong to.

`Module.train` and `Module.eval` set a flag. The mode that a module runs in, `Module.training`,
is that flag combined with `Module.when_frozen`, which says what frozen parameters
(``requires_grad`` is False) mean for the mode:

* ``"train"``: nothing, as in PyTorch. The default of a model that nobody froze on purpose.
* ``"eval"``: a subtree whose parameters are all frozen runs in eval mode, so that its BatchNorm
  keeps its statistics and its Dropout rests. A partly frozen subtree trains.
* ``"eval_batch_norm"``: as ``"eval"``, and every BatchNorm below runs in eval mode too.
* ``None``: as the parent has it.

Transfer learning sets ``"eval"`` on what it freezes. The answer is found anew at each question,
from ``requires_grad`` as it stands, so that no bookkeeping can fall out of step with it. It is
asked for by the few layers that depend on it, and costs microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from neurenix.nn.module import Module

WhenFrozen: TypeAlias = Literal["train", "eval", "eval_batch_norm"]
WHEN_FROZEN: tuple[WhenFrozen, ...] = ("train", "eval", "eval_batch_norm")
_DEPTH = 64


def parents(module: Module) -> list[Module]:
    """Return the modules that hold ``module`` as a child, as far as they are alive."""
    alive = (ref() for ref in module._parents.values())
    return [parent for parent in alive if parent is not None]


def runs_in_training(module: Module) -> bool:
    """Whether a module whose flag says training runs so, given what is frozen."""
    policy = _policy(module)
    if policy == "train":
        return True
    if policy == "eval_batch_norm" and module.keeps_batch_statistics:
        return False
    holders = parameter_holders(module)
    return not holders or any(map(_trains, holders))


def parameter_holders(module: Module) -> list[Module]:
    """Return the module itself if it has parameters, else its nearest ancestors that have some.

    More than one ancestor comes back only where a module is shared between several parents.
    """
    seen: set[int] = set()
    level = [module]
    while level:
        holders = [each for each in level if next(each.parameters(), None) is not None]
        if holders:
            return holders
        level = _above(level, seen)
    return []


def _trains(module: Module) -> bool:
    values = module.__dict__
    for name in module._parameter_names:
        if values[name] is not None and values[name].requires_grad:
            return True
    return bool(module._child_names) and any(param.requires_grad for param in module.parameters())


@contextmanager
def evaluating(module: Module) -> Iterator[Module]:
    """Put a module into eval mode for a block, then put every flag back as it was.

    Unlike reading `Module.training` and setting it back, this restores the flags of modules that
    run in eval mode because they are frozen.

    Args:
        module: The module; all of its submodules follow it.
    """
    flags = [(each, each._training) for each in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for each, flag in flags:
            each.training = flag


def follow_device(module: Module) -> None:
    """Move a module's buffers to where its parameters are.

    Parameters can be moved one by one, with ``param.to(device, inplace=True)``. Buffers, which
    nobody iterates over, follow at the module's next forward.
    """
    values = module.__dict__
    for name in module._parameter_names:
        if values[name] is not None:
            device = values[name].device
            break
    else:
        holders = parameter_holders(module)
        if not holders:
            return
        device = next(holders[0].parameters()).device
    for name in module._buffer_names:
        buffer = values[name]
        if buffer is not None and buffer.device is not device:
            buffer.to(device, inplace=True)


def _policy(module: Module) -> WhenFrozen:
    # Nearly every module has one parent, and this is asked at every forward of a BatchNorm: go
    # up without a list as long as that holds, and no farther than models are deep (a module
    # may, by mistake, be its own ancestor).
    for _ in range(_DEPTH):
        if module.when_frozen is not None:
            return module.when_frozen
        if len(module._parents) != 1:
            break
        (ref,) = module._parents.values()
        parent = ref()
        if parent is None:
            return "train"
        module = parent
    seen: set[int] = set()
    level = [module]
    while level:
        for each in level:
            if each.when_frozen is not None:
                return each.when_frozen
        level = _above(level, seen)
    return "train"


def _above(level: list[Module], seen: set[int]) -> list[Module]:
    """Return the parents of several modules, each once, whatever cycles there are."""
    above = []
    for module in level:
        for parent in parents(module):
            if id(parent) not in seen:
                seen.add(id(parent))
                above.append(parent)
    return above
