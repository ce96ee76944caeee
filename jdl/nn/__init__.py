"""Mathematics and layers that several systems share and that jax.nn, Flax and Optax lack."""
