"""What can be measured of a text, whatever it is for."""
