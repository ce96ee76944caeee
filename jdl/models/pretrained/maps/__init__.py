"""Key maps, a module for each family: a table for each architecture and library. See `key_map`.

The tables were read off the classes of torchvision 0.29.1, timm 1.0.31, transformers 5.24.0 and
Keras 3.15.1.
"""
