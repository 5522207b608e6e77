"""Recipes: whole ways to fine-tune, from the optimizer to the order in which layers learn.

| File | Holds |
|---|---|
| `adapt` | `adapt`: runs a recipe |
| `job` | what a recipe is asked to do |
| `heads`, `head_features` | the Linear that a probe sets; what goes into it |
| `probe` | a linear probe |
| `lp_ft` | a linear probe, then fine-tuning at a small rate |
| `progressive` | gradual unfreezing with discriminative rates |
| `choosing`, `trials` | which of them suits the data, by cross-validation |
| `copies` | which samples stay on one side of its folds |
| `layers`, `rates` | which layers of the base are trained; at which rates |
| `phases` | the history of several phases as one |
"""

from __future__ import annotations

from neurenix_transfer.recipes.adapt import RECIPES, adapt
from neurenix_transfer.recipes.job import RecipeError

__all__ = ["RECIPES", "RecipeError", "adapt"]
