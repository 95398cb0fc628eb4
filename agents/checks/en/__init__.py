"""English: lengths, words and manner, as requests word them."""
