"""Which model the page means: a place, and what of it is different for the moment. All of it stands in the address.

"PLACE", "PLACE@EPOCH", "PLACE*INITIALIZER" and "PLACE!LAYER~FILTER~CELL~VALUE;..." in this order, any of the last three
left out; behind a value may stand "~PART" (bias, depthwise, pointwise). The saved model is never changed: the numbers
are set on a second copy in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from convscope.errors import DataError
from convscope.records.kernel_value import KernelValue

MOST_EDITS, LONGEST = 600, 12_000
_FORM = re.compile(r"(?P<place>[0-9a-f]{16})(?:@(?P<epoch>\d{1,6}))?(?:\*(?P<drawn>[a-z_]{1,24}))?(?:!(?P<edits>.+))?")


@dataclass(frozen=True)
class Variant:
    """One model as the page means it.

    Attributes:
        place: id of the run or model.
        epoch: of the run's kept checkpoints; None for the finished model.
        drawn: initializer that all kernels are drawn by; "" for none.
        edits: single numbers that stand in kernels instead.
    """

    place: str
    epoch: int | None = None
    drawn: str = ""
    edits: tuple[KernelValue, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether its weights differ from what is saved."""
        return bool(self.drawn or self.edits)


def parse_variant(text: str) -> Variant:
    """Read what the page sent.

    Raises:
        DataError: not of this form, or too many edits.
    """
    if len(text) > LONGEST:
        raise DataError(f"expected at most {MOST_EDITS} changed numbers; reset some of them")
    found = _FORM.fullmatch(text)
    if found is None:
        return Variant(text)  # no such place: places.get says so
    edits = tuple(KernelValue.parse(one) for one in (found["edits"] or "").split(";") if one)
    if len(edits) > MOST_EDITS:
        raise DataError(f"expected at most {MOST_EDITS} changed numbers, got {len(edits)}; reset some of them")
    epoch = None if found["epoch"] is None else int(found["epoch"])
    return Variant(found["place"], epoch, found["drawn"] or "", edits)
