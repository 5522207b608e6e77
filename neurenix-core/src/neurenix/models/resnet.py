"""ResNet: deep residual networks for images, with torchvision's state-dict names.

Reference: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015. The
bottleneck has its stride in the 3x3 convolution, as torchvision's weights expect ("v1.5").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from neurenix import nn, ops
from neurenix.models.pretrained import Pretrained, load_pretrained
from neurenix.models.registry import register
from neurenix.models.weights import Weights
from neurenix.tensor import Tensor


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))``.

    Args:
        in_channels: Channels of the input.
        channels: Channels of both convolutions and of the output.
        stride: Of the first convolution and the shortcut.
        downsample: The shortcut; ``None`` is the identity.

    Shape:
        Input: (N, in_channels, H, W). Output: (N, channels, H / stride, W / stride).
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        result: Tensor = self.relu(out + shortcut)
        return result


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution beside a shortcut; the last widens four times.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the first two convolutions; the output has four times as many.
        stride: Of the 3x3 convolution and the shortcut.
        downsample: The shortcut; ``None`` is the identity.

    Shape:
        Input: (N, in_channels, H, W). Output: (N, 4 * channels, H / stride, W / stride).
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        result: Tensor = self.relu(out + shortcut)
        return result


Block: TypeAlias = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A residual network: a stem, four stages of blocks, global average pooling, a classifier.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: The number of blocks in each of the four stages.
        num_classes: The width of the classifier.

    Attributes:
        head: The name of the classifier, ``"fc"``.
        num_features: The width of the pooled features that the classifier takes.
        weights: The pretrained weights that the model was built with, or ``None``.

    Shape:
        Input: (N, 3, H, W), normalised as the weights say. Output: (N, num_classes).
    """

    head = "fc"
    weights: Weights | None

    def __init__(self, block: Block, depths: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        if len(depths) != 4 or min(depths) < 1:
            raise ValueError(f"a ResNet has four stages of one block or more, got {depths}")
        if num_classes < 1:
            raise ValueError(f"num_classes must be positive, got {num_classes}")
        self.weights = None
        self.num_features = 512 * block.expansion
        with nn.init.skip():  # everything is initialised once, below
            self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
            self.layer1 = _stage(block, 64, 64, depths[0], stride=1)
            self.layer2 = _stage(block, 64 * block.expansion, 128, depths[1], stride=2)
            self.layer3 = _stage(block, 128 * block.expansion, 256, depths[2], stride=2)
            self.layer4 = _stage(block, 256 * block.expansion, 512, depths[3], stride=2)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(self.num_features, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: the convolutions normal, scaled by fan-out, for ReLU.

        Reference: He et al., "Delving Deep into Rectifiers", 2015.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d | nn.Linear):
                module.reset_parameters()

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map.

        Shape:
            Input: (N, 3, H, W). Output: (N, num_features, H / 32, W / 32), rounded up.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        features: Tensor = self.layer4(x)
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of a feature map, or its pooled features if ``pre_logits``.

        Shape:
            Input: (N, num_features, H, W). Output: (N, num_classes), or (N, num_features).
        """
        x = ops.flatten(self.avgpool(x), 1)
        if not pre_logits:
            x = self.fc(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        return self.forward_head(self.forward_features(x))


def _stage(
    block: Block, in_channels: int, channels: int, depth: int, *, stride: int
) -> nn.Sequential:
    out_channels = channels * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    blocks = [block(in_channels, channels, stride, downsample)]
    blocks += [block(out_channels, channels, 1, None) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _build(
    name: str,
    block: Block,
    depths: tuple[int, int, int, int],
    pretrained: Pretrained,
    num_classes: int,
    load_head: bool,
) -> ResNet:
    if pretrained is False:
        return ResNet(block, depths, num_classes)
    with nn.init.skip():  # the file's values follow
        model = ResNet(block, depths, num_classes)
    if not load_head:
        model.fc = nn.Linear(model.num_features, num_classes)
    weights = Weights(name, hub_id=f"timm/{name}.tv_in1k")
    model.weights = load_pretrained(
        model, weights, pretrained, head=model.head, load_head=load_head
    )
    return model


@register
def resnet18(
    pretrained: Pretrained = False, num_classes: int = 1000, *, load_head: bool = True
) -> ResNet:
    """Build ResNet-18.

    Args:
        pretrained: ``False`` for random weights; ``True`` for weights trained on ImageNet, from
            ``$NEURENIX_HOME/models/resnet18.safetensors`` or else from the Hugging Face hub; or
            the path of a safetensors or PyTorch ``.pth`` file.
        num_classes: The width of the classifier.
        load_head: If False, the file's classifier is left out and a new one stays: for files
            with another number of classes.

    Raises:
        PretrainedWeightsError: The weights are neither on this machine nor to be had.
        WeightsFileError: The file is damaged, or its weights are of another model.
    """
    return _build("resnet18", BasicBlock, (2, 2, 2, 2), pretrained, num_classes, load_head)


@register
def resnet34(
    pretrained: Pretrained = False, num_classes: int = 1000, *, load_head: bool = True
) -> ResNet:
    """Build ResNet-34; arguments and errors as of ``resnet18``."""
    return _build("resnet34", BasicBlock, (3, 4, 6, 3), pretrained, num_classes, load_head)


@register
def resnet50(
    pretrained: Pretrained = False, num_classes: int = 1000, *, load_head: bool = True
) -> ResNet:
    """Build ResNet-50; arguments and errors as of ``resnet18``."""
    return _build("resnet50", Bottleneck, (3, 4, 6, 3), pretrained, num_classes, load_head)


@register
def resnet101(
    pretrained: Pretrained = False, num_classes: int = 1000, *, load_head: bool = True
) -> ResNet:
    """Build ResNet-101; arguments and errors as of ``resnet18``."""
    return _build("resnet101", Bottleneck, (3, 4, 23, 3), pretrained, num_classes, load_head)


@register
def resnet152(
    pretrained: Pretrained = False, num_classes: int = 1000, *, load_head: bool = True
) -> ResNet:
    """Build ResNet-152; arguments and errors as of ``resnet18``."""
    return _build("resnet152", Bottleneck, (3, 8, 36, 3), pretrained, num_classes, load_head)
