"""The systems: one file each, its network and the objective that is its alone."""
