"""Whole systems: every service as processes of their own, on a broker and a database of their own."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from oms_local.profile import Profile
from oms_local.servers import Platform
from oms_local.system import Options, System, running_system

SystemOf = Callable[..., AbstractAsyncContextManager[System]]


@pytest.fixture
def system_of(platform: Platform, pytestconfig: pytest.Config, tmp_path: Path) -> SystemOf:
    """Starts a system with the options given, beside those that tests need."""

    def start(**options: Any) -> AbstractAsyncContextManager[System]:
        needed: dict[str, Any] = {
            "run_dir": tmp_path,
            "cache_dir": pytestconfig.rootpath / ".cache",
            "profile": Profile.TEST,
            "way": platform.how,
            "log_level": "WARNING",
        }
        return running_system(Options(**(needed | options)))

    return start
