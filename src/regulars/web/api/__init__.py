"""What shop developers speak: orders, members, carts, value, programmes, keys."""
