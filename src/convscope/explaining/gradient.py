"""Plain gradients with respect to the picture."""

from __future__ import annotations

from convscope.explaining.asked import Asked
from convscope.explaining.method import Answer, Method


def gradient(asked: Asked) -> Answer:
    """The gradient of the score at the picture."""
    return Answer(asked.gradients())


def gradient_times_input(asked: Asked) -> Answer:
    """Gradient times pixel value, summed over channels: each pixel's share of the score to first order."""
    return Answer(asked.gradients() * asked.pictures)


SALIENCY = Method(
    "saliency",
    gradient,
    "gradient",
    "Simonyan et al. 2014, Deep Inside Convolutional Networks, ICLR workshop, section 3.1",
    "How much the score would change if a pixel changed a little; the size only, not the direction.",
    join="largest size",
)
GRADIENT_X_INPUT = Method(
    "gradient-x-input",
    gradient_times_input,
    "gradient",
    "Shrikumar et al. 2016, Not Just a Black Box, arXiv 1605.01713, section 2",
    "Each pixel's value times its gradient; compares with black, so dark pixels never count.",
    is_signed=True,
)
