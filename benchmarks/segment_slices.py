"""A U-Net slid over a volume of 181 x 217 x 181 slice by slice, beside MONAI's SliceInferer with the same network.

    python -m benchmarks segment_slices                             # ours on TensorFlow, as people run it on a CPU
    KERAS_BACKEND=torch python -m benchmarks segment_slices         # ours on PyTorch; MONAI runs the same network too

Windows of 96 x 96, half overlapping, Gaussian weights, 32 at a time. Processor time is quoted, which others on the
machine disturb least; the ratios are medians over the rounds. On PyTorch the answers are compared. MONAI is installed
beside with `pip install --no-deps monai`; without it the script says so and stops.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.timing import alternate, markdown, publish, rows_against
from convscope.arrays.window import Sliding, blend_windows
from convscope.backend.selection import backend_name, set_backend
from convscope.models.segmenters import build_segmenter

ROUNDS = 3
SHAPE = tuple(int(v) for v in os.environ.get("SLICES_SHAPE", "181,217,181").split(","))  # smaller to try it out
WINDOW, BATCH, OVERLAP = 96, 32, 0.5
OURS, MONAI, BARE = "convscope", "MONAI, the same network", "MONAI, the network in plain PyTorch"


def cpu(action: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        began = time.process_time()
        action()
        return time.process_time() - began

    return timed


def plain_unet(width: int, depth: int, classes: int) -> Any:
    """The U-Net of `convscope.models.unet` without dropout, written in PyTorch; weights as they are drawn."""
    import torch
    from torch import nn

    def double(a: int, b: int) -> nn.Sequential:
        parts: list[nn.Module] = []
        for first in (a, b):
            parts += [nn.Conv2d(first, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        return nn.Sequential(*parts)

    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [width * 2**level for level in range(depth + 1)]
            self.down = nn.ModuleList([double(a, b) for a, b in zip([1, *widths], widths, strict=False)])
            self.up = nn.ModuleList([double(b + a, a) for a, b in itertools.pairwise(widths)][::-1])
            self.last = nn.Conv2d(width, classes, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for level, block in enumerate(self.down):
                x = block(nn.functional.max_pool2d(x, 2) if level else x / 127.5 - 1)
                skips.append(x)
            for block, skip in zip(self.up, skips[-2::-1], strict=True):
                x = nn.functional.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)
                x = block(torch.cat([x, skip], dim=1))
            return torch.softmax(self.last(x), dim=1)

    return Unet().eval()


def main() -> None:
    set_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    try:
        import torch
        from monai.inferers import SliceInferer
    except ImportError as error:
        sys.exit(f"expected MONAI and PyTorch to compare with, {error.name} is missing; pip install --no-deps monai")
    from convscope.models.segmenter import SegmenterOptions  # loads Keras, after the back end is chosen

    options = SegmenterOptions(depth=3, width=4, dropout=0.0)
    model = build_segmenter("unet", 3, frame_hw=(WINDOW, WINDOW), channels=1, weights="none", options=options).model
    noise = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    volume = (128 + 900 * ndimage.gaussian_filter(noise, 2)).clip(0, 255).astype("f4")[..., None]
    sliding = Sliding((1, WINDOW, WINDOW), OVERLAP, budget_bytes=512 << 20)

    def ours() -> np.ndarray:
        def answer(windows: np.ndarray) -> np.ndarray:
            return np.asarray(model.predict_on_batch(windows[:, 0]), np.float32)[:, None]

        return blend_windows(answer, volume, sliding, outputs=3)

    inferer = SliceInferer(
        roi_size=(WINDOW, WINDOW), spatial_dim=0, sw_batch_size=BATCH, overlap=OVERLAP, mode="gaussian"
    )
    tensor = torch.from_numpy(volume[..., 0][None, None])

    def theirs(network: Callable[[Any], Any]) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(inferer(tensor, network)[0])

    def same(x: Any) -> Any:
        return model(x.permute(0, 2, 3, 1), training=False).permute(0, 3, 1, 2)

    bare = plain_unet(4, 3, 3)
    actions = {OURS: cpu(ours), BARE: cpu(lambda: theirs(bare))}
    words = f"Processor time; ours on {backend_name()}."
    if backend_name() == "torch":
        apart = float(np.abs(ours() - np.moveaxis(theirs(same), 0, -1)).max())
        actions[MONAI] = cpu(lambda: theirs(same))
        words += f" The answers of convscope and MONAI with the same network are at most {apart:.2g} apart."
    for action in actions.values():
        action()  # compiled before it is measured
    figures = alternate(actions, rounds=ROUNDS)
    publish(f"segment_slices_{backend_name()}", f"A U-Net slid over a volume, slice by slice ({backend_name()})",
            [markdown(*rows_against(figures, OURS, unit="s")), words])  # fmt: skip


if __name__ == "__main__":
    main()
