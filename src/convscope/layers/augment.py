"""Apply what was drawn for each sample to a whole batch, in one compiled step.

The order is fixed: one resample (crop, scale, rotation, shift, flips, RandAugment's moves), brightness, contrast,
saturation, hue, RandAugment's colours, blur, noise, erasing, then mixing with the partner, which goes through the
same changes first. A step that is off is not in the compiled function at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import compiled
from convscope.errors import PlanError
from convscope.layers.augment_colour import change_colours, rand_augment_colours
from convscope.layers.augment_geometry import backward_map, is_moved, mirror, resample, resample_labels
from convscope.layers.augment_texture import add_noise, blur, erase, mix
from convscope.records.augmentation import Augmentation

keras = load_keras()
ops = keras.ops

_NEED_COLOUR = ("saturation", "hue")


class Augmenter:
    """Change pictures as drawn; what happens to a sample does not depend on the rest of its batch.

    Args:
        augmentation: the options that the draws came from.
        frame_hw: height and width of the pictures in pixels.
        channels: 3 (RGB), 1 (grey), or any number where no colour option is on.
        value_range: lowest and highest value of the pictures; results are clipped to it.
        fill: value 0..255 of what comes in from beyond the border; None reflects the picture, which would show
            objects that no box marks.

    Raises:
        PlanError: saturation or hue for pictures without three channels.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        *,
        frame_hw: tuple[int, int],
        channels: int,
        value_range: tuple[float, float] = (0.0, 255.0),
        fill: float | None = None,
    ) -> None:
        """Check that the options fit the pictures."""
        for name in _NEED_COLOUR:
            if channels != 3 and getattr(augmentation, name):
                raise PlanError(
                    f"expected augment.{name} = 0 for pictures of {channels} channel(s), "
                    f"got {getattr(augmentation, name)}; {name} needs red, green and blue"
                )
        if not value_range[0] < value_range[1]:
            raise PlanError(f"expected a value range from low to high, got {value_range}")
        self.augmentation = augmentation
        self._shape = (*frame_hw, channels)
        self._low, self._unit = value_range[0], (value_range[1] - value_range[0]) / 255
        self._is_rescaled = value_range != (0.0, 255.0)
        self._fill = None if fill is None else self._low + fill * self._unit

    def apply(self, images: Any, draws: dict[str, Any], partners: Any = None) -> Any:
        """Change a batch; a function of tensors made of keras.ops alone.

        Args:
            images: (n, h, w, c) uint8 or float32 in `value_range`.
            draws: name -> (n, ...) float32, from data/chance.py `draw` with the same options.
            partners: (n, h, w, c), needed when MixUp or CutMix is on; changed with the sample's own draws.

        Returns:
            (n, h, w, c) float32 in `value_range`.

        Raises:
            PlanError: pictures of another shape, or partners missing.
        """
        if tuple(images.shape[1:]) != self._shape:
            raise PlanError(f"expected pictures of shape {self._shape}, got {tuple(images.shape[1:])}")
        if "mix_keep" in draws and partners is None:
            raise PlanError("expected partners for MixUp or CutMix, got none")
        changed = self._change(images, draws)
        if "mix_keep" in draws:
            changed = mix(changed, self._change(partners, draws), blend=draws["mix_blend"], box=draws["mix_box"])
        return changed * self._unit + self._low if self._is_rescaled else changed

    def _change(self, images: Any, draws: dict[str, Any]) -> Any:
        x = self._to_pixels(self._move(images, draws))
        x = change_colours(x, draws)
        if "rand_augment" in draws:
            x = rand_augment_colours(x, draws["rand_augment"])
        if "blur" in draws:
            x = blur(x, draws["blur"], sigma_max=self.augmentation.blur)
        if "noise" in draws:
            x = add_noise(x, draws["noise"], draws["noise_key"])
        if "erase" in draws:
            x = erase(x, draws["erase"])
        return x

    def _move(self, images: Any, draws: dict[str, Any]) -> Any:
        if is_moved(draws):
            return resample(images, backward_map(draws, self._shape[0], self._shape[1]), fill=self._fill)
        return mirror(images, draws)

    def move_labels(self, labels: Any, draws: dict[str, Any]) -> Any:
        """Move masks (n, h, w) of integers as `apply` moves their pictures; colours and erasing leave them alone.

        Those of blocks, (n, h, w, slices), are moved alike in every slice.
        """
        if is_moved(draws):
            back = backward_map(draws, self._shape[0], self._shape[1])
            if len(labels.shape) == 3:
                return resample_labels(labels, back)
            return ops.stack([resample_labels(labels[..., i], back) for i in range(labels.shape[3])], axis=-1)
        return mirror(labels, draws)

    def _to_pixels(self, images: Any) -> Any:
        x = ops.cast(images, "float32")
        return ops.clip((x - self._low) / self._unit if self._is_rescaled else x, 0.0, 255.0)

    def compiled(self) -> Callable[..., Any]:
        """Return `apply` compiled for the running back end: NumPy arrays in, a tensor on the device out.

        A new batch size compiles again. With nothing switched on it only hands the pictures over as float32.
        """
        step = compiled(self.apply)

        def augment(images: np.ndarray, draws: dict[str, np.ndarray] | None, partners: np.ndarray | None = None) -> Any:
            tensors = {name: ops.convert_to_tensor(value) for name, value in (draws or {}).items()}
            other = None if partners is None else ops.convert_to_tensor(partners)
            return step(ops.convert_to_tensor(images), tensors, other)

        return augment

    def compiled_labels(self) -> Callable[[np.ndarray, dict[str, np.ndarray] | None], Any]:
        """Return `move_labels` compiled for the running back end: NumPy arrays in, a tensor on the device out."""
        step = compiled(self.move_labels)

        def move(labels: np.ndarray, draws: dict[str, np.ndarray] | None) -> Any:
            tensors = {name: ops.convert_to_tensor(value) for name, value in (draws or {}).items()}
            return step(ops.convert_to_tensor(labels), tensors)

        return move
