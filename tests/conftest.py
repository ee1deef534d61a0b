"""Settings for all tests: hypothesis prints what reproduces a failure and never measures time."""

import os
from pathlib import Path

import pytest
from builders import SHARED
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["postgres_fixtures"]

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("regulars", deadline=None, print_blob=True, max_examples=150, suppress_health_check=QUIET)
settings.register_profile("planted", settings.get_profile("regulars"), max_examples=1000, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("REGULARS_PROFILE", "regulars"))


@pytest.fixture
def shared_data() -> Path:
    """The folder of the big files; the test is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the big files are not here; point REGULARS_SHARED to the folder that holds data/")
    return SHARED / "data"
