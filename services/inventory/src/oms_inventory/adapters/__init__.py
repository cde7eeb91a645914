"""The database: tables and every statement."""
