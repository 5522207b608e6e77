"""The feature cache: the frozen part of a network runs once a sample, not once an epoch.

The cut between what is frozen and what is trained is found on the traced graph of the model
(`cut`); the frozen side runs as a compiled plan by single samples (`frozen`), the rest is replayed
with the tape (`replay`). What is kept, where and by which keys is decided in `policy`, `samples`
and `store`; `feature_cache` puts it together for the training loop.
"""

from neurenix_transfer.cache.feature_cache import FeatureCache
from neurenix_transfer.cache.policy import CacheError, CacheOptions
from neurenix_transfer.cache.reuse import StoredSamples
from neurenix_transfer.cache.store import CacheMode

__all__ = ["CacheError", "CacheMode", "CacheOptions", "FeatureCache", "StoredSamples"]
