"""The process and the machine: loops, slots, hardware."""
