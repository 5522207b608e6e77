"""ResNet-18 inference beside PyTorch: the same weights, the same pictures, the same answer."""

from __future__ import annotations

import argparse
import os
import sys

import peer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, help="threads of each library; default: as they are")
    options = parser.parse_args()
    if options.threads:  # before NumPy is loaded, which reads it then
        os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)

    import numpy as np

    try:
        import torch
        from torchvision.models import resnet18 as torch_resnet18
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is the peer and is not installed: pip install torch torchvision")

    import neurenix

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    theirs = torch_resnet18().eval()
    ours = neurenix.models.resnet18()
    ours.load_state_dict(
        {name: neurenix.from_numpy(value.numpy()) for name, value in theirs.state_dict().items()}
    )
    ours.eval()

    shape = (options.batch, 3, options.size, options.size)
    pictures = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    x, torch_x = neurenix.from_numpy(pictures), torch.from_numpy(pictures)
    plan = neurenix.compile(ours, x)

    def eager() -> np.ndarray:
        with neurenix.no_grad():
            return ours(x).numpy()

    def compiled() -> np.ndarray:
        with neurenix.no_grad():
            return plan(x).numpy()

    def torch_eager() -> np.ndarray:
        with torch.inference_mode():
            return theirs(torch_x).numpy()

    expected = torch_eager()
    for name, run in {"eager": eager, "compiled": compiled}.items():
        difference = np.abs(run() - expected).max() / np.abs(expected).max()
        print(f"neurenix {name}: largest difference from PyTorch {difference:.1e} of its range")
        if not difference < 1e-4:
            sys.exit("the answers differ: timing them would mean nothing")

    times = peer.measure(
        {"neurenix eager": eager, "neurenix compiled": compiled, "PyTorch eager": torch_eager},
        rounds=options.rounds,
    )
    peer.report(
        f"ResNet-18 inference, batch {options.batch}, {options.size} x {options.size}, "
        f"PyTorch {torch.__version__} with {torch.get_num_threads()} threads",
        times,
    )


if __name__ == "__main__":
    peer.start_fairly()
    main()
