"""What can be done at the moments of a training run.

Give `fine_tune` a list of callbacks: plain functions ``callback(epoch, history)``, called after
each epoch, and objects with any of the methods of `Callback`.
"""

from neurenix_transfer.callbacks.callback import Callback, CallbackList, StopTraining
from neurenix_transfer.callbacks.checkpoint import ModelCheckpoint
from neurenix_transfer.callbacks.early_stopping import BestWeights, EarlyStopping
from neurenix_transfer.callbacks.logging import CSVLogger, TensorBoard
from neurenix_transfer.callbacks.plateau import ReduceLROnPlateau
from neurenix_transfer.callbacks.terminate import TerminateOnNaN

__all__ = [
    "BestWeights",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "StopTraining",
    "TensorBoard",
    "TerminateOnNaN",
]
