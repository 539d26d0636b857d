"""Which random changes training pictures get, and how strong; all off by default."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from convscope.errors import PlanError

# Operations of RandAugment in the order of their numbers, which the drawn parameters carry. Of the paper's fourteen
# only "equalize" is missing: it is no function of a few numbers per picture.
RAND_AUGMENT_OPS = (
    "identity",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "autocontrast",
    "posterize",
    "solarize",
)


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the random changes; 0 or False is off.

    Chance is drawn per sample from (seed, epoch, index), never per batch (see data/chance.py).

    Attributes:
        flip_horizontal: mirrored left to right with probability 1/2.
        flip_vertical: mirrored top to bottom with probability 1/2.
        rotate_deg: turned by up to this many degrees either way.
        scale: enlarged or shrunk by up to this share (0.1 = 0.9 to 1.1 times).
        shift: moved by up to this share of height and width.
        crop: a random window that keeps at least (1 - crop) of each side, enlarged to the frame.
        brightness: made brighter or darker by up to this share.
        contrast: changed by up to this share.
        saturation: colours made stronger or paler by up to this share.
        hue: turned by up to this share of the colour circle.
        blur: Gaussian blur, standard deviation up to this many pixels.
        noise: Gaussian noise, standard deviation up to this share of the full range.
        erase: with probability 1/2 a rectangle of up to this share of the area is greyed.
        rand_augment: number of RandAugment operations per picture (Cubuk et al. 2020).
        rand_augment_strength: their common strength, 0 to 1.
        mixup: two pictures blended by a share drawn from Beta(a, a); this is a (Zhang et al. 2018).
        cutmix: a window of another picture pasted in, its share drawn from Beta(a, a); this is a (Yun et al. 2019).
        mix_chance: share of the pictures that MixUp and CutMix change.
        mosaic: boxes only: share of the pictures that become a quarter of a frame of four (Bochkovskiy et al. 2020).
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate_deg: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    rand_augment: int = 0
    rand_augment_strength: float = 0.5
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_chance: float = 1.0
    mosaic: float = 0.0

    def __post_init__(self) -> None:
        """Check ranges: shares lie in 0..1 (hue 0..0.5, scale and crop below 1), the rest is not negative."""
        limits = {
            "rotate_deg": 180.0,
            "hue": 0.5,
            "scale": 0.9,
            "crop": 0.9,
            "blur": 10.0,
            "rand_augment": 8,
            "mixup": 10.0,
            "cutmix": 10.0,
        }
        for field in fields(self):
            value = getattr(self, field.name)
            limit = limits.get(field.name, 1.0)
            if not isinstance(value, bool) and not 0 <= value <= limit:
                raise PlanError(f"expected augment.{field.name} between 0 and {limit:g}, got {value}")

    @property
    def is_off(self) -> bool:
        """True when nothing is changed."""
        strengths = {k: v for k, v in asdict(self).items() if k not in ("rand_augment_strength", "mix_chance")}
        return not any(strengths.values())

    def calmed(self) -> Augmentation:
        """Without what puts several pictures into one: for the last epochs of a detector."""
        return replace(self, mixup=0.0, cutmix=0.0, mosaic=0.0)
