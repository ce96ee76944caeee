"""Bayes by backprop: a normal distribution for each weight, learned by backpropagation.

    theta = mean + std * noise,    std = softplus(rho) = log(1 + exp(rho))
    f(theta, mean, rho) = log q(theta) - log prior(theta) - log likelihood(theta)
    mean  = mean - rate * (df/dtheta + df/dmean)
    rho   = rho  - rate * (df/dtheta * noise / (1 + exp(-rho)) + df/drho)

In a mini-batch i of M the complexity log q - log prior counts with a weight pi_i of sum 1.

Source: Blundell, Cornebise, Kavukcuoglu, Wierstra 2015, section 3; 004 (Martinez-Ramon et al.),
eq. 9.29 to 9.33. Departs from 004 where it errs: 9.29 is the negative of the bound and a mean
over draws, 9.32 starts from rho, and df/dtheta of 9.33 has the terms of q and of the prior too.
Where the prior is normal its part is a KL in closed form, which has less variance.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from numpyro import distributions as dist

from jdl.bayes.families import mean_field, normal_noise, reparameterized
from jdl.bayes.likelihoods import Likelihood, log_likelihood
from jdl.bayes.priors import Prior, entry_prior, prior_terms
from jdl.core import Model, Objective, Tree, Variables
from jdl.nn.divergences import gaussian_kl
from jdl.nn.variational_layers import normal_kl
from jdl.train.records import flat

Complexity = Callable[[jax.Array, int], jax.Array | float]


def uniform(step: jax.Array, num_batches: int) -> float:
    """The weight of the complexity in each mini-batch, 1 / M.

    Args:
        step: made so far; without effect.
        num_batches: M, in an epoch.
    """
    return 1 / num_batches


def geometric(step: jax.Array, num_batches: int) -> jax.Array:
    """The weight of the complexity in mini-batch i = 1 .. M, 2^(M - i) / (2^M - 1).

    The first batches of an epoch heed the prior, the last ones the data.

    Args:
        step: made so far; i = 1 + step modulo M.
        num_batches: M, in an epoch.

    Source: Blundell et al. 2015, section 3.4.
    """
    place = 1 + jnp.asarray(step) % num_batches
    return jnp.exp2(-place.astype(float)) / (1 - 2.0**-num_batches)


def variational(model: Model, initial_std: float = 0.05) -> Model:
    """The model with a normal distribution over each of its params.

    Args:
        model: any.
        initial_std: of each weight at the start; means start as the model's params.

    Returns:
        A Model whose params are {"mean": ..., "rho": ...}. With `train=True` a pass draws the
        weights, once for the whole batch, and needs a key; with `train=False` it uses the means.

    Raises:
        ValueError: a deviation that is not positive; from `apply`, training without a key.

    Example:
        >>> from jdl.models.mlp import mlp
        >>> model = variational(mlp([2, 3, 1]))
        >>> variables = model.init(jax.random.key(0))
        >>> sorted(variables.params)
        ['mean', 'rho']
        >>> model.apply(variables, jnp.ones([4, 2]), key=jax.random.key(1), train=True)[0].shape
        (4, 1)
    """
    family = mean_field(initial_std)

    def init(key):
        params, buffers = model.init(key)
        return Variables(family.init(params), buffers)

    def apply(variables, *inputs, key=None, train=False, **options):
        params, buffers = variables
        if not train:
            own = Variables(params["mean"], buffers)
            return model.apply(own, *inputs, key=key, train=False, **options)
        if key is None:
            raise ValueError("weights are drawn in training: call apply(..., key=..., train=True)")
        key_weights, key_apply = jax.random.split(key)
        own = Variables(family.draw(params, key_weights), buffers)
        return model.apply(own, *inputs, key=key_apply, train=True, **options)

    return Model(init, apply)


def counted(variables: Variables) -> Variables:
    """The variables with a count of steps in the buffers, for a weight that depends on it.

    Returns:
        Variables whose buffers are {"model": the model's, "steps": 0}; `model_variables` of
        `jdl.train.averaging` takes the model's out again.
    """
    return Variables(variables.params, {"model": variables.buffers, "steps": jnp.int32(0)})


def bayes_by_backprop(
    model: Model,
    prior: Prior,
    likelihood: Likelihood,
    num_examples: int,
    *,
    num_draws: int = 1,
    num_batches: int = 1,
    complexity: Complexity | None = None,
    sampled_kl: bool = False,
) -> Objective:
    """The negative ELBO of a model with independent normal weights, for each example.

        pi M / N * KL(q || prior) - mean over the batch of log likelihood

    Args:
        model: any, not made by `variational`; it is evaluated with `train=True`.
        prior: of its params, see `jdl.bayes.priors.log_prior`.
        likelihood: outputs -> distribution of the targets.
        num_examples: N, of all data.
        num_draws: of the weights, for a step.
        num_batches: M, which `complexity` gets.
        complexity: (step, M) -> pi, such as `geometric`; the variables are then `counted`. None
            is 1 / M without counting.
        sampled_kl: takes the complexity at the drawn weights for each prior, as Blundell et al.;
            else only where the prior is not normal.

    Returns:
        An Objective in nats for an example; its params are those of `variational(model)`, its
        batch (inputs, targets). Info: `kl`, nats in all, and `nll`, nats for an example.

    Raises:
        ValueError: at the call, variables that are not counted though `complexity` is given.

    Example:
        >>> import optax
        >>> from jdl.bayes.likelihoods import gaussian
        >>> from jdl.models.mlp import mlp
        >>> from jdl.train import descent, gradient
        >>> network = mlp([1, 3, 1])
        >>> loss = bayes_by_backprop(network, dist.Normal(0.0, 1.0), gaussian(0.1), 20)
        >>> algorithm = descent(gradient(loss), optax.adam(0.01))
        >>> state = algorithm.init(variational(network).init(jax.random.key(0)))
        >>> batch = jnp.ones([20, 1]), jnp.ones([20, 1])
        >>> _, info = jax.eval_shape(algorithm.step, state, batch, jax.random.key(1))
        >>> sorted(info)
        ['kl', 'loss', 'nll']
    """
    if num_draws < 1 or num_examples < 1 or num_batches < 1:
        raise ValueError(
            "draws, examples and batches are at least 1; got "
            f"num_draws={num_draws}, num_examples={num_examples}, num_batches={num_batches}"
        )

    def objective(params, buffers, batch, key):
        own, steps = _uncounted(buffers, complexity)
        inputs, targets = batch

        def one(key):
            key_weights, key_apply = jax.random.split(key)
            weights = reparameterized(params, normal_noise(key_weights, params["mean"]))
            outputs, after = model.apply(Variables(weights, own), inputs, key=key_apply, train=True)
            nll = -jnp.mean(_by_example(log_likelihood(likelihood(outputs), targets)))
            return nll, _complexity(params, weights, prior, sampled_kl), after

        nll, kl, after = jax.vmap(one)(jax.random.split(key, num_draws))
        nll, kl, after = jnp.mean(nll), jnp.mean(kl), jax.tree.map(lambda x: x[0], after)
        share = 1.0 if complexity is None else complexity(steps, num_batches) * num_batches
        if complexity is not None:
            after = {"model": after, "steps": steps + 1}
        return share * kl / num_examples + nll, (after, {"kl": kl, "nll": nll})

    return objective


def layered_elbo(
    model: Model, prior_std: float, likelihood: Likelihood, num_examples: int
) -> Objective:
    """The negative ELBO of a model whose layers draw their own weights, for each example.

    Args:
        model: of layers of `jdl.nn.variational_layers`; other params are fitted without a prior.
        prior_std: of the normal prior about 0 of each weight.
        likelihood: outputs -> distribution of the targets.
        num_examples: N, of all data.

    Returns:
        An Objective in nats for an example, of batches (inputs, targets). Info: `kl`, nats in
        all, and `nll`, nats for an example.

    Raises:
        ValueError: at the call, a model without such layers; `bayes_by_backprop` is for any.

    Example:
        >>> from jdl.bayes.likelihoods import categorical
        >>> from jdl.models.mlp import mlp
        >>> from jdl.nn.variational_layers import FlipoutLinear
        >>> network = mlp([4, 8, 3], linear=FlipoutLinear)
        >>> loss = layered_elbo(network, 1.0, categorical, num_examples=150)
        >>> params, buffers = network.init(jax.random.key(0))
        >>> batch = jnp.ones([5, 4]), jnp.zeros(5, int)
        >>> jax.eval_shape(loss, params, buffers, batch, jax.random.key(1))[0].shape
        ()
    """

    def objective(params, buffers, batch, key):
        inputs, targets = batch
        outputs, buffers = model.apply(Variables(params, buffers), inputs, key=key, train=True)
        nll = -jnp.mean(_by_example(log_likelihood(likelihood(outputs), targets)))
        kl = normal_kl(params, prior_std)
        return kl / num_examples + nll, (buffers, {"kl": kl, "nll": nll})

    return objective


def hand_derived_updates(log_joint: Callable[[Tree], jax.Array], params: Tree, noise: Tree) -> Tree:
    """The directions of eq. 9.31 and 9.33, of which backpropagation gives one part only.

        df/dtheta = -noise / std - d log joint/dtheta
        mean:  df/dtheta + noise / std
        rho:   (df/dtheta * noise + (noise^2 - 1) / std) / (1 + exp(-rho))

    What cancels in the first line stays, as the text has it: df/dmean undoes the score of q.

    Args:
        log_joint: theta -> log prior + log likelihood, nats [].
        params: {"mean", "rho"}, trees like theta.
        noise: of the draw, a tree like theta.

    Returns:
        The directions {"mean", "rho"} that are descended, the gradient of f by both.
    """
    theta = reparameterized(params, noise)
    data = jax.grad(log_joint)(theta)  # the usual backpropagation

    def direction(rho, noise, data):
        std = jax.nn.softplus(rho)
        by_theta = -noise / std - data
        by_mean = noise / std
        by_std = (noise**2 - 1) / std
        return by_theta + by_mean, (by_theta * noise + by_std) / (1 + jnp.exp(-rho))

    both = jax.tree.map(direction, params["rho"], noise, data)
    mean, rho = jax.tree.transpose(jax.tree.structure(theta), jax.tree.structure((0, 0)), both)
    return {"mean": mean, "rho": rho}


def _complexity(params, weights, prior, sampled):
    total = jnp.zeros([])
    means, rhos, drawn = flat(params["mean"]), flat(params["rho"]), flat(weights)
    log_priors = prior_terms(prior, weights)
    for path, mean in means.items():
        std, own = jax.nn.softplus(rhos[path]), entry_prior(prior, path)
        if isinstance(own, dist.Normal) and not sampled:
            terms = gaussian_kl(mean, 2 * jnp.log(std), own.loc, 2 * jnp.log(own.scale))
        else:
            terms = jax.scipy.stats.norm.logpdf(drawn[path], mean, std)
            total -= log_priors[path]
        total += jnp.sum(terms)
    return total


def _by_example(log_probabilities):
    """The sums over all axes but the first."""
    return jnp.sum(log_probabilities.reshape(len(log_probabilities), -1), axis=1)


def _uncounted(buffers, complexity):
    if complexity is None:
        return buffers, None
    if not isinstance(buffers, dict) or buffers.keys() != {"model", "steps"}:
        raise ValueError(
            "a complexity that depends on the step needs counted steps: start from "
            "algorithm.init(counted(variational(model).init(key)))"
        )
    return buffers["model"], buffers["steps"]
