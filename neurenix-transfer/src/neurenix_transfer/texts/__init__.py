"""The text job behind ``neurenix fine-tune --text``, ``predict`` and ``evaluate``.

| File | Holds |
|---|---|
| `job` | `fine_tune_texts`: the whole run, from a file of texts to the folder of a run |
| `options`, `plan` | what was asked for; what is decided before the first step |
| `layout` | which texts to train and validate on |
| `model_file` | the file of a model, complete with tokenizer and configuration |
| `predictor`, `answers` | `TextPredictor`; what `predict` and `evaluate` print |
| `outcome` | calibrating; writing up: the picture, the page, the card |
| `record`, `report` | ``run.json``; the picture |
"""
