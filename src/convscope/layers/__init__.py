"""What Keras lacks, on keras.ops: per-sample augmentation, and the layers of detectors.

Importing this package registers the layers that a saved detector names.
"""

from convscope.layers.found_boxes import ClassBoxes, PointBoxes
from convscope.layers.proposals import Proposals
from convscope.layers.roi_align import RoiAlign

__all__ = ["ClassBoxes", "PointBoxes", "Proposals", "RoiAlign"]
