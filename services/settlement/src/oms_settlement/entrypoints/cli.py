"""The console script."""

from pathlib import Path

from oms_events.runtime.cli import main_for
from oms_settlement.service import service

main = main_for(service, migrations_folder=Path(__file__).parents[3] / "migrations")
