"""LaMDA against a stack of T5's in transformers that decodes and has gated perceptrons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl.models.transformers.lamda import lamda

pytestmark = pytest.mark.parity


def test_it_is_the_decoder_of_t5_without_an_encoder(oracle):
    torch, transformers = oracle("torch"), oracle("transformers")
    sizes = {"d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_heads": 3}
    buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}
    kind = {"feed_forward_proj": "gated-gelu", "is_decoder": True, "use_cache": False}
    config = transformers.T5Config(vocab_size=17, **sizes, **buckets, **kind)
    torch.manual_seed(0)
    model = transformers.models.t5.modeling_t5.T5Stack(config)
    words = torch.nn.Embedding(17, 12)
    model.set_input_embeddings(words)
    network = model.double().eval()
    state = {name: x.detach().normal_(0, 0.3) for name, x in network.named_parameters()}
    tokens = np.random.default_rng(0).integers(0, 17, [2, 9])
    with torch.no_grad():
        found = network(input_ids=torch.tensor(tokens)).last_hidden_state
        expected = (found * 12**-0.5 @ state["embed_tokens.weight"].T).numpy()

    def linear(name):
        return {"kernel": state[f"{name}.weight"].numpy().T}

    def norm(name):
        return {"scale": state[f"{name}.weight"].numpy()}

    def block(number):
        attention, perceptron = (f"block.{number}.layer.{part}" for part in (0, 2))
        names = {"query": "q", "key": "k", "value": "v", "project": "o"}
        inner = {"gate": "wi_0", "expand": "wi_1", "project": "wo"}
        return {
            "attention_norm": norm(f"{attention}.layer_norm"),
            "attention": {a: linear(f"{attention}.SelfAttention.{b}") for a, b in names.items()},
            "feed_forward_norm": norm(f"{perceptron}.layer_norm"),
            "feed_forward": {
                a: linear(f"{perceptron}.DenseReluDense.{b}") for a, b in inner.items()
            },
        }

    biases = state["block.0.layer.0.SelfAttention.relative_attention_bias.weight"].numpy()
    decoder = {
        "biases": {"embedding": biases},
        "blocks": {str(number): block(number) for number in range(2)},
        "norm": norm("final_layer_norm"),
    }
    embedding = state["embed_tokens.weight"].numpy()
    params = {"tokens": {"embedding": embedding}, "decoder": decoder}
    with jax.enable_x64(True):
        ours = lamda(
            17,
            12,
            2,
            3,
            head_dim=5,
            feed_forward_dim=20,
            num_buckets=8,
            longest_distance=6,
            param_dtype=jnp.float64,
        )
        variables = jax.eval_shape(ours.init, jax.random.key(0))._replace(params=params)
        logits, _ = ours.apply(variables, tokens)
    assert np.abs(np.asarray(logits) - expected).max() < 1e-6 * np.abs(expected).max()
