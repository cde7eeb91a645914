"""The rules of an order: functions of what is known that draw what follows."""
