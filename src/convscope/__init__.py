"""Train a convolutional network on your pictures, and see why it says what it says.

Everything below is imported when it is first used: `import convscope` loads no back end and costs milliseconds.

    run = convscope.train("pictures/", model="efficientnet-lite0", plan=convscope.Plan(epochs=20))
    run.evaluate(); run.predict(["new.jpg"]); run.report()
    scope = convscope.Scope(run.model)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    # what a person can ask for
    "scan": "convscope.actions.scan:scan",
    "train": "convscope.actions.train:train",
    "cross_validate": "convscope.actions.folds:cross_validate",
    "tune": "convscope.actions.tune:tune",
    "resume": "convscope.actions.resume:resume_run",
    "open": "convscope.actions.opening:open_any",
    "open_run": "convscope.actions.run:open_run",
    "as_detector": "convscope.actions.own_detector:as_detector",
    "list_models": "convscope.actions.catalogue:list_models",
    "doctor": "convscope.actions.doctor:examine",
    "explain": "convscope.actions.explain:explain",
    "judge": "convscope.actions.judge:judge",
    "survey": "convscope.actions.survey:survey",
    "visualise": "convscope.actions.visualise:visualise",
    "dream": "convscope.actions.visualise:dream",
    # records that people make or get
    "Plan": "convscope.training.plan:Plan",
    "Augmentation": "convscope.records.augmentation:Augmentation",
    "Preprocess": "convscope.records.geometry:Preprocess",
    "Run": "convscope.actions.run:Run",
    # looking inside
    "Scope": "convscope.actions.look:Scope",
    # in one's own fit
    "callbacks": "convscope.training.callbacks",
    # the back end
    "set_backend": "convscope.backend.selection:set_backend",
    "ConvscopeError": "convscope.errors:ConvscopeError",
}

__all__ = [
    "__version__",
    # what a person can ask for
    "scan", "train", "tune", "cross_validate", "resume", "open", "open_run", "as_detector", "explain", "judge",
    "survey", "visualise", "dream", "list_models", "doctor",
    # records that people make or get
    "Plan", "Augmentation", "Preprocess", "Run",
    # looking inside
    "Scope",
    # in one's own fit
    "callbacks",
    # the back end, and what can go wrong
    "set_backend", "ConvscopeError",
]  # fmt: skip

if TYPE_CHECKING:
    from convscope.actions.catalogue import list_models
    from convscope.actions.doctor import examine as doctor
    from convscope.actions.explain import explain
    from convscope.actions.folds import cross_validate
    from convscope.actions.judge import judge
    from convscope.actions.look import Scope
    from convscope.actions.opening import open_any as open
    from convscope.actions.own_detector import as_detector
    from convscope.actions.resume import resume_run as resume
    from convscope.actions.run import Run, open_run
    from convscope.actions.scan import scan
    from convscope.actions.survey import survey
    from convscope.actions.train import train
    from convscope.actions.tune import tune
    from convscope.actions.visualise import dream, visualise
    from convscope.backend.selection import set_backend
    from convscope.errors import ConvscopeError
    from convscope.records.augmentation import Augmentation
    from convscope.records.geometry import Preprocess
    from convscope.training import callbacks
    from convscope.training.plan import Plan


def __getattr__(name: str) -> Any:
    """Import a public name at its first use and keep it."""
    if name not in _LAZY:
        raise AttributeError(f"module 'convscope' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
