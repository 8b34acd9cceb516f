"""PyTorch's counterparts of `churn_jax.models`, layer for layer, for the benchmarks alone."""

import torch
from torch import nn
from torch.nn import functional

STAGES_V2 = {"resnet_v2_18": ((2, 2, 2, 2), False), "resnet_v2_50": ((3, 4, 6, 3), True)}


def build(name: str, num_classes: int, channels: int, size: int) -> nn.Module:
    """`lenet5`, `resnetN` (6n + 2 layers) or one of `STAGES_V2`; images [example, C, H, W]."""
    if name == "lenet5":
        return LeNet5(num_classes, channels, size)
    if name in STAGES_V2:
        return ResNetV2(num_classes, channels, *STAGES_V2[name])
    return CifarResNet(num_classes, channels, (int(name.removeprefix("resnet")) - 2) // 6)


class LeNet5(nn.Module):
    """Two pooled 5×5 convolutions and three dense layers, for images of 16 pixels and more."""

    def __init__(self, num_classes: int, channels: int, size: int):
        super().__init__()
        self.conv_0 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv_1 = nn.Conv2d(6, 16, 5)
        side = (size // 2 - 4) // 2
        self.dense_0 = nn.Linear(16 * side * side, 120)
        self.dense_1 = nn.Linear(120, 84)
        self.logits = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv_0(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv_1(x)), 2)
        x = functional.relu(self.dense_0(x.flatten(1)))
        return self.logits(functional.relu(self.dense_1(x)))


def _conv(inputs: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """Two normalised 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, filters: int, stride: int):
        super().__init__()
        self.conv_0 = nn.Sequential(_conv(inputs, filters, 3, stride), nn.BatchNorm2d(filters))
        self.conv_1 = nn.Sequential(_conv(filters, filters, 3), nn.BatchNorm2d(filters))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != filters:
            self.shortcut = nn.Sequential(
                _conv(inputs, filters, 1, stride), nn.BatchNorm2d(filters)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_1(functional.relu(self.conv_0(x)))
        return functional.relu(y + self.shortcut(x))


class CifarResNet(nn.Sequential):
    """Three stages of 16, 32 and 64 filters."""

    def __init__(self, num_classes: int, channels: int, blocks: int):
        layers: list[nn.Module] = [_conv(channels, 16, 3), nn.BatchNorm2d(16), nn.ReLU()]
        inputs = 16
        for filters in (16, 32, 64):
            for block in range(blocks):
                stride = 2 if filters > 16 and block == 0 else 1
                layers.append(Block(inputs, filters, stride))
                inputs = filters
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes)]
        super().__init__(*layers, *head)


class PreactivationBlock(nn.Module):
    """norm, relu, convolution, two or three times."""

    def __init__(self, inputs: int, filters: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = 4 * filters if bottleneck else filters
        self.norm_0 = nn.BatchNorm2d(inputs)
        changes = inputs != outputs or stride != 1
        self.shortcut = _conv(inputs, outputs, 1, stride) if changes else None
        shapes = [(inputs, filters, 3, stride), (filters, outputs, 3, 1)]
        if bottleneck:
            shapes = [(inputs, filters, 1, 1), (filters, filters, 3, stride)]
            shapes.append((filters, outputs, 1, 1))
        layers: list[nn.Module] = []
        for place, shape in enumerate(shapes):
            layers += [nn.BatchNorm2d(shape[0]), nn.ReLU()] if place else []
            layers.append(_conv(*shape))
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm_0(x))
        return self.body(y) + (x if self.shortcut is None else self.shortcut(y))


class ResNetV2(nn.Sequential):
    """A 7×7 convolution, pooling, four stages of 64 to 512 filters."""

    def __init__(self, num_classes: int, channels: int, stages: tuple[int, ...], bottleneck: bool):
        layers: list[nn.Module] = [_conv(channels, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        inputs = 64
        for stage, blocks in enumerate(stages):
            filters = 64 * 2**stage
            for block in range(blocks):
                stride = 2 if stage and block == 0 else 1
                layers.append(PreactivationBlock(inputs, filters, stride, bottleneck))
                inputs = 4 * filters if bottleneck else filters
        head: list[nn.Module] = [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        super().__init__(*layers, *head, nn.Flatten(), nn.Linear(inputs, num_classes))
