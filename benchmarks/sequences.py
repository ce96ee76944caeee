"""What do sequences cost beside JAX by hand and beside PyTorch: a step of training, a new token?

`python -m benchmarks.sequences [lstm gpt2 generate utilization] [--rounds 20]`, in one process,
blocks alternating, float32. A JSON line for each:

    lstm         language model of one LSTM: 96 words, 64 features, 256 units, 32 x 64 tokens, Adam
    gpt2         GPT-2 of 4 blocks, 128 features, 4 heads, 96 words, 16 x 128 tokens, Adam
    generate     new tokens of that network with a cache, greedily, 128 behind 16, B = 1 and 16
    utilization  GPT-2 of 124M, 8 x 1024 tokens, bfloat16: multiply-adds of a step over those that
                 a product of matrices [8192, 8192] does in its time; for a GPU

The twins by hand are the best that was found for two cores: an LSTM whose backward pass is written
out, with its matrices' gradients one product each; attention, norm and embedding with written
gradients. They start from the same params and see the same batch; losses and tokens must agree.
`torch` and `torch compile` are PyTorch's own. A ratio is a time over that of the library's, so that
1.1 says that the other is slower.

Measured on two cores with nothing else running, jax 0.10.2, torch 2.13: lstm 32.8 ms, by hand 1.10
times that, PyTorch 0.57; gpt2 115.6 ms, by hand 0.95, PyTorch 0.60, compiled 0.58; with the memory
kept as `docs/guides/devices.md` has it, 84.5 ms, by hand 0.99, PyTorch 0.83, compiled 0.82. New
tokens a second: B = 1 4,500, by hand, without their chances, 0.89 of the time, PyTorch 2.6; B = 16
20,400, by hand 1.40, PyTorch 1.43. On this machine XLA's products run at 0.75 to 0.85 of the rate
of PyTorch's, on one core and on two, and those of [32, 256] by [256, 1024], an LSTM's, at 0.55.

Wanted: jdl at most 1.03 of the step by hand; GPT-2 no slower than the best PyTorch on the CPU; on a
GPU a utilization of 0.4. Needs the extra `parity`.
"""

import argparse
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import steps
from benchmarks.torch_steps import torch_step
from jdl.decoding import bound, generate
from jdl.models.recurrent import recurrent_language_model
from jdl.models.transformers import gpt2, next_token
from jdl.recipes.steps import STEPS, TimedStep
from jdl.train import compare, descent, gradient, threaded

CHECKED = 3  # steps whose losses must agree
VOCABULARY = 96
PROMPT, NEW = 16, 128
ON_CPU = jax.default_backend() == "cpu"


# ---- LSTM


def lstm_step():
    model = recurrent_language_model(VOCABULARY, 256, embedding_dim=64)
    algorithm = descent(gradient(next_token(model)), optax.adam(1e-3))
    state = algorithm.init(model.init(jax.random.key(0)))
    tokens = jax.random.randint(jax.random.key(1), [32, 65], 0, VOCABULARY)
    return TimedStep(algorithm.step, state, tokens, jax.random.key(3))


@jax.custom_vjp
def lstm(xs, kernel, recurrent, bias):
    """xs [T, B, D] -> hidden states [T, B, F], gates in the order i, f, g, o."""
    return lstm_forward(xs, kernel, recurrent, bias)[0]


def lstm_forward(xs, kernel, recurrent, bias):
    def cell(state, x):
        hidden, memory = state
        z = x @ kernel + hidden @ recurrent + bias[None]
        i, f, g, o = jnp.split(z, 4, -1)
        i, f, o, g = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o), jnp.tanh(g)
        memory = f * memory + i * g
        hidden = o * jnp.tanh(memory)
        return (hidden, memory), (hidden, memory, jnp.concatenate([i, f, g, o], -1))

    zeros = jnp.zeros([xs.shape[1], recurrent.shape[0]])
    _, (hiddens, memories, gates) = jax.lax.scan(cell, (zeros, zeros), xs)
    return hiddens, (xs, hiddens, memories, gates, kernel, recurrent)


def lstm_backward(kept, slopes):
    xs, hiddens, memories, gates, kernel, recurrent = kept
    zeros = jnp.zeros_like(hiddens[0])
    before = [jnp.concatenate([zeros[None], x[:-1]]) for x in (hiddens, memories)]

    def cell(state, step):
        dhidden, dmemory = state
        slope, last, memory, gates = step
        i, f, g, o = jnp.split(gates, 4, -1)
        seen, dhidden = jnp.tanh(memory), dhidden + slope
        dmemory = dmemory + dhidden * o * (1 - seen * seen)
        dz = [dmemory * g * i * (1 - i), dmemory * last * f * (1 - f)]
        dz += [dmemory * i * (1 - g * g), dhidden * seen * o * (1 - o)]
        dz = jnp.concatenate(dz, -1)
        return (dz @ recurrent.T, dmemory * f), dz

    _, dz = jax.lax.scan(cell, (zeros, zeros), (slopes, before[1], memories, gates), reverse=True)
    dz = dz.reshape(-1, dz.shape[-1])
    by_input, by_state = (x.reshape(-1, x.shape[-1]).T @ dz for x in (xs, before[0]))
    return (dz @ kernel.T).reshape(xs.shape), by_input, by_state, dz.sum(0)


lstm.defvjp(lstm_forward, lstm_backward)


def lstm_loss(params, tokens):
    cell = params["stack"]["layers"]["0"]["cell"]
    xs = params["embed"]["embedding"][tokens[:, :-1].T]
    hiddens = lstm(xs, cell["kernel"], cell["recurrent_kernel"], cell["bias"])
    return steps.cross_entropy(flat(hiddens, params["head"]), tokens[:, 1:].T.reshape(-1))


def torch_lstm():
    import torch.nn as nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm = nn.Embedding(VOCABULARY, 64), nn.LSTM(64, 256, batch_first=True)
            self.head = nn.Linear(256, VOCABULARY)

        def forward(self, tokens):
            return self.head(self.lstm(self.embed(tokens))[0])

    return Model()


# ---- GPT-2


def flat(x, p):
    """A dense layer of [..., D], as one product: [N, F]."""
    return x.reshape(-1, x.shape[-1]) @ p["kernel"] + p["bias"][None]


@jax.custom_vjp
def norm(x, p):
    return norm_forward(x, p)[0]


def norm_forward(x, p):
    mean = x.mean(-1, keepdims=True)
    factor = jax.lax.rsqrt((x * x).mean(-1, keepdims=True) - mean * mean + 1e-5)
    y = (x - mean) * factor
    return y * p["scale"][None] + p["bias"][None], (y, factor, p["scale"])


def norm_backward(kept, slope):
    y, factor, scale = kept
    dy = slope * scale[None]
    dx = dy - dy.mean(-1, keepdims=True) - y * (dy * y).mean(-1, keepdims=True)
    return factor * dx, {"scale": (slope * y).sum(0), "bias": slope.sum(0)}


norm.defvjp(norm_forward, norm_backward)


@jax.custom_vjp
def attention(query, key, value):
    """Causal, of [B, H, T, F]; the query has its scale."""
    return attention_forward(query, key, value)[0]


def attention_forward(query, key, value):
    length = query.shape[2]
    hidden = np.where(np.tril(np.ones([length, length], bool)), 0, -1e30).astype(np.float32)
    scores = query @ key.swapaxes(-1, -2) + hidden[None, None]
    weights = jnp.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    outputs = weights @ value
    return outputs, (query, key, value, weights, outputs)


def attention_backward(kept, slope):
    query, key, value, weights, outputs = kept
    dweights = slope @ value.swapaxes(-1, -2)
    dscores = weights * (dweights - (slope * outputs).sum(-1, keepdims=True))
    dvalue = weights.swapaxes(-1, -2) @ slope
    return dscores @ key, dscores.swapaxes(-1, -2) @ query, dvalue


attention.defvjp(attention_forward, attention_backward)


@jax.custom_vjp
def embedded(table, tokens):
    return table[tokens]


def embedded_backward(kept, slope):
    tokens, words = kept
    return jax.nn.one_hot(tokens, words, axis=0) @ slope, None


embedded.defvjp(lambda table, tokens: (table[tokens], (tokens, len(table))), embedded_backward)


def gpt2_loss(params, batch):
    tokens, labels = batch[:, :-1], batch[:, 1:].reshape(-1)
    shape = (*tokens.shape, 4, -1)  # B, T, heads, features of a head
    table = params["tokens"]["embedding"]
    positions = params["positions"]["embedding"][: tokens.shape[1]]
    x = embedded(table, tokens.reshape(-1)) + jnp.tile(positions, [len(tokens), 1])
    for i in range(len(params["blocks"])):
        p = params["blocks"][str(i)]
        joined = flat(norm(x, p["attention_norm"]), p["attention"]["query_key_value"])
        q, k, v = (a.reshape(shape).swapaxes(1, 2) for a in jnp.split(joined, 3, -1))
        heads = attention(q * q.shape[-1] ** -0.5, k, v).swapaxes(1, 2).reshape(x.shape)
        x = x + flat(heads, p["attention"]["project"])
        x = x + flat(jax.nn.gelu(flat(norm(x, p["mlp_norm"]), p["expand"])), p["project"])
    logits = norm(x, params["norm"]) @ table.T
    chosen = (logits * jax.nn.one_hot(labels, VOCABULARY)).sum(-1)
    return (jax.nn.logsumexp(logits, -1) - chosen).mean()


def torch_gpt2():
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(128), nn.LayerNorm(128)])
            self.joined, self.project = nn.Linear(128, 384), nn.Linear(128, 128)
            self.expand, self.contract = nn.Linear(128, 512), nn.Linear(512, 128)

        def forward(self, x, cache=None, place=0):
            parts = self.joined(self.norms[0](x)).chunk(3, -1)
            q, k, v = (a.view(*x.shape[:2], 4, 32).transpose(1, 2) for a in parts)
            if cache is not None:
                end = place + x.shape[1]
                cache[0][:, :, place:end], cache[1][:, :, place:end] = k, v
                k, v = cache[0][:, :, :end], cache[1][:, :, :end]
            causal = x.shape[1] > 1
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
            x = x + self.project(heads.transpose(1, 2).reshape(x.shape))
            hidden = F.gelu(self.expand(self.norms[1](x)), approximate="tanh")
            return x + self.contract(hidden)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, 128), nn.Embedding(256, 128)
            self.blocks = nn.ModuleList([Block() for _ in range(4)])
            self.norm = nn.LayerNorm(128)

        def forward(self, tokens, caches=None, place=0):
            places = torch.arange(place, place + tokens.shape[1])
            x = self.tokens(tokens) + self.positions(places)
            for i, block in enumerate(self.blocks):
                x = block(x, None if caches is None else caches[i], place)
            return self.norm(x) @ self.tokens.weight.T

    return Model()


# ---- steps of training


def torch_thunks(build, batch):
    import torch
    import torch.nn.functional as F

    tokens = torch.from_numpy(np.array(batch)).long()
    inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].reshape(-1)

    def loss(call):
        return F.cross_entropy(call(inputs).reshape(-1, VOCABULARY), labels)

    return {
        "torch": torch_step(build(), loss, "adam"),
        "torch compile": torch_step(build(), loss, "adam", compiled=True),
    }


def step_thunks(timed, loss, torch_network):
    step, *rest = timed
    thunks = {
        "jdl": threaded(jax.jit(step, donate_argnums=0), *rest),
        "hand": steps.by_hand(loss, timed),
    }
    losses = [[float(thunk()[1]["loss"]) for _ in range(CHECKED)] for thunk in thunks.values()]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    return thunks | (torch_thunks(torch_network, timed.batch) if ON_CPU else {})


# ---- generation


def generated_by_hand(params, prompt):
    """Greedy tokens [B, NEW], keys and values of each block in a cache [B, H, S, F]."""
    table, places = params["tokens"]["embedding"], PROMPT + NEW
    batch = len(prompt)
    caches = [jnp.zeros([2, batch, 4, places, 32])] * len(params["blocks"])

    def read(caches, tokens, place):
        positions = jax.lax.dynamic_slice_in_dim(
            params["positions"]["embedding"], place, tokens.shape[1]
        )
        x, after = table[tokens] + positions[None], []
        seen = jnp.arange(places)[None] <= place + jnp.arange(tokens.shape[1])[:, None]
        for i, cache in enumerate(caches):
            p = params["blocks"][str(i)]
            joined = steps.dense(
                steps.norm(x, p["attention_norm"]), p["attention"]["query_key_value"]
            )
            q, k, v = (
                a.reshape(*x.shape[:2], 4, 32).swapaxes(1, 2) for a in jnp.split(joined, 3, -1)
            )
            cache = jax.lax.dynamic_update_slice(cache, jnp.stack([k, v]), (0, 0, 0, place, 0))
            scores = jnp.where(seen[None, None], q @ cache[0].swapaxes(-1, -2) * 32**-0.5, -1e30)
            heads = (jax.nn.softmax(scores) @ cache[1]).swapaxes(1, 2).reshape(x.shape)
            x = x + steps.dense(heads, p["attention"]["project"])
            hidden = jax.nn.gelu(steps.dense(steps.norm(x, p["mlp_norm"]), p["expand"]))
            x = x + steps.dense(hidden, p["project"])
            after.append(cache)
        return after, jnp.argmax(steps.norm(x[:, -1], params["norm"]) @ table.T, -1)

    caches, token = read(caches, prompt, 0)

    def body(state, place):
        caches, token = read(state[0], state[1][:, None], place)
        return (caches, token), state[1]

    return jax.lax.scan(body, (caches, token), PROMPT + jnp.arange(NEW))[1].T


def generation_thunks(batch_size):
    model = gpt2(VOCABULARY, 256, 128, num_layers=4, num_heads=4)
    variables = model.init(jax.random.key(0))
    variables = jax.tree.map(lambda x: 3 * x, variables)  # so that the greedy tokens vary
    prompt = jax.random.randint(jax.random.key(1), [batch_size, PROMPT], 0, VOCABULARY)

    def generated(variables, prompt):
        step, prefill = bound(model, variables), bound(model, variables, "prefill")
        carry, _ = model.apply(variables, batch_size, length=PROMPT + NEW, method="start")
        return generate(step, carry, prompt, length=NEW, prefill=prefill, context=256).tokens

    thunks = {
        "jdl": functools.partial(jax.jit(generated), variables, prompt),
        "hand": functools.partial(jax.jit(generated_by_hand), variables.params, prompt),
    }
    np.testing.assert_array_equal(*(thunk() for thunk in thunks.values()))
    return thunks | (torch_generation(prompt) if ON_CPU else {})


def torch_generation(prompt):
    import torch

    network, start = torch_gpt2().eval(), torch.from_numpy(np.array(prompt)).long()

    @torch.inference_mode()
    def generated():
        caches = torch.zeros([4, 2, len(start), 4, PROMPT + NEW, 32])
        token = network(start, caches)[:, -1:].argmax(-1)
        tokens = [token]
        for place in range(PROMPT, PROMPT + NEW - 1):
            token = network(token, caches, place)[:, -1:].argmax(-1)
            tokens.append(token)
        return torch.cat(tokens, 1).numpy()

    return {"torch": generated}


# ---- what is printed


def compared(thunks, rounds):
    found = compare(thunks, rounds=rounds, block_seconds=0.5)
    others = [name for name in thunks if name != "jdl"]
    return {
        "ms": {name: round(1e3 * seconds, 2) for name, seconds in found.seconds.items()},
        "over_jdl": {name: [round(x, 3) for x in found.ratios[name]] for name in others},
        "rounds": found.rounds,
    }


def generation(rounds):
    found = {}
    for batch_size in (1, 16):
        record = compared(generation_thunks(batch_size), rounds)
        speed = {n: round(1e3 * batch_size * NEW / ms) for n, ms in record["ms"].items()}
        found[f"batch {batch_size}"] = {"tokens_per_second": speed} | record
    return found


def utilization(rounds):
    """Multiply-adds of a step of GPT-2 over those of a product of matrices in the same time.

    6 N a token, N params without the positions, and 12 L D T for attention, forward and backward:
    Chowdhery et al. 2022, appendix B.
    """
    tokens = jax.random.randint(jax.random.key(1), [8, 1025], 0, 50257)
    model = gpt2(dropout_rate=0.0, dtype=jnp.bfloat16, implementation="cudnn")
    algorithm = descent(gradient(next_token(model)), optax.adamw(6e-4))
    state = algorithm.init(model.init(jax.random.key(0)))
    factor = jnp.ones([8192, 8192], jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    thunks = {
        "jdl": threaded(
            jax.jit(algorithm.step, donate_argnums=0), state, tokens, jax.random.key(3)
        ),
        "matmul": lambda: product(factor, factor),
    }
    seconds = compare(thunks, rounds=rounds, block_seconds=0.5).seconds
    done = 8 * 1024 * (6 * (124_439_808 - 1024 * 768) + 12 * 12 * 768 * 1024) / seconds["jdl"]
    peak = 2 * 8192**3 / seconds["matmul"]
    return {"flops": done, "matmul_flops": peak, "utilization": round(done / peak, 3)}


MEASURES = {
    "lstm": lambda rounds: compared(step_thunks(lstm_step(), lstm_loss, torch_lstm), rounds),
    "gpt2": lambda rounds: compared(step_thunks(STEPS["gpt2"](), gpt2_loss, torch_gpt2), rounds),
    "generate": generation,
    "utilization": utilization,
}


def main(names, rounds):
    for name in names:
        record = {"name": f"sequences.{name}", "device": jax.devices()[0].device_kind}
        record |= {"jax": jax.__version__} | MEASURES[name](rounds)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASURES)}; the first three")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.names or list(MEASURES)[:3], arguments.rounds)
