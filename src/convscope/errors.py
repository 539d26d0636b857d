"""One tree of errors; each is also the built-in kind that a caller would expect.

ConvscopeError
├── DataError (ValueError)              what was given as data can't be used
│   ├── DataNotFoundError (FileNotFoundError)
│   └── PictureError                    one picture can't be read; the loader sets it aside
├── PlanError (ValueError)              options that can't work
├── ModelError (ValueError)             a model that can't be built, trained or opened
│   ├── WeightsNotFoundError (FileNotFoundError)
│   ├── UnknownLayerError (KeyError)
│   ├── TapUnreachableError (RuntimeError)
│   └── TargetError                     no score to explain, or an ambiguous one
├── BundleError (ValueError)            a saved model that is damaged or refused
├── RunError (ValueError)               a run folder that can't be used
│   └── RunLockedError (RuntimeError)
├── StorageError (OSError)              disk full, no permission, path too long
├── BackendError (ImportError)          no usable back end, or the wrong one
├── MissingExtraError (ImportError)     an optional package is absent
└── UnknownNameError (KeyError)         a name no registry holds; says the nearest ones

A message is one line: what was expected, what was found, where, what to do.
"""

from __future__ import annotations


class ConvscopeError(Exception):
    """The root of every error that convscope raises on purpose."""

    def __str__(self) -> str:
        """Return the message itself (KeyError would show its repr)."""
        return str(self.args[0]) if self.args else self.__class__.__name__


class DataError(ConvscopeError, ValueError):
    """Data that can't be used as given."""


class DataNotFoundError(DataError, FileNotFoundError):
    """A path that does not exist or may not be read."""


class PictureError(DataError):
    """One picture that can't be read; `path` and `reason` say which and why."""

    def __init__(self, path: str, reason: str) -> None:
        """Keep path and reason apart, so that a reader can set the file aside by name."""
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class PlanError(ConvscopeError, ValueError):
    """Options that can't work, alone or together with the data."""


class ModelError(ConvscopeError, ValueError):
    """A model that can't be built, trained, opened or looked into."""


class WeightsNotFoundError(ModelError, FileNotFoundError):
    """Pretrained weights that are not on this machine."""


class UnknownLayerError(ModelError, KeyError):
    """A layer name, pattern or call number that the model does not have."""


class TapUnreachableError(ModelError, RuntimeError):
    """A layer whose values or gradients can't be reached from outside; says why."""


class TargetError(ModelError):
    """A score that does not exist or has to be named."""


class BundleError(ConvscopeError, ValueError):
    """A saved model that is damaged, incomplete or refused."""


class RunError(ConvscopeError, ValueError):
    """A run folder that can't be used for what was asked."""


class RunLockedError(RunError, RuntimeError):
    """A run folder that another live process is writing."""


class StorageError(ConvscopeError, OSError):
    """A file that can't be written: disk full, no permission, path too long."""


class BackendError(ConvscopeError, ImportError):
    """No usable Keras back end, or one that was already fixed otherwise."""


class MissingExtraError(ConvscopeError, ImportError):
    """An optional package is absent; the message says what to install."""


class UnknownNameError(ConvscopeError, KeyError):
    """A name that no registry holds."""
