"""What to fine-tune, by the size of the new data and its likeness to the old; kinds of transfer.

              similar                          different
    small     a new head on frozen features    a head on features of an early stage
    large     all stages, lower rates below    all stages, pretrained as a mere start

Few examples freeze more, likeness transfers more (002; 003): the stages near the input are general
and those near the head are of the old task (Yosinski et al. 2014, figure 2). Between the columns
and the rows lie the last few stages, thawed one by one. What transfers badly can do worse than a
start from nothing, negative transfer, and what is learnt too fast is forgotten (000): the measure
of both is a run from scratch beside.

`TAXONOMY` has the names of 000, 002, 003 and 004, after Pan and Yang 2010 (settings) and Weiss,
Khoshgoftaar, Wang 2016 (what is transferred).
"""

from typing import NamedTuple


class Advice(NamedTuple):
    """What to do with a pretrained network.

    Attributes:
        features_of: "last" or "early", the stage whose maps the new head is given.
        last: stages that learn, the head included; None is all. As `stagewise` takes it.
        rate: of the head, over the rate of a training from scratch.
        decay: of the rate from a stage to the one below, as `stagewise` takes it.
        reason: in a sentence.
    """

    features_of: str
    last: int | None
    rate: float
    decay: float
    reason: str


def advise(*, small: bool, similar: bool) -> Advice:
    """What to fine-tune.

    The rates are published starting points, not laws: a new head learns as from scratch; a network
    that is trained on has a tenth of that (Girshick et al. 2014, section 2.3), divided by 2.6 from
    stage to stage where the stages below are to stay what they are (Howard and Ruder 2018, section
    3.2).

    Args:
        small: whether the new examples are too few to train the network without overfitting.
        similar: whether they look like those that it was pretrained on.

    Returns:
        The advice.

    Example:
        >>> advise(small=True, similar=True).last
        1
    """
    if small and similar:
        reason = "the last features suit the task, and few examples would overfit the rest"
        return Advice("last", 1, 1.0, 1.0, reason)
    if small:
        reason = "the last features are of the old task, the early ones general; few examples"
        return Advice("early", 1, 1.0, 1.0, reason)
    if similar:
        reason = "there is enough to learn from, and little below has to change"
        return Advice("last", None, 0.1, 2.6, reason)
    return Advice("last", None, 0.1, 1.0, "there is enough to learn from, and much has to change")


class Kind(NamedTuple):
    """A kind of transfer.

    Attributes:
        of: what the kinds beside it differ in, "setting", "what is transferred" or "spaces".
        meaning: in a sentence.
    """

    of: str
    meaning: str


TAXONOMY = {
    "inductive": Kind("setting", "the tasks differ, and the target has labels"),
    "transductive": Kind("setting", "one task, two domains, labels in the source alone"),
    "unsupervised": Kind("setting", "the tasks differ, and neither domain has labels"),
    "homogeneous": Kind("spaces", "source and target have the same inputs and labels"),
    "heterogeneous": Kind("spaces", "source and target have other inputs or other labels"),
    "instance": Kind("what is transferred", "examples of the source, weighted"),
    "feature": Kind("what is transferred", "a representation in which the domains are alike"),
    "relational": Kind("what is transferred", "relations among the examples, as rules or graphs"),
    "parameter": Kind("what is transferred", "params or priors: pretraining and fine-tuning"),
    "symmetric": Kind("heterogeneous features", "both domains are mapped to one latent space"),
    "asymmetric": Kind("heterogeneous features", "the source is mapped to the target's space"),
}


def setting(*, same_task: bool, target_labels: bool) -> str:
    """The name of a setting, of `TAXONOMY`.

    Args:
        same_task: whether labels and their dependence on the inputs are those of the source.
        target_labels: whether the target has labels to learn from.

    Returns:
        "inductive", "transductive" or "unsupervised".

    Raises:
        ValueError: the same task with labels, which is learning with more data, or domain
            adaptation with supervision: Pan and Yang have no name for it.

    Source: Pan and Yang 2010, table 2.
    """
    if same_task and target_labels:
        raise ValueError(
            "the same task with labels in the target is none of the three settings; "
            "train on both, or fine-tune"
        )
    if same_task:
        return "transductive"
    return "inductive" if target_labels else "unsupervised"
