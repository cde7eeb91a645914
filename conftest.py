"""Fixtures for every test in the repository."""

from hypothesis import settings

pytest_plugins = ["oms_local.fixtures", "oms_events.testing.fixtures"]

# A busy machine is no failure of a property.
settings.register_profile("oms", deadline=None, print_blob=True)
settings.load_profile("oms")
