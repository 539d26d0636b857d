"""Make the studio's screenshots in docs/images anew, from the real page in a headless browser.

    make studio && python docs/make_studio_pictures.py [maps number explain]

EfficientNet-Lite0 with its ImageNet weights on chelsea, coffee and rocket of scikit-image (public domain, CC0). Needs
Chromium and a font of the page's list (Roboto, Liberation Sans).
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from skimage import data

from convscope.bundle.saving import save_bundle
from convscope.models.network import build_network
from convscope.records.card import Card
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance

IMAGES = Path(__file__).parent / "images"
NAMES = {
    281: "tabby",
    282: "tiger cat",
    285: "Egyptian cat",
    287: "lynx",
    728: "plastic bag",
    967: "espresso",
    968: "cup",
}
VIEWS = {
    "maps": "#/maps?layer=stem_relu",
    "number": "#/number?layer=stem_relu&at=44,37&channel=24",
    "explain": "#/explain?how=grad-cam,guided-grad-cam,integrated-gradients,eigen-cam,smooth-grad,lrp",
}


def make_bundle(folder: Path) -> Path:
    """The network with its ImageNet weights, as a bundle that the studio opens."""
    network = build_network("efficientnet-lite0", outputs=1000, output_activation="softmax", weights="imagenet")
    card = Card(
        task="classify",
        classes=tuple(NAMES.get(i, f"ImageNet class {i}") for i in range(1000)),
        preprocess=Preprocess(224, 224, 3, fit="crop"),
        network="efficientnet-lite0",
        feature_layer=network.feature_layer,
        provenance=Provenance(model="efficientnet-lite0, ImageNet"),
    )
    save_bundle(folder / "efficientnet-lite0.cvs", network.model, card)
    return folder / "efficientnet-lite0.cvs"


def make_photographs(folder: Path) -> Path:
    """Three class folders with a photograph each."""
    for name, kind in (("chelsea", "cat"), ("coffee", "cup"), ("rocket", "rocket")):
        (folder / kind).mkdir(parents=True)
        Image.fromarray(getattr(data, name)()).save(folder / kind / f"{name}.png")
    return folder


def settle(page: Page) -> None:
    """Wait until nothing is being loaded."""
    calm = 0
    for _ in range(3000):
        busy = page.evaluate("document.querySelectorAll('[role=status] .dot, [aria-busy=true]').length")
        calm = 0 if busy else calm + 1
        if calm > 8:
            return
        page.wait_for_timeout(100)
    raise SystemExit("the page is still loading after five minutes")


def main() -> None:
    """Build, start, take the pictures."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = [make_bundle(folder), make_photographs(folder / "photographs")]
        command = [sys.executable, "-m", "convscope", "studio", *map(str, given), "--no-open-browser"]
        studio = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert studio.stdout is not None
        link = next(found[0] for line in studio.stdout if (found := re.search(r"http://\S+token=\S+", line)))
        try:
            with sync_playwright() as play:
                chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = chromium.new_page(viewport={"width": 1440, "height": 900})
                page.goto(link)
                settle(page)
                for name in sys.argv[1:] or VIEWS:
                    page.evaluate(f"location.hash = {VIEWS[name]!r}")
                    page.wait_for_timeout(500)
                    settle(page)
                    picture = Image.open(io.BytesIO(page.screenshot()))
                    picture.convert("RGB").save(IMAGES / f"studio-{name}.webp", quality=82, method=6)
                chromium.close()
        finally:
            studio.terminate()
            studio.wait(timeout=60)


if __name__ == "__main__":
    main()
