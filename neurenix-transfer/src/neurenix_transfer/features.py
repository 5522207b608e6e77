"""Functions that look into models and cut them; public as ``neurenix.transfer.utils``."""

from neurenix_transfer.activations import visualize_layer_activations
from neurenix_transfer.feature_extractor import get_model_feature_extractor
from neurenix_transfer.layer_outputs import get_layer_outputs
from neurenix_transfer.similarity import compare_model_features

__all__ = [
    "compare_model_features",
    "get_layer_outputs",
    "get_model_feature_extractor",
    "visualize_layer_activations",
]
