import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.train.checkpoints import (
    checkpoint_shapes,
    latest_step,
    load_checkpoint,
    save_checkpoint,
)


def state(scale=1.0):
    return {
        "params": {
            "kernel": scale * jnp.arange(6.0).reshape(2, 3),
            "bias": jnp.ones(3, jnp.bfloat16),
        },
        "count": jnp.int32(7),
        "key": jax.random.key(3),
        "nothing": (),
        "host": np.arange(4, dtype=np.int64),
    }


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def test_every_kind_of_leaf_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path, 5, state(2.0))
    step, loaded = load_checkpoint(tmp_path, state(0.0))
    assert step == 5
    assert jax.tree.structure(loaded) == jax.tree.structure(state())
    assert_same(loaded, state(2.0))


def test_the_newest_few_are_kept(tmp_path):
    for step in [1, 4, 9, 16]:
        save_checkpoint(tmp_path, step, state(float(step)), keep=2)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [9, 16]
    assert latest_step(tmp_path) == 16
    assert_same(load_checkpoint(tmp_path, state(), 9)[1], state(9.0))


def test_shapes_are_told_without_reading_the_arrays(tmp_path):
    save_checkpoint(tmp_path, 1, state())
    shapes = checkpoint_shapes(tmp_path)
    assert shapes["params.kernel"].shape == (2, 3)
    assert shapes["params.bias"].dtype == jnp.bfloat16


def test_what_a_killed_writer_left_is_no_checkpoint(tmp_path):
    save_checkpoint(tmp_path, 1, state(1.0))
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    assert latest_step(tmp_path) == 1
    save_checkpoint(tmp_path, 2, state(2.0))
    assert_same(load_checkpoint(tmp_path, state())[1], state(2.0))


def test_a_step_is_never_written_over(tmp_path):
    save_checkpoint(tmp_path, 5, state())
    with pytest.raises(ValueError, match="has a checkpoint of step 5; got one of step 5"):
        save_checkpoint(tmp_path, 5, state())


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert latest_step(tmp_path) is None
    assert latest_step(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load_checkpoint(tmp_path, state())


def test_the_checkpoint_of_another_model_is_named_leaf_by_leaf(tmp_path):
    save_checkpoint(tmp_path, 1, {"a": jnp.ones(3), "b": jnp.ones(2), "c": jnp.int32(0)})
    like = {"a": jnp.ones(4), "b": jnp.ones(2), "d": jnp.int32(0)}
    said = "a is float32[3] for float32[4]; c is surplus; d is missing"
    with pytest.raises(ValueError, match=re.escape(said)):
        load_checkpoint(tmp_path, like)


@pytest.mark.parametrize("harm", ["truncate", "delete", "flip"])
def test_a_damaged_file_is_named_and_the_one_before_it_is_whole(tmp_path, harm):
    big = {"x": jnp.asarray(np.random.default_rng(0).normal(size=[64, 64]), jnp.float32)}
    save_checkpoint(tmp_path, 1, big)
    save_checkpoint(tmp_path, 2, big)
    files = [path for path in (tmp_path / "2").rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        if harm == "truncate":
            path.write_bytes(content[: len(content) // 2])
        elif harm == "delete":
            path.unlink()
        else:
            path.write_bytes(bytes(byte ^ 0xFF for byte in content))
    with pytest.raises(ValueError, match=r"2 cannot be read.*Delete it"):
        load_checkpoint(tmp_path, big)
    assert_same(load_checkpoint(tmp_path, big, 1)[1], big)


def test_one_flipped_bit_is_noticed(tmp_path):
    big = {"x": jnp.asarray(np.random.default_rng(0).normal(size=[64, 64]), jnp.float32)}
    save_checkpoint(tmp_path, 1, big)
    path = max((p for p in tmp_path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="bytes of x are not those that were saved"):
        load_checkpoint(tmp_path, big)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="folder that can be written; got .*file"):
        save_checkpoint(tmp_path / "file" / "run", 1, state())
