"""A base that trains in milliseconds, registered as anybody would register theirs.

Run as a program, it is the command line with that base: for tests of whole processes.
"""

from __future__ import annotations

from os import PathLike

from neurenix import Tensor, models, nn
from neurenix.models.pretrained import load_pretrained

PREPROCESSING = {
    "resize": 20,
    "crop": 16,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


class TinyBase(nn.Module):
    """Two convolutions, the second with BatchNorm."""

    head = "classifier"
    num_features = 8
    weights: models.Weights | None = None

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.body = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        features = x.mean(axis=(2, 3))
        return features if pre_logits else self.classifier(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@models.register
def tiny_base(
    pretrained: bool | str | PathLike[str] = False,
    num_classes: int = 7,
    *,
    load_head: bool = True,
) -> TinyBase:
    model = TinyBase(num_classes)
    if pretrained is not False:
        published = models.Weights("tiny_base", "nobody/tiny_base", preprocessing=PREPROCESSING)
        model.weights = load_pretrained(
            model, published, pretrained, head=model.head, load_head=load_head
        )
    return model


if __name__ == "__main__":
    from neurenix.cli import main

    main()
