"""Low-rank adapters (LoRA, DoRA): train a big layer by a few numbers.

| File | Holds |
|---|---|
| `layers` | the adapted layers, and how a layer becomes one and a plain one again |
| `attaching` | `add_lora`, `merge_lora`, `unload_lora`: adapters on the layers of a model |
| `files` | `save_lora`, `load_lora`: adapters without their base, which they know again |
| `portable_names` | what a tensor is called whether its base stands alone or in a `TransferModel` |
"""

from neurenix_transfer.adapters.attaching import AdapterError, add_lora, merge_lora, unload_lora
from neurenix_transfer.adapters.files import load_lora, save_lora
from neurenix_transfer.adapters.layers import AdapterSpec, LoRAConv2d, LoRALinear

__all__ = [
    "AdapterError",
    "AdapterSpec",
    "LoRAConv2d",
    "LoRALinear",
    "add_lora",
    "load_lora",
    "merge_lora",
    "save_lora",
    "unload_lora",
]
