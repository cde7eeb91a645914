"""Analytics: did this order, SKU, shop make money."""
