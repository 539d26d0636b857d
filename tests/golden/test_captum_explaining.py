"""Published numbers of Captum's own tests, and Captum, pytorch-grad-cam and torchcam run live on the same model.

Captum (BSD-3), tests/attr: `BasicModel_ConvNet_One_Conv`. The live part needs PyTorch; a channels_first model is used,
because these tools take the second axis for the channels.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from contract.explained import pictures, small_net
from convscope.explaining.cam import weigh_by_mean_gradient
from convscope.explaining.engine import Wish, explain

pytestmark = pytest.mark.backend
on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="live comparison needs the PyTorch back end")
LABEL = 2


def one_conv() -> keras.Model:
    inputs = L.Input((4, 4, 1))
    x = L.Conv2D(2, 3, name="conv")(inputs)
    x = L.ReLU(name="relu")(x)
    x = L.Flatten(name="flat")(L.Permute((3, 1, 2), name="first")(x))
    model = keras.Model(inputs, L.ReLU(name="last")(L.Dense(4, name="dense")(x)))
    model.get_layer("conv").set_weights([np.ones((3, 3, 1, 2)), np.array([-50.0, -75.0])])
    rows = np.repeat(np.array([[1, 1, 1, 1, 1, -1, -1, -1]], float), 4, axis=0)
    model.get_layer("dense").set_weights([rows.T, np.zeros(4)])
    return model


X = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)


def heat(name: str, layer: str | None = "conv", x: np.ndarray = X, *, frozen: bool = False, **wish: Any) -> np.ndarray:
    model = one_conv()
    model.trainable = not frozen
    return explain(model, x, name, 0, wish=Wish(layer=layer, signed=True, **wish)).heat[0]


@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_at_conv(frozen: bool) -> None:
    """Also with all parameters frozen."""
    np.testing.assert_allclose(heat("grad-cam", frozen=frozen), [[11.25, 13.5], [20.25, 22.5]], atol=1e-4)


def test_grad_cam_at_relu() -> None:
    """Output of the rectifier."""
    np.testing.assert_allclose(heat("grad-cam", "relu"), [[0, 4], [28, 32.5]], atol=1e-4)


def test_grad_cam_at_input() -> None:
    """The layer's input: 0.5625 times it."""
    x = X.copy()
    x[0, 1, 1, 0] = -4
    np.testing.assert_allclose(heat("grad-cam", "conv", x, side="input"), 0.5625 * x[0, :, :, 0], atol=1e-4)


def test_per_channel_weights() -> None:
    """0.75 and -0.5, and what each channel adds."""
    maps = np.array([[-5, -30], [4, -21], [31, 6], [40, 15]], float).reshape(1, 2, 2, 2)
    gradients = np.broadcast_to([0.75, -0.5], maps.shape)
    one = [weigh_by_mean_gradient(maps[..., k : k + 1], gradients[..., k : k + 1])[0] for k in (0, 1)]
    np.testing.assert_allclose(one[0], [[-3.75, 3], [23.25, 30]])
    np.testing.assert_allclose(one[1], [[15, 10.5], [-3, -7.5]])


def test_guided_grad_cam_at_relu() -> None:
    """Captum enlarges by nearest neighbour, ours bilinearly: the parts are compared, and then the product."""
    guided = heat("guided-backprop", None)
    warm = np.maximum(heat("grad-cam", "relu"), 0).repeat(2, axis=0).repeat(2, axis=1)
    expected = [[0, 0, 4, 4], [0, 0, 12, 8], [28, 84, 97.5, 65], [28, 56, 65, 32.5]]
    np.testing.assert_allclose(guided * warm, expected, atol=1e-4)


def test_weights_published_by_xplique() -> None:
    """Grad-CAM's weights of four gradients of 2 x 2 (Xplique, MIT, tests/attributions/test_grad_cam.py)."""
    gradients = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0.5, 0, 0], [0.5, 0, 0, 0]]).T.reshape(1, 2, 2, 4)
    for k, weight in enumerate([1, 0.5, 0.375, 0.125]):
        ones = np.zeros((1, 2, 2, 4))
        ones[..., k] = 1
        np.testing.assert_allclose(weigh_by_mean_gradient(ones, gradients), np.full((1, 2, 2), weight))


@pytest.fixture(scope="module")
def net() -> keras.Model:
    return small_net(data_format="channels_first", activation="linear")


def ours(net: keras.Model, name: str, **options: Any) -> Any:
    layer = "relu" if "cam" in name else None
    wish = Wish(layer=layer, signed=True, options=options)
    return explain(net, first(pictures()), name, LABEL, wish=wish)


def first(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))


def tensor() -> Any:
    import torch

    return torch.from_numpy(first(pictures())).requires_grad_(True)


def near(mine: np.ndarray, theirs: Any) -> None:
    theirs = theirs.detach().numpy() if hasattr(theirs, "detach") else np.asarray(theirs)
    np.testing.assert_allclose(mine, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def torch_twin(net: keras.Model) -> Any:
    """The same network and weights as a plain torch.nn.Module, for tools that replace modules."""
    torch = pytest.importorskip("torch")
    from convscope.backend.tensors import to_numpy

    w = {v.path: torch.tensor(to_numpy(v.value)) for v in net.variables}

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = torch.nn.ReLU(), torch.nn.ReLU()
            self.place = torch.nn.Parameter(torch.zeros(1))  # tools ask a parameter for its device

        def forward(self, x: Any) -> Any:
            def conv(x: Any, name: str) -> Any:
                kernel = w[f"{name}/kernel"].permute(3, 2, 0, 1)
                return torch.nn.functional.conv2d(x, kernel, w[f"{name}/bias"], padding=1)

            x = torch.nn.functional.avg_pool2d(self.one(conv(x, "early")), 2)
            x = torch.nn.functional.batch_norm(
                conv(x, "late"),
                w["norm/moving_mean"],
                w["norm/moving_variance"],
                w["norm/gamma"],
                w["norm/beta"],
                eps=1e-3,
            )
            return self.two(x).mean(dim=(2, 3)) @ w["head/kernel"] + w["head/bias"]

    return Twin()


@on_torch
def test_captum_gradients(net: keras.Model) -> None:
    """Saliency, gradient x input, integrated gradients, guided backpropagation, deconvolution."""
    attr = pytest.importorskip("captum.attr")
    gradient = attr.Saliency(net).attribute(tensor(), target=LABEL, abs=False)
    near(np.moveaxis(ours(net, "saliency").values, -1, 1), gradient)
    near(
        np.moveaxis(ours(net, "gradient-x-input").values, -1, 1),
        attr.InputXGradient(net).attribute(tensor(), target=LABEL),
    )
    way = attr.IntegratedGradients(net).attribute(tensor(), target=LABEL, n_steps=20, method="gausslegendre")
    near(np.moveaxis(ours(net, "integrated-gradients", steps=20).values, -1, 1), way)


@on_torch
def test_captum_occlusion_and_layer_grad_cam(net: keras.Model) -> None:
    """Captum adds no ReLU; its occlusion averages over covering windows as ours does."""
    attr = pytest.importorskip("captum.attr")
    near(
        ours(net, "grad-cam").heat[:, None],
        attr.LayerGradCam(net, net.get_layer("relu")).attribute(tensor(), target=LABEL),
    )
    lost = attr.Occlusion(net).attribute(tensor(), sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2), target=LABEL)
    near(ours(net, "occlusion", window=4, stride=2).heat, lost[:, 0])


@on_torch
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Captum announces its hooks
def test_captum_guided_rules() -> None:
    """On a torch.nn twin with the same weights: Captum replaces only torch.nn.ReLU modules."""
    attr = pytest.importorskip("captum.attr")
    net = small_net(data_format="channels_first", activation="linear")
    twin = torch_twin(net)
    for name, theirs in (("guided-backprop", attr.GuidedBackprop), ("deconvolution", attr.Deconvolution)):
        near(np.moveaxis(ours(net, name).values, -1, 1), theirs(twin).attribute(tensor(), target=LABEL))


def _pytorch_grad_cam(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("cv2")
    if "torchvision" not in sys.modules:  # only its picture transforms are imported, none is used here
        for word in ("", ".transforms", ".transforms.functional", ".ops"):
            fake: Any = types.ModuleType("torchvision" + word)
            fake.__getattr__ = lambda name: object
            fake.__path__ = []
            monkeypatch.setitem(sys.modules, "torchvision" + word, fake)
    return pytest.importorskip("pytorch_grad_cam")


PEERS = {
    "grad-cam": ("GradCAM", {}),
    "hires-cam": ("HiResCAM", {}),
    "xgrad-cam": ("XGradCAM", {}),
    "grad-cam++": ("GradCAMPlusPlus", {}),
    "layer-cam": ("LayerCAM", {}),
    "eigen-cam": ("EigenCAM", {"centred": True}),
}


@on_torch
@pytest.mark.filterwarnings("ignore:.*")  # the peer's own
@pytest.mark.parametrize("name", PEERS)
def test_pytorch_grad_cam(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw maps before its ReLU and scaling; Eigen-CAM up to its sign."""
    package = _pytorch_grad_cam(monkeypatch)
    kind, options = PEERS[name]
    net = small_net(data_format="channels_first", activation="linear", scale=100)  # Grad-CAM++ there adds 1e-6
    with getattr(package, kind)(model=net, target_layers=[net.get_layer("relu")]) as peer:
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        targets = [ClassifierOutputTarget(LABEL)] * 3
        peer.outputs = peer.activations_and_grads(tensor())
        if peer.uses_gradients:
            sum(t(o) for t, o in zip(targets, peer.outputs)).backward(retain_graph=True)
        maps = peer.activations_and_grads.activations[0].cpu().numpy()
        gradients = [g.cpu().numpy() for g in peer.activations_and_grads.gradients]
        theirs = peer.get_cam_image(
            tensor(), net.get_layer("relu"), targets, maps, gradients[0] if gradients else maps, False
        )
    mine = ours(net, name, **options).heat
    if name == "eigen-cam":
        mine = mine * np.sign((mine * theirs).sum(axis=(1, 2), keepdims=True))
    near(mine, theirs)


@on_torch
@pytest.mark.filterwarnings("ignore:.*")  # the peer's own
def test_torchcam_grad_cam(net: keras.Model) -> None:
    """One picture at a time, without its normalisation."""
    methods, torch = pytest.importorskip("torchcam.methods"), pytest.importorskip("torch")

    class Holder(torch.nn.Module):  # torchcam finds layers by their place in the module
        def __init__(self) -> None:
            super().__init__()
            self.layer = net.get_layer("relu")

        def forward(self, x: Any) -> Any:
            return net(x)

    holder, mine = Holder(), ours(net, "grad-cam").heat
    for i in range(3):
        with methods.GradCAM(holder, target_layer="layer") as extractor:
            scores = holder(tensor()[i : i + 1])
            (found,) = extractor(LABEL, scores, normalized=False)
        near(np.maximum(mine[i], 0), found[0])


@on_torch
@pytest.mark.filterwarnings("ignore:.*")  # the peer's own
@pytest.mark.parametrize(
    "name, kind, layer", [("ablation-cam", "AblationCAM", "two"), ("score-cam", "ScoreCAM", "one")]
)
def test_pytorch_grad_cam_by_masking(name: str, kind: str, layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score-CAM at a layer of the picture's own size: it resizes masks with corners aligned, we with centres."""
    package, net = _pytorch_grad_cam(monkeypatch), small_net(data_format="channels_first", activation="linear")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    twin, targets = torch_twin(net), [ClassifierOutputTarget(LABEL)] * 3
    module = getattr(twin, layer)
    with getattr(package, kind)(model=twin, target_layers=[module]) as peer:
        peer.outputs = peer.activations_and_grads(tensor())
        maps = peer.activations_and_grads.activations[0].cpu().numpy()
        weights = np.asarray(peer.get_cam_weights(tensor().detach(), module, targets, maps, None))
    theirs = np.einsum("nchw,nc->nhw", np.asarray(maps), weights)
    wish = Wish(layer="relu" if layer == "two" else "early", signed=True)
    near(explain(net, first(pictures()), name, LABEL, wish=wish).heat, theirs)
