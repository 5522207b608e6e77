"""The text job behind ``neurenix fine-tune --text``, ``predict`` and ``evaluate``.

| File | Holds |
|---|---|
| `job` | `fine_tune_texts`: the whole run, from a file of texts to the folder of a run |
| `options`, `plan` | what was asked for; what is decided before the first step |
| `layout` | which texts to train and validate on |
| `model_file`, `report` | the model's file, with its tokenizer; texts in the picture |
| `predictor`, `answers` | `TextPredictor`; what `predict` and `evaluate` do |

What a run on texts shares with one on photos is in `neurenix_transfer.runs`.
"""
