"""L-BFGS and Adam, made ready for pictures: each step is one iteration."""

import functools
import inspect
from collections.abc import Callable

import torch
from torch import Tensor

FIRST_MOVE = 0.02  # of a variable, on average; PyTorch's own is 1 for all together
MANY = 600_000  # variables, of which a history of 20 steps fills 100 MB


class LBFGS(torch.optim.LBFGS):
    """Take one iteration of L-BFGS at a time, so that there is a picture to see.

    It has one variable, a leaf that asks for a gradient.

    Source: PyTorch's, with its strong Wolfe line search; Liu and Nocedal 1989.
    """

    # Without what PyTorch wraps these in to keep its compiler off: only to import that
    # takes two seconds and 0.1 GB.
    add_param_group = inspect.unwrap(torch.optim.LBFGS.add_param_group)
    state_dict = inspect.unwrap(torch.optim.LBFGS.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.LBFGS.load_state_dict)

    def __init__(self, variables: list[Tensor]) -> None:
        (self._variables,) = variables
        many = self._variables.numel()
        # Its first step has this length over the 1-norm of the gradient.
        self._first_rate = FIRST_MOVE * many
        super().__init__(
            variables,
            lr=self._first_rate,
            max_iter=1,
            max_eval=26,
            tolerance_grad=0,  # these are absolute: small numbers would end a run
            tolerance_change=0,
            history_size=20 if many < MANY else 8,
            line_search_fn="strong_wolfe",
        )

    def step(self, closure: Callable[[], float]) -> None:
        """Take a step, if there is a way down; closure gives loss and gradient."""
        before = self._variables.detach().clone()
        super().step(closure)
        if torch.equal(before, self._variables):
            # Memory of far-off places can mislead a line search: once more without it.
            self.state.clear()
            self.param_groups[0]["lr"] = self._first_rate
            super().step(closure)
        # From here on, the curvature that it has seen decides.
        self.param_groups[0]["lr"] = 1


# Adam's rate: of the way from black to white, a step.
OPTIMIZERS = {"lbfgs": LBFGS, "adam": functools.partial(torch.optim.Adam, lr=0.02)}
