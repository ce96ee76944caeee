"""Densities, samplers and approximations of posteriors, and what tells whether to believe them."""
