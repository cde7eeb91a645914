"""The rules: pure functions of state and input."""
