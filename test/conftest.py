"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# For `make check`, which has a minute for everything twice; `make test` draws as many examples as is usual.
settings.register_profile("brief", max_examples=10)

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--numpy", metavar="VERSION", help="refuse to run with a numpy of another version")


def pytest_configure(config: pytest.Config) -> None:
    wanted = config.getoption("--numpy")
    if wanted and not np.__version__.startswith(f"{wanted}."):
        raise pytest.UsageError(f"numpy {np.__version__} was imported, not {wanted}")


def pytest_report_header() -> str:
    return f"numpy: {np.__version__}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that we may use and not redistribute: ../shared/data beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real recordings at {SHARED_DATA}")
    return SHARED_DATA
