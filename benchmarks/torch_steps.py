"""Training steps of PyTorch, as thunks for `jdl.train.compare`."""

from collections.abc import Callable


def torch_step(network, loss: Callable, optimizer: str, *, compiled: bool = False) -> Callable:
    """A step that forgets the gradients, computes the loss, goes back and updates.

    Args:
        network: a torch.nn.Module.
        loss: (what is called as the network is) -> the loss.
        optimizer: "adam" of rate 1e-3, or "sgd" of rate 0.05 and momentum 0.9, both fused.
        compiled: whether torch.compile makes the network's program.

    Returns:
        A thunk, whose value is the loss.
    """
    import torch

    if optimizer == "adam":
        update = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    else:
        update = torch.optim.SGD(network.parameters(), 0.05, 0.9, fused=True)
    call = torch.compile(network) if compiled else network

    def step():
        update.zero_grad()
        value = loss(call)
        value.backward()
        update.step()
        return value.detach().numpy()

    return step
