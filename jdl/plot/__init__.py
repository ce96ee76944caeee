"""Figures with matplotlib (the extra `plots`). Each function returns a Figure and shows nothing."""
