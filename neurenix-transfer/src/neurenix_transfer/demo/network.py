"""A ResNet for images of 8 x 8 pixels."""

from __future__ import annotations

import neurenix
from neurenix import Tensor, nn
from neurenix.models.resnet import BasicBlock

_WIDTHS = (16, 32, 64)


class DigitResNet(nn.Module):
    """A stem and three stages of one residual block each, pooled; a ResNet in small.

    Args:
        num_classes: The width of the classifier.

    Attributes:
        head: The name of the classifier.
        num_features: The width of the pooled features.

    Shape:
        Input: (N, 1, 8, 8). Output: (N, num_classes).
    """

    head = "fc"

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        first, second, third = _WIDTHS
        self.num_features = third
        self.conv1 = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.layer1 = BasicBlock(first, first, 1, None)
        self.layer2 = BasicBlock(first, second, 2, _shortcut(first, second))
        self.layer3 = BasicBlock(second, third, 2, _shortcut(second, third))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(third, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map, (N, 64, 2, 2)."""
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.layer3(self.layer2(self.layer1(x)))
        return out

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of a feature map, or its pooled features if ``pre_logits``."""
        x = neurenix.flatten(self.avgpool(x), 1)
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        return self.forward_head(self.forward_features(x))


def _shortcut(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride=2, bias=False), nn.BatchNorm2d(channels)
    )
