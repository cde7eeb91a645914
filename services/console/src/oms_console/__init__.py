"""Pages for people over the gateway's API: no database, no broker."""
