"""The networks of `training_speed` in plain PyTorch, written here after the papers, for a peer without Keras."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def _conv(inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]


def seed_like(classes: int) -> nn.Module:
    """Three blocks of two 3x3 convolutions, 32-64-128, batch norm, max pooling."""
    layers: list[nn.Module] = []
    channels = 3
    for filters in (32, 64, 128):
        for _ in range(2):
            layers += [*_conv(channels, filters, 3), nn.ReLU(inplace=True)]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, classes))


class Residual(nn.Module):
    """x + f(x), or project(x) + f(x); then ReLU where `is_rectified`."""

    def __init__(self, body: nn.Module, project: nn.Module | None, *, is_rectified: bool) -> None:
        super().__init__()
        self.body, self.project, self.is_rectified = body, project, is_rectified

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.body(x) + (x if self.project is None else self.project(x))
        return torch.relu_(found) if self.is_rectified else found


def resnet50(classes: int) -> nn.Module:
    """He et al. 2015, table 1, 50 layers."""
    layers: list[nn.Module] = [*_conv(3, 64, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            body = nn.Sequential(
                *_conv(channels, width, 1, stride=stride), nn.ReLU(inplace=True),
                *_conv(width, width, 3), nn.ReLU(inplace=True), *_conv(width, 4 * width, 1),
            )  # fmt: skip
            project = None if block else nn.Sequential(*_conv(channels, 4 * width, 1, stride=stride))
            layers.append(Residual(body, project, is_rectified=True))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(2048, classes))


def efficientnet_lite0(classes: int) -> nn.Module:
    """EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation, with ReLU6: Google's lite0."""
    layers: list[nn.Module] = [*_conv(3, 32, 3, stride=2), nn.ReLU6(inplace=True)]
    channels = 32
    stages = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3),
              (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))  # fmt: skip
    for expand, kernel, first_stride, outside, blocks in stages:
        for block in range(blocks):
            stride = first_stride if not block else 1
            wide = channels * expand
            widening = [*_conv(channels, wide, 1), nn.ReLU6(inplace=True)] if expand > 1 else []
            body = nn.Sequential(
                *widening, *_conv(wide, wide, kernel, stride=stride, groups=wide), nn.ReLU6(inplace=True),
                *_conv(wide, outside, 1),
            )  # fmt: skip
            is_same = stride == 1 and channels == outside
            layers.append(Residual(body, None, is_rectified=False) if is_same else body)
            channels = outside
    last = [*_conv(channels, 1280, 1), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *last, nn.Dropout(0.2), nn.Linear(1280, classes))


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "seed-like": seed_like,
    "resnet50": resnet50,
    "efficientnet-lite0": efficientnet_lite0,
}
