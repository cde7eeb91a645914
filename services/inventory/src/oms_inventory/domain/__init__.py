"""The rules of stock: pure functions, no input or output, no clock."""
