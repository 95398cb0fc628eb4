"""What is known of each call: place, price, record."""
