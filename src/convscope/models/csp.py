"""The detectors' own backbone, trained from scratch: a stem and four stages of cross-stage partial blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convscope.backend.selection import load_keras
from convscope.models.parts import PIXELS, grey_to_rgb, seeds_from
from convscope.models.pyramid import conv_bn_silu, csp_block, pooled_context

keras = load_keras()


@dataclass(frozen=True)
class CspSize:
    """How deep and wide.

    Attributes:
        depth: multiplies the repeats 3, 6, 6, 3 of the stages.
        width: multiplies the widths 64, 128, 256, 512 and `most`.
        most: width of the last stage before multiplication.
    """

    depth: float
    width: float
    most: int

    def filters(self, base: int) -> int:
        """A width, a multiple of 8."""
        return max(8, round(min(base, self.most) * self.width / 8) * 8)

    def repeats(self, base: int) -> int:
        """At least one."""
        return max(1, round(base * self.depth))


SIZES = {
    "csp-tiny": CspSize(1 / 3, 0.125, 512),
    "csp-n": CspSize(1 / 3, 0.25, 1024),
    "csp-s": CspSize(1 / 3, 0.5, 1024),
    "csp-m": CspSize(2 / 3, 0.75, 768),
}


def csp_maps(pixels: Any, size: CspSize, *, seed: int) -> list[Any]:
    """(n, h, w, 1 or 3) pixels 0..255 -> maps at strides 8, 16 and 32."""
    seeds = seeds_from(seed)
    rgb = grey_to_rgb(pixels) if pixels.shape[-1] == 1 else pixels
    x = keras.layers.Rescaling(1 / 255, name="scale_pixels")(rgb)
    x = conv_bn_silu(x, size.filters(64), "stem", seeds=seeds, kernel=3, stride=2)
    maps = []
    for stage, (base, repeats) in enumerate(((128, 3), (256, 6), (512, 6), (1024, 3)), start=1):
        name = f"stage{stage}"
        x = conv_bn_silu(x, size.filters(base), f"{name}_down", seeds=seeds, kernel=3, stride=2)
        x = csp_block(x, size.filters(base), name, seeds=seeds, repeats=size.repeats(repeats), shortcut=True)
        if stage == 4:
            x = pooled_context(x, size.filters(base), f"{name}_context", seeds=seeds)
        maps.append(x)
    return maps[1:]


def pixels_input(frame_hw: tuple[int, int], channels: int) -> Any:
    """The input tensor of every network."""
    return keras.Input((*frame_hw, channels), name=PIXELS)
