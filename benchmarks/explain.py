"""Explanations per second against Captum, pytorch-grad-cam and torchcam, same weights, same pictures, CPU.

    KERAS_BACKEND=torch python -m benchmarks.explain

The peers run on the same channels_first Keras model on PyTorch (same back end) and on a plain torch.nn twin (native).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import alternate, markdown, publish, seconds
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.explaining.engine import Limits, Wish, explain
from convscope.scope.tap import Probe

keras = load_keras()
L = keras.layers
SIDE, FILTERS = 96, (16, 32, 64, 64)


def network() -> Any:
    keras.utils.set_random_seed(0)
    x = inputs = L.Input((3, SIDE, SIDE))
    for i, filters in enumerate(FILTERS):
        x = L.Conv2D(filters, 3, padding="same", data_format="channels_first", name=f"conv{i}")(x)
        x = L.ReLU(name=f"relu{i}")(x)
        x = L.MaxPooling2D(2, data_format="channels_first")(x) if i < 3 else x
    x = L.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, L.Dense(10, name="head")(x))


def native(model: Any) -> Any:
    import torch

    parts: list[Any] = []
    before = 3
    for i, filters in enumerate(FILTERS):
        conv = torch.nn.Conv2d(before, filters, 3, padding=1)
        conv.weight.data = (
            torch.tensor(to_numpy(model.get_layer(f"conv{i}").kernel.value)).permute(3, 2, 0, 1).contiguous()
        )
        conv.bias.data = torch.tensor(to_numpy(model.get_layer(f"conv{i}").bias.value))
        parts += [conv, torch.nn.ReLU()] + ([torch.nn.MaxPool2d(2)] if i < 3 else [])
        before = filters
    head = torch.nn.Linear(before, 10)
    head.weight.data = torch.tensor(to_numpy(model.get_layer("head").kernel.value)).T.contiguous()
    head.bias.data = torch.tensor(to_numpy(model.get_layer("head").bias.value))
    return torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), head).eval()


def without_torchvision() -> None:
    """pytorch-grad-cam imports torchvision for picture files, which are not used here."""
    for word in ("", ".transforms", ".transforms.functional", ".ops"):
        fake: Any = types.ModuleType("torchvision" + word)
        fake.__getattr__ = lambda name: object
        fake.__path__ = []
        sys.modules.setdefault("torchvision" + word, fake)


def peers(model: Any, layer: Any, images: np.ndarray, suffix: str) -> dict[str, dict[str, Callable[[], Any]]]:
    """Method -> peer -> run."""
    import torch
    from captum import attr

    without_torchvision()
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def tensor() -> Any:
        return torch.from_numpy(images).requires_grad_(True)

    targets = [ClassifierOutputTarget(1)] * len(images)
    made: dict[str, dict[str, Callable[[], Any]]] = {}
    for name, kind in (("grad-cam", "GradCAM"), ("layer-cam", "LayerCAM"), ("score-cam", "ScoreCAM")):
        cam = getattr(package, kind)(model=model, target_layers=[layer])
        cam.batch_size = 32
        made[name] = {f"pytorch-grad-cam{suffix}": lambda cam=cam: cam(input_tensor=tensor(), targets=targets)}
    made["grad-cam"][f"captum{suffix}"] = lambda: attr.LayerGradCam(model, layer).attribute(tensor(), target=1)
    way = attr.IntegratedGradients(model)
    made["integrated-gradients"] = {
        f"captum{suffix}": lambda: way.attribute(tensor(), target=1, n_steps=32, internal_batch_size=32)
    }
    noise = attr.NoiseTunnel(attr.Saliency(model))
    made["smooth-grad"] = {
        f"captum{suffix}": lambda: noise.attribute(
            tensor(), target=1, nt_samples=32, nt_samples_batch_size=4, stdevs=0.3
        )
    }
    hide = attr.Occlusion(model)
    made["occlusion"] = {
        f"captum{suffix}": lambda: hide.attribute(
            tensor(), target=1, sliding_window_shapes=(3, 12, 12), strides=(3, 12, 12), perturbations_per_eval=4
        )
    }
    return made


OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 32},
    "smooth-grad": {"samples": 32},
    "occlusion": {"window": 12, "stride": 12},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    model = network()
    twin = native(model)
    images = np.random.default_rng(0).normal(size=(given.pictures, 3, SIDE, SIDE)).astype("float32")
    probe = Probe(model)
    against = peers(model, model.get_layer("relu3"), images, ", same model")
    for name, more in peers(twin, twin[10], images, ", native").items():
        against[name] |= more
    rows, natives = [], []
    for name, others in against.items():
        wish = Wish(options=OPTIONS.get(name, {}), layer="relu3" if name.endswith("cam") else None)

        def own(name: str = name, wish: Wish = wish) -> Any:
            return explain(probe, images, name, 1, wish=wish, limits=Limits(batch_size=32))

        contenders = {"convscope": own, **others}
        for run in contenders.values():
            run()
        figures = alternate({k: lambda run=run: seconds(run) for k, run in contenders.items()}, rounds=given.rounds)
        for other in others:
            ratio = statistics.median(o / m for o, m in zip(figures[other], figures["convscope"]))
            natives += [ratio] if other.endswith("native") else []
            mine, theirs = (statistics.median(figures[k]) / given.pictures * 1000 for k in ("convscope", other))
            rows.append((name, other, f"{mine:.1f}", f"{theirs:.1f}", f"{ratio:.2f}"))
    table = markdown(("method", "peer", "convscope, ms per picture", "peer, ms per picture", "times as fast"), rows)
    middle = statistics.median(natives)
    words = (
        f"{given.pictures} pictures of {SIDE} x {SIDE}, four convolutions, PyTorch back end; median of {given.rounds} "
        f"rounds taken in turn. Against native PyTorch: {middle:.2f} times as fast in the median over methods."
    )
    publish("explain", "Explanations against peers", [words, table])


if __name__ == "__main__":
    main()
