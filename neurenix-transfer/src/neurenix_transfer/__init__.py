"""Transfer learning with Neurenix; public as ``neurenix.transfer``.

| File | Holds |
|---|---|
| `transfer_model` | `TransferModel`: a pretrained base joined with new layers |
| `joining` | which of the base's outputs the new layers take, and in which shape |
| `freezing`, `layer_names` | `freeze_layers`, `unfreeze_layers`, and what names of layers mean |
| `fine_tune` | `fine_tune`: checks everything, then trains |
| `recipes` | `adapt`: a linear probe, gradual unfreezing, and which of them suits the data |
| `training` | the loop: a run, an epoch, a batch, an evaluation |
| `stages`, `streams` | the frozen part and the rest; random numbers by (seed, step) |
| `sources`, `checking` | data in any form as batches; what is checked about them |
| `tasks`, `losses` | what labels are; the loss that follows |
| `options`, `objectives`, `class_weights` | what a training is asked to do; its loss |
| `mixing`, `regularizers`, `averaging`, `gradient_limits` | mixup; L2-SP; averages; clipping |
| `metrics`, `totals` | what is measured, over a whole epoch |
| `checkpoints`, `digests` | the whole state of a run, saved and resumed; what it must fit |
| `callbacks`, `schedules` | what happens at each moment; learning rates |
| `lr_find`, `borrowing` | `lr_find`: the loss at rising rates; a model trained for a trial only |
| `history`, `history_plot`, `progress` | what was measured; what is printed |
| `features` | the four functions below, public as ``neurenix.transfer.utils`` |
| `layer_outputs`, `feature_extractor` | outputs of inner layers; a model cut off behind one |
| `linear_probe` | `fit_linear_probe`: the best linear head on features, in well under a second |
| `logistic`, `standard_basis`, `lbfgs`, `folds` | what it is made of |
| `layer_scores` | `transferability`: which layer's features suit a task, by LogME and by probes |
| `cka` | `cka_map`: how alike all layers of two models are |
| `logme`, `hsic`, `blocks`, `chosen_layers`, `pooling`, `batches` | what these are made of |
| `adapters` | LoRA and DoRA: adapters for Linear and Conv2d, and their files |
| `insight` | `evaluate`, `calibrate`, `grad_cam`: how good, how sure, and by what it goes |
| `prediction`, `loading` | what fine-tuned models say and can do; `load`, which reads one |
| `photos`, `texts`, `runs`, `commands`, `demo` | what the commands do with photos and with texts |
| `activations`, `similarity` | pictures of activations; how alike two models' features are |
"""

from neurenix_transfer._version import __version__ as __version__
from neurenix_transfer.adapters import (
    AdapterError,
    LoRAConv2d,
    LoRALinear,
    add_lora,
    load_lora,
    merge_lora,
    save_lora,
    unload_lora,
)
from neurenix_transfer.cache import CacheError
from neurenix_transfer.callbacks import (
    BestWeights,
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopTraining,
    TensorBoard,
    TerminateOnNaN,
)
from neurenix_transfer.checking import DataError
from neurenix_transfer.checkpoints import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
)
from neurenix_transfer.cka import CkaMap, cka_map
from neurenix_transfer.feature_extractor import FeatureExtractor
from neurenix_transfer.features import (
    compare_model_features,
    get_layer_outputs,
    get_model_feature_extractor,
    visualize_layer_activations,
)
from neurenix_transfer.fine_tune import OptimizerError, fine_tune
from neurenix_transfer.freezing import freeze_layers, unfreeze_layers
from neurenix_transfer.history import History
from neurenix_transfer.insight.calibrate import calibrate
from neurenix_transfer.insight.evaluate import evaluate
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.grad_cam import GradCamError, grad_cam
from neurenix_transfer.insight.heat_map import HeatMap
from neurenix_transfer.insight.temperature import Calibration
from neurenix_transfer.joining import JoinError
from neurenix_transfer.layer_names import UnknownLayerError
from neurenix_transfer.layer_outputs import LayerNotRunError
from neurenix_transfer.layer_scores import LayerScore, Transferability, transferability
from neurenix_transfer.linear_probe import LinearProbe, StrengthScore, fit_linear_probe
from neurenix_transfer.loading import load
from neurenix_transfer.lr_find import LearningRateCurve, lr_find
from neurenix_transfer.metrics import F1, R2, FunctionMetric, Metric, TopK
from neurenix_transfer.photos.predictor import Predictor
from neurenix_transfer.prediction import Prediction
from neurenix_transfer.recipes import RecipeError, adapt
from neurenix_transfer.regularizers import L2SP, Regularizer
from neurenix_transfer.tasks import LabelError
from neurenix_transfer.texts.predictor import TextPrediction, TextPredictor
from neurenix_transfer.transfer_model import TransferModel

__all__ = [
    "F1",
    "L2SP",
    "R2",
    "AdapterError",
    "BestWeights",
    "CSVLogger",
    "CacheError",
    "Calibration",
    "Callback",
    "CheckpointDamagedError",
    "CheckpointError",
    "CheckpointMismatchError",
    "CkaMap",
    "DataError",
    "EarlyStopping",
    "Evaluation",
    "FeatureExtractor",
    "FunctionMetric",
    "GradCamError",
    "HeatMap",
    "History",
    "JoinError",
    "LabelError",
    "LayerNotRunError",
    "LayerScore",
    "LearningRateCurve",
    "LinearProbe",
    "LoRAConv2d",
    "LoRALinear",
    "Metric",
    "ModelCheckpoint",
    "OptimizerError",
    "Prediction",
    "Predictor",
    "RecipeError",
    "ReduceLROnPlateau",
    "Regularizer",
    "StopTraining",
    "StrengthScore",
    "TensorBoard",
    "TerminateOnNaN",
    "TextPrediction",
    "TextPredictor",
    "TopK",
    "TransferModel",
    "Transferability",
    "UnknownLayerError",
    "adapt",
    "add_lora",
    "calibrate",
    "cka_map",
    "compare_model_features",
    "evaluate",
    "fine_tune",
    "fit_linear_probe",
    "freeze_layers",
    "get_layer_outputs",
    "get_model_feature_extractor",
    "grad_cam",
    "load",
    "load_lora",
    "lr_find",
    "merge_lora",
    "save_lora",
    "transferability",
    "unfreeze_layers",
    "unload_lora",
    "visualize_layer_activations",
]
