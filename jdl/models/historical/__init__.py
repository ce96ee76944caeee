"""Vision machines before backpropagation."""
