"""Make the pictures of docs/explain.md anew: every method on one photograph, and feature visualisation.

    KERAS_BACKEND=tensorflow python docs/make_pictures.py

EfficientNet-Lite0 with its ImageNet weights on chelsea, coffee and rocket of scikit-image (public domain, CC0).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from convscope.actions.explain import explain
from convscope.explaining.growing import Ascent
from convscope.explaining.method import METHODS, method
from convscope.explaining.shown import for_the_eye
from convscope.explaining.visualise import channel_pictures, class_pictures, deep_dream
from convscope.models.network import build_network
from convscope.scope.tap import Probe

FOLDER = Path(__file__).parent / "explain"
# few draws where many cost minutes; the page says so
OPTIONS = {
    "rise": {"samples": 400},
    "occlusion": {"window": 32, "stride": 16},
    "score-cam": {"top_channels": 64},
    "ablation-cam": {"top_channels": 64},
    "lime": {"samples": 200},
    "shapley": {"samples": 6},
    "smooth-grad": {"samples": 16},
    "var-grad": {"samples": 16},
}
SIDE, GAP, QUALITY = 168, 6, 80


def crop(picture: np.ndarray) -> np.ndarray:
    """Shorter side to 256, the middle 224, (224, 224, 3) float32 in 0..255."""
    image = Image.fromarray(picture[..., :3])
    factor = 256 / min(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)


def strip(pictures: list[np.ndarray], name: str) -> None:
    """Pictures side by side on white as one WebP file."""
    page = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, SIDE), "white")
    for i, picture in enumerate(pictures):
        page.paste(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (i * (SIDE + GAP), 0))
    FOLDER.mkdir(exist_ok=True)
    page.save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


def grown(probe: Probe, photographs: np.ndarray) -> None:
    """Pictures of classes, of channels, and a dream."""
    strip([p.astype(np.uint8) for p in photographs], "photographs")
    how = Ascent(steps=40, rate=0.1)
    strip(list(for_the_eye(class_pictures(probe, [967, 657], ascent=how).pictures)), "class-pictures")
    layer = next(c.name for c in probe.calls() if c.kind == "Conv2D" and "block5" in c.name)
    how = Ascent(steps=32, rate=0.1)
    strip(list(for_the_eye(channel_pictures(probe, layer, [0, 1, 2], ascent=how).pictures)), "channel-pictures")
    dreamed = deep_dream(probe, photographs[:1], layer, ascent=Ascent(steps=16, rate=0.06, holding="pixels"))
    strip([photographs[0].astype(np.uint8), for_the_eye(dreamed.pictures)[0]], "deep-dream")


def main() -> None:
    """Explain, draw, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="methods, or grown; none for all")
    names = parser.parse_args().names or [*METHODS.names(), "grown"]
    network = build_network("efficientnet-lite0", outputs=1000, output_activation="softmax", weights="imagenet")
    probe = Probe(network.model)
    photographs = np.stack([crop(getattr(data, name)()) for name in ("chelsea", "coffee", "rocket")])
    if "grown" in names:
        grown(probe, photographs)
    for name in (n for n in names if n != "grown"):
        wanted = photographs[:1] if method(name).family == "perturbation" else photographs
        found = explain(probe, wanted, name, options=OPTIONS.get(name, {}))
        strip([found.overlay(i) for i in range(len(wanted))], name)
        sys.stderr.write(f"{name}\n")


if __name__ == "__main__":
    main()
