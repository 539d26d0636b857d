"""The peers of benchmarks.explain: the network, its native twin, and what each tool calls each method."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import to_numpy

keras = load_keras()
L = keras.layers
SIDE, FILTERS = 96, (16, 32, 64, 64)
METHODS = ("grad-cam", "layer-cam", "score-cam", "integrated-gradients", "smooth-grad", "occlusion", "rise")
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 32},
    "smooth-grad": {"samples": 32},
    "occlusion": {"window": 12, "stride": 12},
    "rise": {"samples": 256},
}
Run = Callable[[int], Any]  # takes how many copies of pictures to run at a time
Runs = dict[str, dict[str, Run]]


def own_network() -> Any:
    """Four convolutions and a dense head; channels first on PyTorch, where the peers want it; the same weights."""
    order = "channels_first" if backend_name() == "torch" else "channels_last"
    x = inputs = L.Input((3, SIDE, SIDE) if order == "channels_first" else (SIDE, SIDE, 3))
    for i, filters in enumerate(FILTERS):
        x = L.Conv2D(filters, 3, padding="same", data_format=order, name=f"conv{i}")(x)
        x = L.ReLU(name=f"relu{i}")(x)
        x = L.MaxPooling2D(2, data_format=order)(x) if i < len(FILTERS) - 1 else x
    x = L.GlobalAveragePooling2D(data_format=order)(x)
    model = keras.Model(inputs, L.Dense(10, name="head")(x))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        inner = max(1, int(np.prod(variable.shape[:-1])))
        variable.assign(rng.normal(0, np.sqrt(2 / inner), variable.shape))
    return model


def native(model: Any) -> Any:
    """The same network in torch.nn."""
    import torch

    parts: list[Any] = []
    before = 3
    for i, filters in enumerate(FILTERS):
        conv = torch.nn.Conv2d(before, filters, 3, padding=1)
        kernel = torch.tensor(to_numpy(model.get_layer(f"conv{i}").kernel.value))
        conv.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
        conv.bias.data = torch.tensor(to_numpy(model.get_layer(f"conv{i}").bias.value))
        parts += [conv, torch.nn.ReLU()] + ([torch.nn.MaxPool2d(2)] if i < len(FILTERS) - 1 else [])
        before = filters
    head = torch.nn.Linear(before, 10)
    head.weight.data = torch.tensor(to_numpy(model.get_layer("head").kernel.value)).T.contiguous()
    head.bias.data = torch.tensor(to_numpy(model.get_layer("head").bias.value))
    return torch.nn.Sequential(*parts, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), head).eval()


def without_torchvision() -> None:
    """pytorch-grad-cam and torchcam import torchvision for picture files, which are not used here."""
    for word in ("", ".transforms", ".transforms.functional", ".ops"):
        fake: Any = types.ModuleType("torchvision" + word)
        fake.__getattr__ = lambda name: object
        fake.__path__ = []
        sys.modules.setdefault("torchvision" + word, fake)


def torch_peers(model: Any, images: np.ndarray) -> Runs:
    """Method -> peer -> run, on the same Keras model and on its native twin."""
    twin = native(model)
    found = _torch_peers(model, model.get_layer("relu3"), images, ", same model")
    for name, more in _torch_peers(twin, twin[10], images, ", native").items():
        found[name] |= more
    return found


def _torch_peers(model: Any, layer: Any, images: np.ndarray, suffix: str) -> Runs:
    found: Runs = {"rise": {}}
    for name, runs in (*_gradcam_package(model, layer, images, suffix), *_captum(model, layer, images, suffix)):
        found.setdefault(name, {}).update(runs)
    for name, runs in _torchcam(model, layer, images, suffix):
        found.setdefault(name, {}).update(runs)
    return found


def _tensor(images: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(images).requires_grad_(True)


def _gradcam_package(model: Any, layer: Any, images: np.ndarray, suffix: str) -> list[tuple[str, dict[str, Run]]]:
    without_torchvision()
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(1)] * len(images)

    def run(batch: int, kind: str) -> Any:
        fresh = getattr(package, kind)(model=model, target_layers=[layer])
        fresh.batch_size = batch
        try:
            return fresh(input_tensor=_tensor(images), targets=targets)
        finally:
            fresh.activations_and_grads.release()  # its hooks stay off while others are timed

    kinds = (("grad-cam", "GradCAM"), ("layer-cam", "LayerCAM"), ("score-cam", "ScoreCAM"))
    return [(name, {f"pytorch-grad-cam{suffix}": lambda b, kind=kind: run(b, kind)}) for name, kind in kinds]


def _captum(model: Any, layer: Any, images: np.ndarray, suffix: str) -> list[tuple[str, dict[str, Run]]]:
    from captum import attr

    way, noise, hide = attr.IntegratedGradients(model), attr.NoiseTunnel(attr.Saliency(model)), attr.Occlusion(model)
    n = len(images)
    runs: dict[str, Run] = {
        "grad-cam": lambda batch: attr.LayerGradCam(model, layer).attribute(_tensor(images), target=1),
        "integrated-gradients": lambda batch: way.attribute(
            _tensor(images), target=1, n_steps=32, internal_batch_size=batch
        ),
        "smooth-grad": lambda batch: noise.attribute(
            _tensor(images), target=1, nt_samples=32, nt_samples_batch_size=max(1, batch // n), stdevs=0.3
        ),
        "occlusion": lambda batch: hide.attribute(
            _tensor(images), target=1, sliding_window_shapes=(3, 12, 12), strides=(3, 12, 12),
            perturbations_per_eval=max(1, batch // n),
        ),
    }  # fmt: skip
    return [(name, {f"captum{suffix}": run}) for name, run in runs.items()]


def _torchcam(model: Any, layer: Any, images: np.ndarray, suffix: str) -> list[tuple[str, dict[str, Run]]]:
    without_torchvision()
    import torch
    from torchcam import methods

    class Holder(torch.nn.Module):  # torchcam finds layers by their place in the module
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any) -> Any:
            return model(x)

    holder = Holder()

    def run(kind: Any, **options: int) -> Any:
        cam = kind(holder, "layer", **options)
        try:
            scores = holder(_tensor(images))
            return cam([1] * len(images), scores)
        finally:
            cam.remove_hooks()

    runs: dict[str, Run] = {
        "grad-cam": lambda batch: run(methods.GradCAM),
        "layer-cam": lambda batch: run(methods.LayerCAM),
        "score-cam": lambda batch: run(methods.ScoreCAM, batch_size=batch),
    }
    return [(name, {f"torchcam{suffix}": one}) for name, one in runs.items()]


def tensorflow_peers(model: Any, images: np.ndarray) -> tuple[Runs, list[str]]:
    """Method -> peer -> run, on TensorFlow; and which peer can't be imported, with its error."""
    found: Runs = {}
    failed: list[str] = []
    for peer, make in (("xplique", _xplique), ("tf-keras-vis", _tf_keras_vis)):
        try:
            made = make(model, images)
        except ImportError as error:
            failed.append(f"{peer}: {error}")
            continue
        for name, runs in made:
            found.setdefault(name, {}).update(runs)
    return found, failed


def _xplique(model: Any, images: np.ndarray) -> list[tuple[str, dict[str, Run]]]:
    from xplique import attributions as attr

    wanted = np.eye(10, dtype="float32")[[1] * len(images)]
    made: dict[str, Callable[[int], Any]] = {
        "grad-cam": lambda b: attr.GradCAM(model, batch_size=b, conv_layer="relu3"),
        "integrated-gradients": lambda b: attr.IntegratedGradients(model, batch_size=b, steps=32),
        "smooth-grad": lambda b: attr.SmoothGrad(model, batch_size=b, nb_samples=32),
        "occlusion": lambda b: attr.Occlusion(model, batch_size=b, patch_size=12, patch_stride=12),
        "rise": lambda b: attr.Rise(model, batch_size=b, nb_samples=256),
    }
    kept: dict[tuple[str, int], Any] = {}

    def run(name: str, batch: int) -> Any:
        if (name, batch) not in kept:
            kept[name, batch] = made[name](batch)
        return kept[name, batch](images, wanted)

    return [(name, {"xplique": lambda b, name=name: run(name, b)}) for name in made]


def _tf_keras_vis(model: Any, images: np.ndarray) -> list[tuple[str, dict[str, Run]]]:
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    score = CategoricalScore([1] * len(images))
    found: list[tuple[str, dict[str, Run]]] = [
        (
            name,
            {
                "tf-keras-vis": lambda b, kind=kind: kind(model, clone=False)(
                    score, images, penultimate_layer="relu3", expand_cam=False
                )
            },
        )
        for name, kind in (("grad-cam", Gradcam), ("layer-cam", Layercam), ("score-cam", Scorecam))
    ]
    smooth = {
        "tf-keras-vis": lambda b: Saliency(model, clone=False)(score, images, smooth_samples=32, smooth_noise=0.15)
    }
    return [*found, ("smooth-grad", smooth)]
