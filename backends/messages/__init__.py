"""What is asked and answered, in the terms of no engine."""
