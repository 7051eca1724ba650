"""What a run is written down as, and taken up from."""

import copy
from dataclasses import asdict, replace
from typing import Any

import torch

from .files import InputError
from .settings import Settings
from .terms import choose_losses, fit_photo

# What state_dict holds besides settings, weights and optimiser.
STATE = ("iteration", "precision", "_evaluations", "_seconds", "_halvings", "_start")
STATE += ("_accepted", "_best")


class Resumable:
    """Give StyleTransfer a state, as torch's modules and optimisers have one."""

    def state_dict(self) -> dict[str, Any]:
        """Write down, as {name: value}, where the run is: after its last whole step."""
        state = {name: getattr(self, name) for name in STATE}
        # Plain dicts, so that torch.load takes them.
        plain = {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in asdict(self._settings).items()
        }
        state |= {"settings": plain, "weights": self._target.weights}
        state["optimizer"] = self._optimizer and self._optimizer.state_dict()
        return copy.deepcopy(state)

    @torch.inference_mode(False)
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, where a run of these pictures and losses was.

        Args:
            state: what its state_dict returned.

        Raises:
            InputError: it is of other losses, or of another network.
        """
        missing = {*STATE, "settings", "weights", "optimizer"} - set(state or ())
        if missing:
            raise InputError(f"no state of a run: it has no {min(missing)}")
        state, here = copy.deepcopy(state), self._settings
        settings = Settings(**state["settings"])
        here.check_change(replace(settings, start=here.start, scales=here.scales))
        losses = choose_losses(self._painting, settings, self._own_losses)
        if not state["weights"].keys() <= {"range", *(loss.name for loss in losses)}:
            raise InputError(f"a state of other losses: {', '.join(state['weights'])}")
        halvings = state["_halvings"]
        photo = fit_photo(self._photo, self._painting, settings, halvings)
        if photo.shape != state["_start"].shape:
            raise InputError("a state of a photo of another shape")
        new = {name: state[name] for name in STATE}
        for name in ("_start", "_accepted"):
            new[name] = new[name].to(self.device)
        self._aim(_settings=settings, _losses=losses, **new)
        vars(self).update(new)
        if state["optimizer"] and state["weights"] == self._target.weights:
            self._reset_optimizer()
            self._closure()  # the last line search ended here
            self._optimizer.load_state_dict(state["optimizer"])
            self._evaluations = state["_evaluations"]
