"""Random numbers of a training run, keyed by (seed, step).

The order of samples and the random transforms of data are keyed by (seed, epoch) and
(seed, epoch, sample) in `neurenix.data`. What a step draws, such as the choices of Dropout, comes
from a stream of that step alone, in the order of its operations: a step gives the same numbers
whatever ran before it, in a resumed run too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurenix import Generator
from neurenix.random import default_generator


@contextmanager
def drawing_for(seed: int, step: int) -> Iterator[None]:
    """Let the default generator draw from the stream of a step, then go on as before.

    Args:
        seed: The seed of the run.
        step: The number of the step, counted over all epochs.
    """
    generator = default_generator()
    before = generator.get_state()
    generator.set_state(Generator(seed).fork("step", step).get_state())
    try:
        yield
    finally:
        generator.set_state(before)
