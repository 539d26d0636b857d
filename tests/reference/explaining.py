"""Slow literal twins of the explanation methods: the network of `contract.explained.small_net` in plain NumPy with its
backward pass written by hand, and each paper's formula with loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy


class SlowNet:
    """Convolution, ReLU, 2x2 mean, convolution, batch normalisation, ReLU, mean over space, dense; float64."""

    def __init__(self, model: Any) -> None:
        w = {
            f"{layer.name}/{v.name}": to_numpy(v.value).astype(np.float64)
            for layer in model.layers
            for v in layer.weights
        }
        self.k1, self.b1, self.k2, self.b2 = w["early/kernel"], w["early/bias"], w["late/kernel"], w["late/bias"]
        self.scale = w["norm/gamma"] / np.sqrt(w["norm/moving_variance"] + 1e-3)
        self.shift = w["norm/beta"] - self.scale * w["norm/moving_mean"]
        self.kernel, self.bias = w["head/kernel"], w["head/bias"]

    def forward(self, x: np.ndarray, zeroed: int | None = None) -> dict[str, np.ndarray]:
        a = conv(x, self.k1) + self.b1
        r = np.maximum(a, 0)
        p = (r[::2, ::2] + r[1::2, ::2] + r[::2, 1::2] + r[1::2, 1::2]) / 4
        c = conv(p, self.k2) + self.b2
        n = c * self.scale + self.shift
        q = np.maximum(n, 0)
        if zeroed is not None:
            q[:, :, zeroed] = 0
        return {
            "a": a,
            "r": r,
            "p": p,
            "c": c,
            "n": n,
            "relu": q,
            "logits": q.mean(axis=(0, 1)) @ self.kernel + self.bias,
        }

    def score(self, x: np.ndarray, label: int) -> float:
        return float(self.forward(x)["logits"][label])

    def backward(self, x: np.ndarray, label: int, rule: str = "plain") -> dict[str, np.ndarray]:
        f = self.forward(x)
        h, w, _ = f["relu"].shape
        g = {"relu": np.broadcast_to(self.kernel[:, label] / (h * w), f["relu"].shape)}
        g["n"] = through(rule, f["n"], g["relu"])
        g["c"] = g["n"] * self.scale
        g["p"] = conv_back(g["c"], self.k2)
        g["r"] = g["p"].repeat(2, axis=0).repeat(2, axis=1) / 4
        g["a"] = through(rule, f["a"], g["r"])
        g["x"] = conv_back(g["a"], self.k1)
        return g


def through(rule: str, before: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    if rule == "plain":
        return gradient * (before > 0)
    positive = np.maximum(gradient, 0)
    return positive * (before > 0) if rule == "guided" else positive


def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    h, w, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((h, w, kernel.shape[3]))
    for i, j in itertools.product(range(3), range(3)):
        out += padded[i : i + h, j : j + w] @ kernel[i, j]
    return out


def conv_back(gradient: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    h, w, _ = gradient.shape
    padded = np.zeros((h + 2, w + 2, kernel.shape[2]))
    for i, j in itertools.product(range(3), range(3)):
        padded[i : i + h, j : j + w] += gradient @ kernel[i, j].T
    return padded[1:-1, 1:-1]


def enlarged(values: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, pixel centres at half-integers, one output value at a time."""
    n, m = values.shape
    out = np.zeros((size, size))
    for y, x in itertools.product(range(size), range(size)):
        v, u = min(max((y + 0.5) * n / size - 0.5, 0), n - 1), min(max((x + 0.5) * m / size - 0.5, 0), m - 1)
        i, j = int(v), int(u)
        k, o = min(i + 1, n - 1), min(j + 1, m - 1)
        top = values[i, j] * (1 - (u - j)) + values[i, o] * (u - j)
        bottom = values[k, j] * (1 - (u - j)) + values[k, o] * (u - j)
        out[y, x] = top * (1 - (v - i)) + bottom * (v - i)
    return out


def layer(model: Any, x: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    net = SlowNet(model)
    return net.forward(x)["relu"], net.backward(x, label)["relu"]


def grad_cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, gradients = layer(model, x, label)
    heat = np.zeros(maps.shape[:2])
    for k in range(maps.shape[2]):
        heat += gradients[:, :, k].mean() * maps[:, :, k]
    return heat


def grad_cam_plus(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, gradients = layer(model, x, label)
    heat = np.zeros(maps.shape[:2])
    for k in range(maps.shape[2]):
        weight = 0.0
        for g in gradients[:, :, k].ravel():
            if g != 0:
                weight += max(g, 0) * g**2 / (2 * g**2 + maps[:, :, k].sum() * g**3)
        heat += weight * maps[:, :, k]
    return heat


def hires(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, gradients = layer(model, x, label)
    return (maps * gradients).sum(axis=2)


def xgrad(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, gradients = layer(model, x, label)
    heat = np.zeros(maps.shape[:2])
    for k in range(maps.shape[2]):
        total = maps[:, :, k].sum()
        if total > 0:
            heat += (maps[:, :, k] * gradients[:, :, k]).sum() / total * maps[:, :, k]
    return heat


def layer_cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, gradients = layer(model, x, label)
    return (np.where(gradients > 0, gradients, 0) * maps).sum(axis=2)


def eigen(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    maps, _ = layer(model, x, label)
    flat = maps.reshape(-1, maps.shape[2])
    direction = np.ones(flat.shape[1])
    for _ in range(5000):  # power iteration
        direction = flat.T @ (flat @ direction)
        direction /= np.linalg.norm(direction)
    along = (flat @ direction).reshape(maps.shape[:2])
    return along if along.sum() >= 0 else -along


def cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net = SlowNet(model)
    return net.forward(x)["relu"] @ net.kernel[:, label]


def score_cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net = SlowNet(model)
    maps = net.forward(x)["relu"]
    scores = []
    for k in range(maps.shape[2]):
        one = maps[:, :, k]
        mask = (one - one.min()) / (one.max() - one.min()) if one.max() > one.min() else np.zeros_like(one)
        scores.append(net.score(x * enlarged(mask, 16)[:, :, None], label))
    share = np.exp(scores) / np.exp(scores).sum()
    return maps @ share


def ablation_cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net = SlowNet(model)
    maps, whole = net.forward(x)["relu"], net.score(x, label)
    heat = np.zeros(maps.shape[:2])
    for k in range(maps.shape[2]):
        heat += (whole - net.forward(x, zeroed=k)["logits"][label]) / whole * maps[:, :, k]
    return heat


def full_grad(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net = SlowNet(model)
    g = net.backward(x, label)

    def scaled(values: np.ndarray) -> np.ndarray:
        sizes = np.abs(values)
        return (sizes - sizes.min()) / (sizes.max() - sizes.min())

    heat = scaled(g["x"] * x).sum(axis=2)
    for gradient, bias in ((g["a"], net.b1), (g["c"], net.b2), (g["n"], net.shift)):
        heat += enlarged(scaled(gradient * bias).sum(axis=2), 16)
    return heat


def saliency(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net, step = SlowNet(model), 1e-6
    out = np.zeros(x.shape)
    for place in np.ndindex(x.shape):  # central differences: an independent check of the hand-written backward pass
        up, down = x.astype(np.float64), x.astype(np.float64)
        up[place] += step
        down[place] -= step
        out[place] = (net.score(up, label) - net.score(down, label)) / (2 * step)
    return np.abs(out).max(axis=2)


def gradient_x_input(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    return (SlowNet(model).backward(x, label)["x"] * x).sum(axis=2)


def noisy_gradients(model: Any, x: np.ndarray, label: int, samples: int) -> np.ndarray:
    net = SlowNet(model)
    draws = np.random.Generator(np.random.Philox(key=0)).standard_normal((samples, *x.shape), np.float32)
    sigma = 0.15 * (x.max() - x.min())
    return np.stack([net.backward(x + sigma * d, label)["x"] for d in draws])


def smooth_grad(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    return np.abs(noisy_gradients(model, x, label, options["samples"]).mean(axis=0)).max(axis=2)


def var_grad(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    return noisy_gradients(model, x, label, options["samples"]).var(axis=0).sum(axis=2)


def integrated(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net = SlowNet(model)
    points, weights = np.polynomial.legendre.leggauss(options["steps"])
    total = sum(w / 2 * net.backward((p + 1) / 2 * x, label)["x"] for p, w in zip(points, weights))
    return (total * x).sum(axis=2)


def lrp(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    """Composite rule, one layer after the other, the normalisation counted in; z-values and shares written out."""
    net, eps, gamma = SlowNet(model), 1e-6, 0.25
    f = net.forward(x)

    def signed(z: np.ndarray) -> np.ndarray:
        return z + np.where(z >= 0, eps, -eps)

    relevance = np.zeros(net.bias.shape)
    relevance[label] = f["logits"][label]
    features = f["relu"].mean(axis=(0, 1))
    pooled = features * (net.kernel @ (relevance / signed(f["logits"])))
    at_relu = f["relu"] / f["relu"][..., 0].size * (pooled / signed(features))
    folded = net.k2 * net.scale, net.b2 * net.scale + net.shift
    k2, b2 = (v + gamma * np.maximum(v, 0) for v in folded)
    at_p = f["p"] * conv_back(at_relu / signed(conv(f["p"], k2) + b2), k2)
    at_r = f["r"] * (at_p / signed(f["p"])).repeat(2, axis=0).repeat(2, axis=1) / 4
    above, below = x - x.min(axis=(0, 1)), x - x.max(axis=(0, 1))
    positive, negative = np.maximum(net.k1, 0), np.minimum(net.k1, 0)
    ratio = at_r / (conv(above, positive) + conv(below, negative) + eps)
    return (above * conv_back(ratio, positive) + below * conv_back(ratio, negative)).sum(axis=2)


def under(rule: str) -> Callable[[Any, np.ndarray, int, dict], np.ndarray]:
    return lambda model, x, label, options: SlowNet(model).backward(x, label, rule)["x"].sum(axis=2)


def guided_grad_cam(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    guided = SlowNet(model).backward(x, label, "guided")["x"]
    warm = enlarged(np.maximum(grad_cam(model, x, label, options), 0), 16)
    return (guided * warm[:, :, None]).sum(axis=2)


def occlusion(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net, side = SlowNet(model), options["window"]
    lost, count = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    for top, left in itertools.product(range(0, 16 - side + 1, side // 2), repeat=2):
        covered = x.copy()
        covered[top : top + side, left : left + side] = 0
        lost[top : top + side, left : left + side] += net.score(x, label) - net.score(covered, label)
        count[top : top + side, left : left + side] += 1
    return lost / count


def rise(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net, n, cells = SlowNet(model), options["samples"], options["cells"]
    rng = np.random.Generator(np.random.Philox(key=0))
    grids = rng.random((n, cells + 1, cells + 1)) < 0.5
    cell = 16 // cells
    shifts = np.stack([rng.integers(0, cell, n), rng.integers(0, cell, n)], axis=1)
    masks = [enlarged(g.astype(float), (cells + 1) * cell)[y : y + 16, z : z + 16] for g, (y, z) in zip(grids, shifts)]
    scores = [net.score(x * m[:, :, None], label) for m in masks]
    return sum((s - np.mean(scores)) * m for s, m in zip(scores, masks)) / (n * 0.5)


def regions(x: np.ndarray) -> np.ndarray:
    from convscope.explaining.superpixels import superpixels

    return superpixels(x, 30)


def shapley(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    net, labels = SlowNet(model), regions(x)
    rng, k = np.random.Generator(np.random.Philox(key=0)), int(labels.max()) + 1
    cover = np.broadcast_to(x.mean(axis=(0, 1)), x.shape)
    gains, order = np.zeros(k), None
    for s in range(options["samples"]):
        order = order[::-1] if s % 2 else rng.permutation(k)
        shown = cover.copy()
        before = net.score(shown, label)
        for region in order:
            shown[labels == region] = x[labels == region]
            after = net.score(shown, label)
            gains[region] += after - before
            before = after
    return (gains / options["samples"])[labels]


def lime(model: Any, x: np.ndarray, label: int, options: dict) -> np.ndarray:
    from sklearn.linear_model import Ridge

    net, labels = SlowNet(model), regions(x)
    k = int(labels.max()) + 1
    members = np.random.Generator(np.random.Philox(key=0)).random((options["samples"], k)) < 0.5
    members[0] = True
    cover = np.broadcast_to(x.mean(axis=(0, 1)), x.shape)
    scores, weights = [], []
    for row in members:
        scores.append(net.score(np.where(row[labels][..., None], x, cover), label))
        cosine = row.sum() / (np.sqrt(row.sum()) * np.sqrt(k)) if row.any() else 0.0
        weights.append(np.sqrt(np.exp(-((1 - cosine) ** 2) / 0.25**2)))
    fit = Ridge(alpha=1.0).fit(members.astype(float), scores, sample_weight=weights)
    return fit.coef_[labels]


TWINS = {
    "cam": cam,
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus,
    "hires-cam": hires,
    "xgrad-cam": xgrad,
    "layer-cam": layer_cam,
    "eigen-cam": eigen,
    "score-cam": score_cam,
    "ablation-cam": ablation_cam,
    "full-grad": full_grad,
    "saliency": saliency,
    "gradient-x-input": gradient_x_input,
    "smooth-grad": smooth_grad,
    "var-grad": var_grad,
    "integrated-gradients": integrated,
    "guided-backprop": under("guided"),
    "deconvolution": under("deconvolution"),
    "lrp": lrp,
    "guided-grad-cam": guided_grad_cam,
    "occlusion": occlusion,
    "rise": rise,
    "shapley": shapley,
    "lime": lime,
}
