"""The console script."""

from pathlib import Path

from oms_analytics.entrypoints.commands import COMMANDS
from oms_analytics.service import service
from oms_events.runtime.cli import main_for

main = main_for(service, migrations_folder=Path(__file__).parents[3] / "migrations", commands=COMMANDS)
