"""Compiled functions, such as training steps: plans made as calls come in."""

from __future__ import annotations

import threading
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neurenix.errors import TraceError
from neurenix.graph.call_signature import describe_call
from neurenix.graph.executable import Executable, Fallback, make_executable
from neurenix.graph.foreign_random import same_random_numbers
from neurenix.graph.sameness import same_graph
from neurenix.graph.step_trace import TracedCall, trace_step
from neurenix.graph.surroundings import Names, Surroundings
from neurenix.ops.mode import mode
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph

# Plans keep memory; arguments of ever other shapes would pile them up.
_MAX_PLANS = 16
# So often may what a function reads be another than at the call before, in a row.
_MAX_CHANGES = 4


@dataclass(frozen=True, slots=True)
class _Entry:
    """A plan, and what a run does with gradients; see `TracedCall`."""

    graph: Graph
    executable: Executable
    call: TracedCall
    results: int

    def serves(self) -> bool:
        """Whether the gradients that are there are those that the plan takes."""
        return all((leaf.grad is None) is absent for leaf, absent in self.call.absent)

    def run(self, leaves: Sequence[Tensor]) -> Any:
        """Run the plan on the tensors of a call."""
        call = self.call
        inputs = leaves
        if call.given:
            inputs = [*leaves, *(leaf.grad for leaf in call.given)]  # type: ignore[list-item]
        for leaf in call.filled:
            leaf.grad = None  # its memory is free for the new one
        outputs = self.executable.run(inputs)
        count = self.results
        for leaf, grad in zip(call.filled, outputs[count:], strict=True):
            leaf.grad = grad
        for leaf in call.cleared:
            leaf.grad = None
        return call.structure.rebuild(iter(outputs[:count]))


@dataclass(slots=True)
class _Table:
    """The plans of one state of what the function reads, which it keeps alive.

    Ids of Python objects stand in keys: they are their own as long as the objects live.
    """

    around: Surroundings
    plans: dict[Any, list[_Entry] | str] = field(default_factory=dict)


class CompiledFunction:
    """A function that runs as plans; see `neurenix.graph.compile`.

    Attributes:
        function: The function.
        fallback: What happens where it runs eagerly: "warn", "silent" or "error".
        reasons: Why calls ran eagerly, each once.
    """

    def __init__(self, function: Callable[..., Any], fallback: Fallback) -> None:
        self.function = function
        self.fallback = fallback
        self.reasons: list[str] = []
        self.__doc__ = getattr(function, "__doc__", None)
        self.__name__ = str(getattr(function, "__name__", type(function).__name__))
        self._lock = threading.RLock()
        self._names = Names()
        self._met: list[Tensor] = []
        self._rates = False
        self._now: OrderedDict[Any, tuple[Surroundings, _Table]] = OrderedDict()
        self._tables: dict[Any, _Table] = {}
        self._order: OrderedDict[tuple[Any, Any], None] = OrderedDict()
        self._changes: Counter[Any] = Counter()
        self._given_up: dict[Any, str] = {}
        self._changed_in_a_row = 0
        self._recent: tuple[Graph, Executable] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, having done what it does."""
        if mode.tracer is not None:
            return self.function(*args, **kwargs)
        try:
            leaves, key, statics = describe_call(args, kwargs)
        except TraceError as error:
            return self._run_eagerly(str(error), args, kwargs)
        reason = self._given_up.get(key)
        if reason is None:
            found = self._find(key, statics, leaves, args, kwargs)
            if isinstance(found, _Entry):
                return found.run(leaves)
            reason = found
        return self._run_eagerly(reason, args, kwargs)

    def executable(self, *args: Any, **kwargs: Any) -> Executable:
        """Return what runs for these arguments, tensors or `TensorMeta`: for looking at it.

        Raises:
            TraceError: The function runs eagerly for them; the message says why.
        """
        leaves, key, statics = describe_call(args, kwargs)
        found = self._given_up.get(key) or self._find(
            key, statics, leaves, args, kwargs, ahead=True
        )
        if found is None:
            raise TraceError(
                "what it makes at its first call, such as the state of an optimizer, is not there "
                "yet; call it once"
            )
        if isinstance(found, str):
            raise TraceError(found)
        return found.executable

    def prepare(self, *examples: Any) -> None:
        """Make a plan ahead, if the function has all that its first call makes."""
        try:
            leaves, key, statics = describe_call(examples, {})
            found = self._find(key, statics, leaves, examples, {}, ahead=True)
        except TraceError as error:
            found = str(error)
        if isinstance(found, str):
            self._tell(found, 4)

    # Finding a plan -----------------------------------------------------------------------------

    def _find(
        self,
        key: Any,
        statics: tuple[Any, ...],
        leaves: Sequence[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        ahead: bool = False,
    ) -> _Entry | str | None:
        """Return the plan for a call, or why there is none; None: not this time.

        Args:
            key: What stands for the arguments.
            statics: Arguments that are no tensors, to be looked through.
            leaves: The tensors.
            args: The arguments.
            kwargs: Those with keywords.
            ahead: Whether this is no call yet: what a first call makes must not be made.
        """
        if any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves) and mode.grad:
            return "an argument requires a gradient, and a plan leaves no tape"
        around, table = self._surroundings(statics)
        found = table.plans.get(key)
        if found is not None:
            self._changed_in_a_row = 0
            self._order.move_to_end((id(table), key))
            if isinstance(found, str):
                return found
            for entry in found:
                if entry.serves():
                    for sync in around.syncs:
                        sync()
                    return entry
        if around.obstacle is not None:
            return around.obstacle
        with self._lock:
            return self._make(key, statics, args, kwargs, ahead=ahead)

    def _surroundings(self, statics: tuple[Any, ...]) -> tuple[Surroundings, _Table]:
        """Return what the function reads now, and the plans for it."""
        known = self._now.get(statics)
        if known is not None and known[0].holds():
            return known
        with self._lock:
            around = Surroundings(
                [self.function, *statics], self._met, self._names, rates=self._rates
            )
            table = self._tables.get(around.key)
            if table is None:
                table = self._tables[around.key] = _Table(around)
                self._changed_in_a_row += known is not None
                if known is not None and self._changed_in_a_row > _MAX_CHANGES:
                    around.obstacle = around.obstacle or (
                        f"{around.difference(known[0])} is another one at each call, so no plan "
                        "can be used twice; pass it as an argument, as a tensor"
                    )
            self._now[statics] = around, table
            if len(self._now) > _MAX_PLANS:
                self._now.popitem(last=False)
            self._forget_tables()
            return around, table

    def _make(
        self,
        key: Any,
        statics: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        ahead: bool,
    ) -> _Entry | str | None:
        self._now.pop(statics, None)  # a trace is undone to what is there now, rates included
        around, table = self._surroundings(statics)
        try:
            with same_random_numbers() as drew:
                try:
                    call = trace_step(self.function, args, kwargs, around.leaves(), around.names())
                finally:
                    changes = around.undo()
        except TraceError as error:
            return self._keep(table, key, str(error))
        except Exception as error:  # the eager call raises it, if it is no trace's alone
            return self._keep(table, key, f"{type(error).__name__}: {error}")
        made = around.forget_state() if ahead else around.made_state()
        if drew:
            return self._keep(
                table,
                key,
                f"it draws from {drew[0]}, which a plan would not do again; draw from neurenix's "
                "random numbers",
            )
        if changes:  # perhaps what it makes once, at its first call
            self._changes[key] += 1
            if self._changes[key] > 1:
                self._given_up[key] = (
                    f"it changes {changes[0]}, which a plan would not; do that outside of the "
                    "function"
                )
                return self._given_up[key]
            return None
        if made and ahead:
            return None
        unwatched = around.unwatched(call.graph, call.strangers)
        self._met += unwatched
        if not self._rates and self._bakes_rates(around, call.graph):
            self._rates = True
        entry = _Entry(
            call.graph,
            self._executable(call.graph),
            call,
            len(call.graph.outputs) - len(call.filled),
        )
        if unwatched or (self._rates and not around.rates):
            self._now.clear()
            around, table = self._surroundings(statics)
        if not made:  # with its state, an optimizer's next step may be another
            self._keep(table, key, entry)
        return entry

    def _keep(self, table: _Table, key: Any, found: _Entry | str) -> _Entry | str:
        """Keep a plan, or the reason why there is none, and forget the oldest."""
        if isinstance(found, str):
            table.plans[key] = found
        else:
            entries = table.plans.setdefault(key, [])
            assert isinstance(entries, list)
            entries.insert(0, found)
        self._order[id(table), key] = None
        self._order.move_to_end((id(table), key))
        if len(self._order) > _MAX_PLANS:
            (owner, oldest), _ = self._order.popitem(last=False)
            for each in self._tables.values():
                if id(each) == owner:
                    each.plans.pop(oldest, None)
            self._forget_tables()
        return found

    def _forget_tables(self) -> None:
        """Let go of what was read at times of which no plan is left."""
        current = {id(table) for _, table in self._now.values()}
        for key, table in list(self._tables.items()):
            if not table.plans and id(table) not in current:
                del self._tables[key]

    def _executable(self, graph: Graph) -> Executable:
        """Return what runs a graph; a graph that computes the same as the last one shares it."""
        recent = self._recent
        if recent is not None and same_graph(recent[0], graph):
            return recent[1]
        executable = make_executable(graph)
        self._recent = graph, executable
        return executable

    def _bakes_rates(self, around: Surroundings, graph: Graph) -> bool:
        """Whether an optimizer's learning rate became a number of the graph."""
        written = {storage for node in graph.nodes for storage in node.written}
        captured = {id(v.tensor): v.storage in written for v in graph.captured}
        for optimizer in around.optimizers:
            rates = getattr(optimizer, "rate_tensors", None)
            for index, group in enumerate(optimizer.param_groups):
                if any(captured.get(id(param)) for param in group["params"]) and not any(
                    id(rate) in captured for rate in (rates(index) if rates is not None else ())
                ):
                    return True
        return False

    # Running eagerly ----------------------------------------------------------------------------

    def _run_eagerly(
        self, reason: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if reason is not None and self.fallback == "error":
            self._tell(reason, 4)
        result = self.function(*args, **kwargs)
        if reason is not None:
            self._tell(reason, 4)
        return result

    def _tell(self, reason: str, stacklevel: int) -> None:
        """Say once that the function runs eagerly, and why."""
        if self.fallback == "error":
            raise TraceError(f"the compiled {self.__name__} cannot run as a plan: {reason}")
        if reason not in self.reasons:
            self.reasons.append(reason)
            if self.fallback == "warn":
                warnings.warn(
                    f"the compiled {self.__name__} runs eagerly: {reason}",
                    RuntimeWarning,
                    stacklevel=stacklevel,
                )

    def __repr__(self) -> str:
        tables = self._tables.values()
        kinds = [found for table in tables for found in table.plans.values()]
        plans = sum(len(found) for found in kinds if not isinstance(found, str))
        return f"<compiled {self.__name__}: {plans} plans>"
