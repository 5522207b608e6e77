"""What runs from the command line have in common, whatever they train on.

| File | Holds |
|---|---|
| `job` | `Job`: a whole run, from its options to its folder |
| `options`, `plan` | the options that every run has; what is decided before the first step |
| `splitting` | how much is set aside to validate on |
| `training`, `optimizer` | a recipe or the usual training; Ctrl-C; a loss that is no number |
| `learned` | what of a model the training changed |
| `measuring`, `evaluation` | the temperature, and how good the model is with it; in lines |
| `model_file`, `record` | ``model.safetensors``; ``run.json`` and ``history.json`` |
| `write_up`, `report`, `facts` | picture, page and card; the picture; what the page says of a run |
| `run_folder`, `result` | the folder that a run writes, whole or not at all; what it came to |
| `answers`, `rows` | what ``predict`` and ``evaluate`` print |
| `console` | lines, warnings, bars, and a stopwatch |

What trains on photos or on texts builds on this; this knows neither.
"""
