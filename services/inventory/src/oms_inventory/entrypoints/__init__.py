"""Doors of the service: HTTP API and command line."""
