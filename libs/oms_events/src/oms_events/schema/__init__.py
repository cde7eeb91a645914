"""Contracts as files: JSON Schemas, AsyncAPI, and the check that a change breaks nobody. See `oms-events --help`."""
