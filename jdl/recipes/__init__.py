"""Worked examples, each a module with `Settings` and `run(settings, key) -> Report`.

`jdl list` names them, `jdl run NAME` runs one, `jdl show NAME` prints its docstring.
"""
