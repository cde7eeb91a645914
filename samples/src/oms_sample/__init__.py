"""Plays real sales through the whole system, speaking only its public API, and checks what came of every order."""
