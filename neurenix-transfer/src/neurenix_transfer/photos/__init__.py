"""The photo job behind ``neurenix fine-tune``, ``predict`` and ``evaluate``, also for Python.

| File | Holds |
|---|---|
| `job` | `fine_tune_photos`: the whole run, from a folder of photos to the folder of a run |
| `options`, `plan` | what was asked for; what is decided before the first photo is decoded |
| `layout`, `decoding` | which photos to train and validate on; reading each of them once |
| `preprocessing` | from a photo to a tensor, in two steps |
| `estimate` | how long it will take |
| `model_file`, `report` | the model's file and its base; the most wrong photos in the picture |
| `predictor`, `answers` | `Predictor`; what `predict` and `evaluate` do |
| `explaining` | pictures of where a model looked |

What a run on photos shares with one on texts is in `neurenix_transfer.runs`.
"""
