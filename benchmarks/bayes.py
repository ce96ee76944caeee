"""How many effective draws a second do samplers give, ours beside NumPyro's and BlackJAX's NUTS?

`python -m benchmarks.bayes [1x5 5x10 logistic vi] [--samplers NAME ...] [--warmup 500]
[--draws 500] [--seed 0]`: each sampler is one compiled program of four chains, warm-up and draws,
over the same log density; compiled first, then timed. Prints a JSON line for each: the least and
the median bulk ESS of function values (weights are not identified), their rate per second, the
largest R-hat, divergences; and a line with the ratio of our best rate to the best peer's. The rate
of a run whose R-hat is far above 1.01 is a guess: it has not seen all of the posterior.

`vi`: steps per second of mean-field variational inference on the 1x5 network, ours beside
NumPyro's SVI, both in one program of 2,000 steps.

Needs the extra `parity`.
"""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist

from jdl.bayes import (
    adaptive_hmc,
    bulk_ess,
    chees_hmc,
    log_posterior,
    numpyro_model,
    nuts,
    posterior,
    rank_r_hat,
)
from jdl.bayes.adaptation import UNIT
from jdl.bayes.elbo import negative_elbo
from jdl.bayes.families import mean_field
from jdl.bayes.likelihoods import bernoulli, gaussian
from jdl.bayes.mclmc import adaptive_mclmc
from jdl.core import Variables
from jdl.data import breast_cancer
from jdl.models.column_mlp import column_mlp
from jdl.models.mlp import mlp
from jdl.recipes.bnn_regression import LEFT, RIGHT, observed
from jdl.train import descent, ensemble, gradient
from jdl.train.run import run

CHAINS, VI_STEPS = 4, 2000


def network(sizes, prior_variance):
    """The regression of 004, example 9.3.2, with the observations along the last axis."""
    keys = jax.random.split(jax.random.key(0))
    parts = [observed(key, side, 500, 0.3) for key, side in zip(keys, (LEFT, RIGHT), strict=True)]
    x, y = (jnp.concatenate(pair)[None] for pair in zip(*parts, strict=True))
    model, prior = column_mlp(sizes, jnp.tanh), dist.Normal(0.0, prior_variance**0.5)
    return posterior(model, prior, gaussian(0.3), (x, y), probe=jnp.linspace(-0.5, 1.2, 35)[None])


def tumours():
    """Logistic regression on the standardised breast-cancer data, 31 params."""
    x, y, *_ = breast_cancer()
    x = (x - x.mean(0)) / x.std(0)
    data = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)[:, None]
    return posterior(mlp([x.shape[1], 1]), dist.Normal(0.0, 1.0), bernoulli, data)


PROBLEMS = {
    "1x5": partial(network, [1, 5, 1], 10.0),
    "5x10": partial(network, [1, 10, 10, 10, 10, 10, 1], 5.0),
    "logistic": tumours,
}


def each(sampler):
    return lambda density, warmup: ensemble(sampler(density, warmup))


def blackjax_nuts(density, warmup, draws):
    import blackjax

    adaptation = blackjax.window_adaptation(blackjax.nuts, density)

    def chain(start, key):
        key_warm, key_draw = jax.random.split(key)
        (state, found), _ = adaptation.run(key_warm, start, warmup)
        step = blackjax.nuts(density, **found).step

        def body(state, key):
            state, info = step(key, state)
            return state, (state.position, info.is_divergent)

        return jax.lax.scan(body, state, jax.random.split(key_draw, draws))[1]

    return lambda starts, key: jax.vmap(chain)(starts, jax.random.split(key, CHAINS))


def of_algorithm(sampler, density, warmup, draws):
    algorithm = sampler(density, warmup)

    def program(starts, key):
        key_init, key_warm, key_draw = jax.random.split(key, 3)
        state = algorithm.init(Variables(starts), key_init)
        nothing = lambda state, info: ()  # noqa: E731
        state, _ = run(algorithm, state, None, key_warm, length=warmup, keep=nothing)
        keep = lambda state, info: (state.variables.params, info["diverged"])  # noqa: E731
        kept = run(algorithm, state, None, key_draw, length=draws, keep=keep)[1]
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), kept)

    return program


def samplers(problem):
    leapfrogs, mass = {"1x5": (1000, UNIT), "5x10": (300, UNIT)}.get(problem, (8, None))
    settings = {"num_steps": leapfrogs} | ({} if mass is None else {"mass": mass})
    ours = {
        "jdl hmc": each(partial(adaptive_hmc, **settings)),
        "jdl chees": chees_hmc,
        # Steps of two gradients each: as many gradients for a draw as the leapfrogs.
        "jdl mclmc": each(partial(adaptive_mclmc, steps_per_draw=leapfrogs // 2)),
    }
    peers = {"numpyro nuts": each(nuts), "blackjax nuts": None}
    return ours | peers


def measure(problem, name, sampler, warmup, draws, seed):
    target = PROBLEMS[problem]()
    vector, unravel = ravel_pytree(target.init(jax.random.key(0)))

    def density(vector):
        return target.log_density(unravel(vector))

    if sampler is None:
        program = blackjax_nuts(density, warmup, draws)
    else:
        program = of_algorithm(sampler, density, warmup, draws)
    starts = jax.random.normal(jax.random.key(seed), [CHAINS, vector.size])
    begin = time.perf_counter()
    compiled = jax.jit(program).lower(starts, jax.random.key(1)).compile()
    compiling, begin = time.perf_counter() - begin, time.perf_counter()
    positions, diverged = jax.block_until_ready(compiled(starts, jax.random.key(seed + 1)))
    seconds = time.perf_counter() - begin
    values = jax.jit(lambda p: jax.lax.map(jax.vmap(lambda v: target.outputs(unravel(v))), p))
    values = np.asarray(values(positions)).reshape(CHAINS, draws, -1)
    sizes = bulk_ess(values)
    return {
        "problem": problem,
        "sampler": name,
        "r_hat": float(rank_r_hat(values).max()),
        "ess_min": float(sizes.min()),
        "ess_median": float(np.median(sizes)),
        "seconds": seconds,
        "compile_seconds": compiling,
        "ess_min_per_second": float(sizes.min()) / seconds,
        "ess_median_per_second": float(np.median(sizes)) / seconds,
        "divergences": int(diverged.sum()),
    }


def compare_samplers(problem, chosen, asked):
    rows = []
    for name, sampler in samplers(problem).items():
        if chosen and name not in chosen:
            continue
        row = measure(problem, name, sampler, asked.warmup, asked.draws, asked.seed)
        print(json.dumps({k: _rounded(v) for k, v in row.items()}), flush=True)
        rows.append(row)
    best = {
        side: max(
            (row for row in rows if row["sampler"].startswith("jdl") == (side == "ours")),
            key=lambda row: row["ess_min_per_second"],
            default=None,
        )
        for side in ("ours", "peers")
    }
    if None not in best.values():
        ours, peers = (best[side]["ess_min_per_second"] for side in ("ours", "peers"))
        names = {side: row["sampler"] for side, row in best.items()}
        print(json.dumps({"problem": problem, **names, "ratio": round(ours / peers, 2)}))


def _rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def compare_vi(rounds):
    """Seconds of 2,000 steps, alternating, the least of the rounds."""
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoNormal

    keys = jax.random.split(jax.random.key(0))
    parts = [observed(key, side, 500, 0.3) for key, side in zip(keys, (LEFT, RIGHT), strict=True)]
    batch = tuple(jnp.concatenate(pair)[None] for pair in zip(*parts, strict=True))
    model, prior = column_mlp([1, 5, 1], jnp.tanh), dist.Normal(0.0, 10.0**0.5)
    density, family = log_posterior(model, prior, gaussian(0.3)), mean_field(0.1)
    ours = descent(gradient(negative_elbo(family, density)), optax.adam(1e-2))
    start = ours.init(Variables(family.init(model.init(jax.random.key(0)).params)))
    sites = numpyro_model(model, prior, gaussian(0.3))
    svi = SVI(sites, AutoNormal(sites), optax.adam(1e-2), Trace_ELBO())
    theirs = svi.init(jax.random.key(0), *batch)
    programs = {
        "jdl": jax.jit(
            lambda key: jax.lax.scan(
                lambda state, key: ours.step(state, batch, key),
                start,
                jax.random.split(key, VI_STEPS),
            )[1]["loss"]
        ),
        "numpyro": jax.jit(
            lambda key: jax.lax.scan(
                lambda state, _: svi.update(state, *batch),
                theirs._replace(rng_key=key),
                None,
                length=VI_STEPS,
            )[1]
        ),
    }
    spent = {name: [] for name in programs}
    losses = {}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            begin = time.perf_counter()
            losses[name] = jax.block_until_ready(program(jax.random.key(turn)))
            if turn:
                spent[name].append(time.perf_counter() - begin)
    rates = {name: VI_STEPS / min(seconds) for name, seconds in spent.items()}
    ends = {name: float(x[-200:].mean()) for name, x in losses.items()}
    row = {
        "problem": "vi",
        "steps_per_second": rates,
        "ratio": round(rates["jdl"] / rates["numpyro"], 2),
    }
    print(json.dumps(row | {"loss": ends}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("problems", nargs="*", default=[*PROBLEMS, "vi"])
    parser.add_argument("--samplers", nargs="*")
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    for problem in asked.problems:
        if problem == "vi":
            compare_vi(asked.rounds)
        else:
            compare_samplers(problem, asked.samplers, asked)


if __name__ == "__main__":
    main()
