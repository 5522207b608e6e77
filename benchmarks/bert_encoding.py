"""Encoding texts beside transformers: a MiniLM-shaped BERT, the same weights, the same vectors.

Texts are encoded one by one, as for the feature cache. Ours are filled up to a multiple of 16
tokens, theirs are not; both are measured on the same texts.
"""

from __future__ import annotations

import sys

import machine
import peer


def main() -> None:
    parser = peer.options(__doc__, peers_optional=False)
    # The 10th, 50th, 90th and 99th percentile of text messages.
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 20, 49, 79])
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np

    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is the peer and is not installed: pip install torch transformers")

    from results import Results, in_ms

    import neurenix
    from neurenix.models import Bert, BertConfig

    results = Results("bert_encoding.py", options.json, options.threads)
    torch.set_num_threads(options.threads)
    shape = {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    }
    torch.manual_seed(0)
    theirs = transformers.BertModel(
        transformers.BertConfig(**shape, attn_implementation="eager"), add_pooling_layer=False
    ).eval()
    ours = Bert(BertConfig(**shape))
    ours.load_state_dict(
        {
            name: neurenix.from_numpy(value.numpy())
            for name, value in theirs.state_dict().items()
            if "position_ids" not in name
        }
    )
    ours.eval()

    random = np.random.default_rng(0)
    texts = [random.integers(1, 30000, (1, length)) for length in options.lengths]
    torch_texts = [torch.from_numpy(ids) for ids in texts]
    filled = [neurenix.from_numpy(np.pad(ids, ((0, 0), (0, -ids.shape[1] % 16)))) for ids in texts]
    plans = [neurenix.compile(ours, ids) for ids in filled]

    def eager() -> list[np.ndarray]:
        with neurenix.no_grad():
            return [ours(ids).numpy() for ids in filled]

    def compiled() -> list[np.ndarray]:
        with neurenix.no_grad():
            return [plan(ids).numpy() for plan, ids in zip(plans, filled, strict=True)]

    def transformers_eager() -> list[np.ndarray]:
        with torch.inference_mode():
            return [theirs(ids).last_hidden_state.mean(dim=1).numpy() for ids in torch_texts]

    expected = np.concatenate(transformers_eager())
    for name, run in {"eager": eager, "compiled": compiled}.items():
        difference = np.abs(np.concatenate(run()) - expected).max()
        results.remark(f"neurenix {name}: largest difference from transformers {difference:.1e}")
        if not difference < 1e-4:
            sys.exit("the answers differ: timing them would mean nothing")

    times = peer.measure(
        {
            "neurenix eager": eager,
            "neurenix compiled": compiled,
            "transformers eager": transformers_eager,
        },
        rounds=options.rounds,
        rest_s=peer.REST_S,
    )
    lengths = ", ".join(map(str, options.lengths))
    results.compare(
        f"MiniLM encoding, texts of {lengths} tokens one by one",
        "ms a text",
        in_ms(times, len(texts)),
    )


if __name__ == "__main__":
    peer.start_fairly()
    main()
