"""Functions that look into models and cut them; ``neurenix_transfer`` holds them."""

from neurenix.transfer import (
    compare_model_features,
    get_layer_outputs,
    get_model_feature_extractor,
    visualize_layer_activations,
)

__all__ = [
    "compare_model_features",
    "get_layer_outputs",
    "get_model_feature_extractor",
    "visualize_layer_activations",
]
