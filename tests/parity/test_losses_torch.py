"""Activations and losses against PyTorch, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl.nn import (
    absolute_error,
    binary_cross_entropy,
    class_weighted_cross_entropy,
    full_covariance_nll,
    giou,
    heteroscedastic_nll,
    iou,
    jensen_shannon,
    kl_divergence,
    leaky_relu,
    log_softmax,
    logistic_loss,
    logsumexp,
    poisson_nll,
    ranking_hinge,
    smooth_labels_of_others,
    softmax,
)

pytestmark = pytest.mark.parity
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=[2, 6, 5]).astype(np.float32) * 2
X[0, 0] = 0.0  # a tie of every rectifier
LABELS = RNG.integers(0, 5, 6)
WEIGHTS = np.array([0.5, 1.0, 2.0, 4.0, 0.25], np.float32)


@pytest.fixture(scope="module")
def torch(oracle):
    return oracle("torch")


def both(torch, ours, theirs, *inputs, tolerance=2e-5):
    """Values and the gradients by every input agree."""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*tensors)
    expected.sum().backward()
    arrays = [jnp.asarray(x) for x in inputs]
    close = {"rtol": tolerance, "atol": tolerance}
    np.testing.assert_allclose(ours(*arrays), expected.detach().numpy(), **close)
    slopes = jax.grad(lambda arrays: ours(*arrays).sum())(arrays)
    for slope, tensor in zip(slopes, tensors, strict=True):
        np.testing.assert_allclose(slope, tensor.grad.numpy(), **close)


ACTIVATIONS = {
    "relu": (jax.nn.relu, lambda F, x: F.relu(x)),
    "leaky_relu": (
        lambda x: leaky_relu(x, 0.01, slope_at_zero=0.01),  # the branch of PyTorch is 000's
        lambda F, x: F.leaky_relu(x, 0.01),
    ),
    "elu": (jax.nn.elu, lambda F, x: F.elu(x)),
    "silu": (jax.nn.silu, lambda F, x: F.silu(x)),
    "softplus": (jax.nn.softplus, lambda F, x: F.softplus(x)),
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), lambda F, x: F.gelu(x)),
    "gelu_tanh": (jax.nn.gelu, lambda F, x: F.gelu(x, approximate="tanh")),
    "softmax": (lambda x: softmax(x, 0.5, axis=0) ** 2, lambda F, x: F.softmax(x / 0.5, 0) ** 2),
    "log_softmax": (lambda x: log_softmax(x, axis=-1), lambda F, x: F.log_softmax(x, -1)),
    "logsumexp": (lambda x: logsumexp(x, axis=1), lambda F, x: x.logsumexp(1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torch_s_at_ties_too(torch, name):
    ours, theirs = ACTIVATIONS[name]
    both(torch, ours, lambda x: theirs(torch.nn.functional, x), X)


def test_the_evaluation_of_rrelu_is_torch_s(torch):
    expected = torch.nn.functional.rrelu(torch.tensor(X), training=False).numpy()
    np.testing.assert_allclose(jax.nn.leaky_relu(X, 11 / 48), expected, rtol=1e-6)


REGRESSION = {
    "squared": (optax.squared_error, "mse_loss", {}),
    "absolute": (absolute_error, "l1_loss", {}),
    "huber": (lambda f, y: optax.huber_loss(f, y, delta=0.7), "huber_loss", {"delta": 0.7}),
    "poisson": (
        lambda s, y: poisson_nll(s, y) - jax.scipy.special.gammaln(y + 1.0),
        "poisson_nll_loss",
        {"log_input": True, "full": False},
    ),
    "hinge": (
        lambda f, y: ranking_hinge(f, y, 0.5),
        "margin_ranking_loss",
        {"margin": 0.5, "target": 1},
    ),
}


@pytest.mark.parametrize("name", REGRESSION)
def test_losses_of_numbers_are_torch_s(torch, name):
    ours, function, options = REGRESSION[name]
    options = {k: torch.ones(6, 5) if k == "target" else v for k, v in options.items()}
    theirs = getattr(torch.nn.functional, function)
    both(torch, ours, lambda f, y: theirs(f, y, reduction="none", **options), X, np.abs(Y))


def test_gaussian_likelihoods_are_torch_s(torch):
    s = np.random.default_rng(1).normal(size=[6, 5]).astype(np.float32)
    both(
        torch,
        heteroscedastic_nll,
        lambda m, s, y: torch.nn.functional.gaussian_nll_loss(
            m, y, s.exp(), full=True, reduction="none"
        ).sum(-1),
        X,
        s,
        Y,
    )
    root = np.random.default_rng(2).normal(size=[5, 5]).astype(np.float32)
    covariance = root @ root.T + 0.5 * np.eye(5, dtype=np.float32)
    both(
        torch,
        lambda m, y: full_covariance_nll(m, y, covariance=jnp.asarray(covariance)),
        lambda m, y: (
            -torch.distributions.MultivariateNormal(m, torch.tensor(covariance)).log_prob(y)
        ),
        X,
        Y,
        tolerance=1e-4,
    )


def test_cross_entropies_are_torch_s(torch):
    F, labels = torch.nn.functional, torch.tensor(LABELS)
    both(
        torch,
        lambda z: optax.softmax_cross_entropy_with_integer_labels(z, LABELS),
        lambda z: F.cross_entropy(z, labels, reduction="none"),
        X,
    )
    both(
        torch,
        lambda z: class_weighted_cross_entropy(z, LABELS, jnp.asarray(WEIGHTS)),
        lambda z: F.cross_entropy(z, labels, torch.tensor(WEIGHTS), reduction="none"),
        X,
    )
    both(
        torch,
        lambda z: (
            class_weighted_cross_entropy(z, LABELS, jnp.asarray(WEIGHTS)).sum()
            / WEIGHTS[LABELS].sum()
        ),
        lambda z: F.cross_entropy(z, labels, torch.tensor(WEIGHTS)),
        X,
    )
    rows = np.eye(5, dtype=np.float32)[LABELS]
    both(
        torch,
        lambda z: optax.softmax_cross_entropy(z, optax.smooth_labels(jnp.asarray(rows), 0.1)),
        lambda z: F.cross_entropy(z, labels, label_smoothing=0.1, reduction="none"),
        X,
    )
    both(
        torch,
        lambda z: optax.softmax_cross_entropy(z, smooth_labels_of_others(jnp.asarray(rows), 0.08)),
        lambda z: F.cross_entropy(z, labels, label_smoothing=0.1, reduction="none"),
        X,
    )


def test_binary_cross_entropies_are_torch_s(torch):
    F = torch.nn.functional
    y = (Y > 0).astype(np.float32)
    both(
        torch,
        lambda z: optax.sigmoid_binary_cross_entropy(z, jnp.asarray(y)),
        lambda z: F.binary_cross_entropy_with_logits(z, torch.tensor(y), reduction="none"),
        X,
    )
    both(
        torch,
        lambda p: binary_cross_entropy(p, jnp.asarray(y)),
        lambda p: F.binary_cross_entropy(p, torch.tensor(y), reduction="none"),
        1 / (1 + np.exp(-X)),
    )
    both(
        torch,
        lambda z: logistic_loss(z, jnp.asarray(2 * y - 1)).mean(),
        lambda z: F.soft_margin_loss(z, torch.tensor(2 * y - 1)),
        X,
    )


def test_margins_are_torch_s(torch):
    F = torch.nn.functional
    negatives = np.random.default_rng(3).normal(size=[6, 5]).astype(np.float32)
    both(
        torch,
        lambda a, p, n: optax.losses.triplet_margin_loss(a, p, n, margin=1.0, eps=0.0),
        lambda a, p, n: F.triplet_margin_loss(a, p, n, eps=0.0, reduction="none"),
        X,
        Y,
        negatives,
    )


def test_ctc_is_torch_s(torch):
    rng = np.random.default_rng(4)
    logits = rng.normal(size=[3, 9, 5]).astype(np.float32)
    labels = np.array([[1, 2, 2], [3, 1, 0], [4, 0, 0]])
    lengths, steps = np.array([3, 2, 1]), np.array([9, 7, 4])
    late = (np.arange(9)[None] >= steps[:, None]).astype(np.float32)
    padded = (np.arange(3)[None] >= lengths[:, None]).astype(np.float32)
    both(
        torch,
        lambda z: optax.ctc_loss(z, late, labels, padded),
        lambda z: torch.nn.functional.ctc_loss(
            z.log_softmax(-1).transpose(0, 1),
            torch.tensor(labels),
            torch.tensor(steps),
            torch.tensor(lengths),
            reduction="none",
        ),
        logits,
        tolerance=1e-4,
    )


def test_divergences_are_torch_s(torch):
    p, q = np.random.default_rng(5).dirichlet(np.ones(4), [2, 6]).astype(np.float32)
    kl = torch.nn.functional.kl_div
    both(torch, kl_divergence, lambda p, q: kl(q.log(), p, reduction="none").sum(-1), p, q)

    def theirs(p, q):
        mean = ((p + q) / 2).log()
        return sum(kl(mean, x, reduction="none").sum(-1) for x in (p, q)) / 2

    both(torch, jensen_shannon, theirs, p, q)


def test_boxes_are_those_of_a_transcription_in_torch(torch):
    low = np.random.default_rng(6).uniform(0, 4, [2, 20, 2])
    boxes = np.concatenate([low, low + np.random.default_rng(7).uniform(0.5, 4, [2, 20, 2])], -1)
    first, second = boxes.astype(np.float32)

    def parts(a, b):
        def area(low, high):
            return (high - low).clamp(min=0).prod(-1)

        inner = area(torch.max(a[:, :2], b[:, :2]), torch.min(a[:, 2:], b[:, 2:]))
        union = area(a[:, :2], a[:, 2:]) + area(b[:, :2], b[:, 2:]) - inner
        return inner, union, area(torch.min(a[:, :2], b[:, :2]), torch.max(a[:, 2:], b[:, 2:]))

    def theirs(a, b):
        inner, union, hull = parts(a, b)
        return inner / union - (hull - union) / hull

    both(torch, iou, lambda a, b: parts(a, b)[0] / parts(a, b)[1], first, second)
    both(torch, giou, theirs, first, second)
