"""Insight into what a model does: how good, how sure, and by what it goes.

| File | Holds |
|---|---|
| `evaluation`, `reliability` | `Evaluation`: predictions beside the truth; how sure they are |
| `evaluate` | `evaluate`: measures a model on labelled data |
| `drawing` | the colours of pictures, and the confusion matrix |
| `outputs` | logits and labels of a model on data in any form |
| `temperature`, `calibrate` | temperature scaling; `calibrate`, which fits it |
| `grad_cam`, `heat_map` | `grad_cam`: where a model looked; the map it gives |
| `page`, `page_parts`, `page_style`, `charts`, `gallery`, `markup` | the page ``report.html`` |
| `model_card` | the model's ``README.md`` |
"""
