"""Results depend neither on the number of threads, nor on the batch, nor on AVX2 or AVX-512."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

import neurenix as nx
from neurenix import nn

RunPython = Callable[..., CompletedProcess[str]]

TRAIN = """
import hashlib
import neurenix as nx
from neurenix import nn

nx.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 20, 7, stride=2, padding=3), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
    nn.Conv2d(20, 40, 3, padding=1), nn.BatchNorm2d(40), nn.ReLU(),
    nn.Conv2d(40, 40, 3, padding=1, groups=2), nn.GELU(), nn.Conv2d(40, 33, 1, stride=2),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(33), nn.Linear(33, 50), nn.Tanh(),
    nn.Linear(50, 5),
)
optimizer = nx.optim.AdamW(model.parameters(), lr=1e-3)
images, labels = nx.randn((9, 3, 61, 61)), nx.randint(0, 5, (9,))
for _ in range(3):
    loss = nn.functional.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
with nx.no_grad():
    logits = model(images)
digest = hashlib.sha256()
for tensor in [loss, logits, *model.parameters(), *model.buffers()]:
    digest.update(tensor.detach().numpy().tobytes())
print(digest.hexdigest())
"""


def digest(run_python: RunPython, **variables: str) -> str:
    done = run_python(TRAIN, NEURENIX_HOST_FALLBACK="error", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_training_has_the_same_bits_for_any_number_of_threads(run_python: RunPython) -> None:
    one = digest(run_python, NEURENIX_NUM_THREADS="1")
    assert len(one) == 64
    assert digest(run_python, NEURENIX_NUM_THREADS="2") == one
    assert digest(run_python, NEURENIX_NUM_THREADS="5") == one


def test_training_has_the_same_bits_on_avx2_and_on_avx512(
    run_python: RunPython, instruction_sets: tuple[str, ...]
) -> None:
    if not {"avx2", "avx512"} <= set(instruction_sets):
        pytest.skip(f"this processor has {', '.join(instruction_sets)} only")
    assert digest(run_python, NEURENIX_CPU_ISA="avx2") == digest(
        run_python, NEURENIX_CPU_ISA="avx512"
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "plan"])
def test_a_sample_has_the_same_bits_in_any_batch(compiled: bool) -> None:
    nx.manual_seed(0)
    model = nx.models.resnet18(num_classes=7).eval()
    run = nx.compile(model) if compiled else model
    images = nx.randn((5, 3, 75, 75))
    with nx.no_grad():
        together = run(images).numpy()
        for index in range(5):
            alone = run(images[index : index + 1]).numpy()
            assert alone.tobytes() == together[index : index + 1].tobytes()


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    nx.manual_seed(0)
    model = nn.Sequential(nn.Linear(70, 130), nn.GELU(), nn.LayerNorm(130), nn.Linear(130, 9))
    rows = nx.randn((37, 70))
    with nx.no_grad():
        together = nx.softmax(model(rows)).numpy()
        for start, stop in [(0, 1), (3, 17), (20, 37)]:
            part = nx.softmax(model(rows[start:stop])).numpy()
            assert part.tobytes() == together[start:stop].tobytes()
