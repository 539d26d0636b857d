"""One small run for all tests of the studio."""

import pytest

from studio.made import make_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """(run folder, data folder)."""
    return make_run(tmp_path_factory.mktemp("studio"))
