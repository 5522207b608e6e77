"""What runs from the command line have in common, whatever they train on.

| File | Holds |
|---|---|
| `options` | the options that every run has |
| `training` | the training itself: a recipe or the usual one; Ctrl-C; a loss that is no number |
| `learned` | what of a model the training changed |
| `measuring` | the temperature, and how good the model is with it |
| `facts` | what the page of a run says of options, times, model and versions |
| `console` | lines, warnings, bars, and a stopwatch |
| `run_folder` | the folder that a run writes, whole or not at all |
| `result` | what a run came to |
| `optimizer` | the optimizer and the schedule of a run without a recipe |
"""
