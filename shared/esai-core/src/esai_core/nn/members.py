"""One network for all members of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from esai_core.errors import UsageError
from esai_core.nn._keras import keras, ops
from esai_core.nn.layers import register

__all__ = ["over_members"]


def _present(x: Any) -> Any:
    """Tell which members hold no missing value: ``(batch, member)``."""
    return ops.all(ops.isfinite(x), axis=tuple(range(2, len(x.shape))))


@register
class FoldMembers(keras.layers.Layer):
    """Put the member axis into the batch; missing values become 0."""

    def call(self, x: Any) -> Any:
        """Give ``(batch * member, ...)``."""
        shape = ops.shape(x)
        x = ops.where(ops.isfinite(x), x, ops.zeros_like(x))
        return ops.reshape(x, (-1, *shape[2:]))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Give the folded shape."""
        n = shape[0] * shape[1] if shape[0] and shape[1] else None
        return (n, *shape[2:])


@register
class RepeatMembers(keras.layers.Layer):
    """Repeat what all members share (inputs: the shared value, one with a member axis)."""

    def call(self, inputs: list) -> Any:
        """Give ``(batch * member, ...)``."""
        x, like = inputs
        return ops.repeat(x, ops.shape(like)[1], axis=0)

    def compute_output_shape(self, shapes: list) -> tuple:
        """Give the repeated shape."""
        x, like = shapes
        n = x[0] * like[1] if x[0] and like[1] else None
        return (n, *x[1:])


@register
class UnfoldMembers(keras.layers.Layer):
    """Take the member axis out of the batch; missing members are NaN (inputs: folded, originals)."""

    def call(self, inputs: list) -> Any:
        """Give ``(batch, member, ...)``."""
        x, *originals = inputs
        n, m = ops.shape(originals[0])[:2]
        x = ops.reshape(x, (n, m, *ops.shape(x)[1:]))
        present = _present(originals[0])
        for other in originals[1:]:
            present = ops.logical_and(present, _present(other))
        present = ops.reshape(present, (n, m, *(1,) * (len(x.shape) - 2)))
        return ops.where(present, x, ops.full_like(x, float("nan")))

    def compute_output_shape(self, shapes: list) -> tuple:
        """Give the unfolded shape."""
        x, like, *_ = shapes
        return (*like[:2], *x[1:])


def over_members(
    model: keras.Model, *, members: int | None = None, each: Sequence[str] = ("fields", "baseline")
) -> keras.Model:
    """Apply one network to every member of an ensemble.

    Parameters
    ----------
    model : keras.Model
        A network with a dict of inputs, as `esai_core.nn.build` gives.
    members : int, optional
        Members, where fixed; any number by default.
    each : sequence of str
        Inputs that every member has of its own, ``(batch, member, ...)``; the others are shared by all.

    Returns
    -------
    keras.Model
        Output ``(batch, member, ...)``. A member with any missing value in an input of its own gives NaN,
        which the ensemble losses leave out; no gradient flows from it.
    """
    names = [tensor.name.split(":")[0] for tensor in model.inputs]
    own = [name for name in names if name in each]
    if not own:
        raise UsageError(
            f"the network has inputs {', '.join(names)}, none of {', '.join(each)}", where="each"
        )
    inputs, folded = {}, {}
    for name, tensor in zip(names, model.inputs, strict=True):
        shape = (members, *tensor.shape[1:]) if name in own else tensor.shape[1:]
        inputs[name] = keras.Input(shape, name=name)
    first = inputs[own[0]]
    for name in names:
        folded[name] = FoldMembers()(inputs[name]) if name in own else RepeatMembers()([inputs[name], first])
    return keras.Model(
        inputs,
        UnfoldMembers()([model(folded), *(inputs[name] for name in own)]),
        name=f"{model.name}_members",
    )
