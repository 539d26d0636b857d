"""The chapters of a report, from records and NumPy pictures; put them into a Report in the order wanted."""

from __future__ import annotations

from convscope.reporting.audit import audit_facts, audit_section
from convscope.reporting.detecting import box_mistakes_section, detected_section, detection_section
from convscope.reporting.looking import Film, Frame, attribution_section, film_section, filters_section, maps_section
from convscope.reporting.pictures import augmentation_section, mistakes_section, samples_section, worst_mistakes
from convscope.reporting.scores import folds_section, headline_words, scores_section
from convscope.reporting.training import lowest_loss_epoch, training_section

__all__ = [
    "Film",
    "Frame",
    "attribution_section",
    "audit_facts",
    "audit_section",
    "augmentation_section",
    "box_mistakes_section",
    "detected_section",
    "detection_section",
    "film_section",
    "filters_section",
    "folds_section",
    "headline_words",
    "lowest_loss_epoch",
    "maps_section",
    "mistakes_section",
    "samples_section",
    "scores_section",
    "training_section",
    "worst_mistakes",
]
