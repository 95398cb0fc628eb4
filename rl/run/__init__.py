"""A run put together: policy, models, arguments."""
