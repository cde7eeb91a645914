"""Fixtures for every test in the repository; broker and database come from the plugin that oms_local brings."""

from hypothesis import settings

pytest_plugins = ["oms_events.testing.fixtures"]

# A busy machine is no failure of a property.
settings.register_profile("oms", deadline=None, print_blob=True)
settings.load_profile("oms")
