"""What does an ImageNet network look at in a photograph of a cat? Writes look.html.

Run it (after `pip install 'convscope[cpu,demo]' scikit-image`):

    python examples/look_inside.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from skimage import data

from convscope.actions.look import look
from convscope.models.network import build_network
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance

NAMES = {281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 657: "missile", 967: "espresso", 968: "cup"}


def imagenet_network() -> Opened:
    """EfficientNet-Lite0 with its 1,000 ImageNet classes; those without a name here are numbered."""
    network = build_network("efficientnet-lite0", outputs=1000, output_activation="softmax", weights="imagenet")
    card = Card(
        task="classify",
        classes=tuple(NAMES.get(i, f"ImageNet class {i}") for i in range(1000)),
        preprocess=Preprocess(224, 224, 3, fit="crop"),
        network="efficientnet-lite0",
        feature_layer=network.feature_layer,
        provenance=Provenance(data="scikit-image", model="efficientnet-lite0, ImageNet"),
    )
    return Opened(network.model, card, "EfficientNet-Lite0")


def main(out: Path = Path("look.html")) -> Path:
    """Look at three photographs that scikit-image brings (CC0)."""
    with TemporaryDirectory() as folder:
        files = []
        for name in ("chelsea", "coffee", "rocket"):
            file = Path(folder) / f"{name}.png"
            Image.fromarray(getattr(data, name)()).save(file)
            files.append(file)
        return look(imagenet_network(), files, out=out).page


if __name__ == "__main__":
    print(f"Open {main()} in a browser")
