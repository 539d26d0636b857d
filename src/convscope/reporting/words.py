"""Metrics and their intervals in plain words."""

from __future__ import annotations

from convscope.draw.numbers import NO_BREAK, percent, three
from convscope.records.prediction import Scored

METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "F1, mean over classes",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "mean_average_precision": "Mean average precision",
    "expected_calibration_error": "Calibration error",
    "brier": "Brier score",
    "top_5_accuracy": "Right among its first 5",
    "sensitivity_at_90_specificity": "Sensitivity at 0.90 specificity",
    "unsure_share": "Unsure",
    "accuracy_when_sure": "Accuracy when sure",
    "exact_match": "All labels right",
    "label_accuracy": "Labels right",
    "mean_absolute_error": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
    "map_50": "mAP at 0.5",
    "map": "mAP at 0.5 to 0.95",
    "map_75": "mAP at 0.75",
    "map_small": "mAP, small boxes",
    "map_medium": "mAP, medium boxes",
    "map_large": "mAP, large boxes",
    "ar_1": "Recall, 1 box per picture",
    "ar_10": "Recall, 10 boxes per picture",
    "ar_100": "Recall, 100 boxes per picture",
    "ar_small": "Recall, small boxes",
    "ar_medium": "Recall, medium boxes",
    "ar_large": "Recall, large boxes",
    "best_f1": "F1 at the best threshold",
    "loss": "Loss",
    "learning_rate": "Learning rate",
    "support": "Pictures",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "dice": "Dice",
    "iou": "IoU",
    "hausdorff_95_mm": "Hausdorff distance 95 %, mm",
    "hausdorff_95_px": "Hausdorff distance 95 %, pixels",
    "surface_distance_mm": "Mean surface distance, mm",
    "surface_distance_px": "Mean surface distance, pixels",
    "missed_share": "Classes missed",
}
_DISTANCES = {"hausdorff_95_mm", "hausdorff_95_px", "surface_distance_mm", "surface_distance_px"}
UNITS = frozenset({"mean_absolute_error", "rmse", "r2", "brier", *_DISTANCES})  # shown as numbers, not as percent


def metric_words(name: str) -> str:
    """A metric's name for people ("Balanced accuracy"); an unknown one with spaces for underscores."""
    return METRICS.get(name) or name.replace("_", " ").strip().capitalize()


def is_share(name: str) -> bool:
    """True when the metric of `Scores.values` is shown as percent."""
    return name not in UNITS


def value_words(name: str, value: float) -> str:
    """One value of a metric as it is shown."""
    return percent(value) if is_share(name) else three(value)


def interval_words(name: str, scored: Scored) -> str:
    """A 95 % interval ("79.1 % to 92.4 %"), or why there is none."""
    if scored.low is None or scored.high is None:
        return "none"
    return f"{value_words(name, scored.low)} to {value_words(name, scored.high)}".replace(" ", NO_BREAK)


def duration(seconds: float) -> str:
    """Seconds in words ("12 s", "3 min 20 s", "1 h 05 min")."""
    whole = round(seconds)
    if whole < 60:
        return f"{three(seconds)} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
