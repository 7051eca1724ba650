"""The optimisation: a picture bends until it has the content and the style asked for."""

import math
import time
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from .files import InputError
from .images import fit_inside, resize
from .losses import content_loss, gram_matrix, range_loss, style_loss, tv_loss
from .settings import Settings
from .vgg import VGG19

RANGE_WEIGHT = 100.0
ADAM_RATE = 0.02
SCALE = 1.0
HISTORY = 100


@dataclass(frozen=True)
class Step:
    """Hold the picture after one iteration.

    Args:
        iteration: 0 is the start.
        evaluations: how often the loss and its gradient were computed so far.
        seconds: time spent computing so far.
        image: (1, 3, H, W) in [0, 1], on the CPU.
        losses: {"content", "style", "tv", "range"}: relative losses before weighting
            (a term of weight 0 is left out), and "total", the weighted sum.
        restarted: new settings bent the loss surface just before this step, so the
            optimiser forgot what it had learnt of the old one.
    """

    iteration: int
    evaluations: int
    seconds: float
    image: Tensor
    losses: dict[str, float]
    restarted: bool


class NotFiniteError(ArithmeticError):
    """Leave a line search that met a loss which is no number."""


class StyleTransfer:
    """Paint a photo in the manner of a painting, one Step at a time.

    `for step in StyleTransfer(photo, painting): ...` yields the start as iteration 0,
    then the picture after each iteration. New `settings` may be assigned in mid-run and
    take effect at the next step. A loop that was left, even by Ctrl-C, can be taken up
    again by another `for`.

    Args:
        photo: (1, 3, H, W) in [0, 1]; brought to settings.size.
        painting: (1, 3, H, W) in [0, 1], of any shape; its long side is brought to
            settings.size too.
        settings: every other choice.

    Attributes:
        image: (1, 3, H, W) in [0, 1], the best picture so far.
        reason: why the last loop ended: "steps done", "converged", "stopped" or
            "not finite"; None while it runs.

    Raises:
        InputError: what is no image, or weights or a device that cannot be had.

    Source: Gatys et al. 2016, section 2.3. Departures: relative losses, a smoothness and
    a range term, more weight on early style layers, start from the photo.
    """

    def __init__(
        self, photo: Tensor, painting: Tensor, settings: Settings = Settings()
    ) -> None:
        _check_image(photo, "photo")
        _check_image(painting, "painting")
        device = pick_device(settings.device)
        self._settings = settings
        self._vgg = VGG19(settings.weights, settings.pooling, settings.seed).to(device)
        self._photo = resize(photo, settings.size).to(device)
        self._painting = resize(painting, settings.size).to(device)
        # The pixels are what is optimised; the network never changes.
        self._pixels = self._start().clone().requires_grad_()
        self._content, self._grams = {}, {}
        self._seconds, self._evaluations = 0.0, 0
        self._iteration = -1
        self._stopping = False
        self.image = _shown(self._pixels)
        self.reason: str | None = None
        self._aim()

    @property
    def settings(self) -> Settings:
        """The settings of the next step; assign others to bend the picture."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        for name in ("size", "start", "seed", "weights", "pooling", "device"):
            if getattr(settings, name) != getattr(self._settings, name):
                raise InputError(f"{name} cannot change in mid-run; start a new one")
        self._settings = settings

    def stop(self) -> None:
        """End the run before its next step; any thread may call this."""
        self._stopping = True

    def __iter__(self) -> "StyleTransfer":
        """Take the run up where it is."""
        self.reason = None
        return self

    def __next__(self) -> Step:
        """Do one iteration and return its Step."""
        if self._stopping:
            self._stopping = False
            self._end("stopped")
        if self._iteration >= self._settings.steps:
            self._end("steps done")
        began = time.perf_counter()
        restarted = self._aimed_at is not self._settings
        if restarted:
            self._aim()
        before = self._pixels.detach().clone()
        try:
            if self._iteration >= 0:  # iteration 0 is the start itself
                self._optimizer.step(self._closure)
            losses, gradient = self._evaluate()
        except BaseException as error:  # Ctrl-C in mid line search, too
            self._pixels.data.copy_(before)
            self._forget()
            if isinstance(error, NotFiniteError):
                self._end("not finite")
            raise
        if self._iteration >= 0 and torch.equal(before, self._pixels):
            self._end("converged")
        self._known = [(self._pixels.detach().clone(), losses, gradient)]
        self._iteration += 1
        self._seconds += time.perf_counter() - began
        image = _shown(self._pixels)
        if losses["total"] <= self._best:
            self._best, self.image = losses["total"], image
        return Step(
            self._iteration, self._evaluations, self._seconds, image, losses, restarted
        )

    def _end(self, reason: str) -> NoReturn:
        """Leave the loop, saying why."""
        self.reason = reason
        raise StopIteration

    def _start(self) -> Tensor:
        """Return the picture to start from, (1, 3, H, W)."""
        if self._settings.start == "content":
            return self._photo
        if self._settings.start == "style":
            return fit_inside(self._painting, *self._photo.shape[2:]).to(self._photo.device)
        generator = torch.Generator().manual_seed(self._settings.seed)
        noise = torch.rand(self._photo.shape, generator=generator)
        return noise.to(self._photo.device)

    def _aim(self) -> None:
        """Compute what the settings ask for, and start the optimiser anew."""
        settings = self._aimed_at = self._settings
        self._layers = {
            "content": {n: w for n, w in settings.content_layers.items() if w},
            "style": {n: w for n, w in settings.style_layers.items() if w},
        }
        new_content = self._layers["content"].keys() - self._content.keys()
        new_style = self._layers["style"].keys() - self._grams.keys()
        with torch.no_grad():
            self._content |= self._vgg(self._photo, new_content)
            painting = self._vgg(self._painting, new_style)
        self._grams |= {name: gram_matrix(f) for name, f in painting.items()}
        self._best = math.inf
        self._forget()

    def _forget(self) -> None:
        """Start the optimiser anew, knowing nothing of the loss surface."""
        self._known = []
        if self._settings.optimizer == "adam":
            self._optimizer = torch.optim.Adam([self._pixels], lr=ADAM_RATE)
        else:
            self._optimizer = torch.optim.LBFGS(
                [self._pixels],
                max_iter=1,
                max_eval=26,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=HISTORY,
                line_search_fn="strong_wolfe",
            )

    def _closure(self) -> float:
        """Tell the optimiser the loss and its gradient where the pixels are now."""
        losses, self._pixels.grad = self._evaluate()
        return losses["total"]*SCALE

    def _evaluate(self) -> tuple[dict[str, float], Tensor]:
        """Return the losses and the gradient at the pixels."""
        for pixels, losses, gradient in self._known:
            if torch.equal(pixels, self._pixels):
                return losses, gradient
        settings = self._aimed_at
        terms = {"range": (RANGE_WEIGHT, range_loss(self._pixels))}
        with torch.enable_grad():
            layers = set()
            for term in ("content","style"):
                if getattr(settings, term+"_weight"): layers |= self._layers[term].keys()
            features = self._vgg(self._pixels, layers)
            losses = {"range": range_loss(self._pixels)}
            total = RANGE_WEIGHT*losses["range"]
            if settings.content_weight:
                losses["content"] = content_loss(features, self._content, self._layers["content"])
                total = total + settings.content_weight*losses["content"]
            if settings.style_weight:
                losses["style"] = style_loss(features, self._grams, self._layers["style"])
                total = total + settings.style_weight*losses["style"]
            if settings.tv_weight:
                losses["tv"] = tv_loss(self._pixels, self._photo)
                total = total + settings.tv_weight*losses["tv"]
            losses["total"] = total
        (gradient,) = torch.autograd.grad(total*SCALE, self._pixels)
        self._evaluations += 1
        losses = {k: v.item() for k, v in losses.items()}
        if not math.isfinite(losses["total"]):
            raise NotFiniteError
        self._known.append((self._pixels.detach().clone(), losses, gradient))
        return losses, gradient


def _shown(pixels: Tensor) -> Tensor:
    """Copy pixels to a picture that can be shown."""
    return pixels.detach().clamp(0, 1).cpu()


def _check_image(image: Tensor, name: str) -> None:
    """Refuse what is no image tensor."""
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError(f"the {name} is not an image (1, 3, H, W); use load_image")
    if not ((image >= 0) & (image <= 1)).all():
        raise InputError(f"the {name} has pixels outside [0, 1]; use load_image")


def pick_device(name: str = "auto") -> torch.device:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(n for n in ("cuda", "mps", "cpu") if available[n])
    if not available[name]:
        raise InputError(f"no {name} device here; use 'cpu' or 'auto'")
    return torch.device(name)


def stylize(photo, painting, settings=Settings()):
    transfer = StyleTransfer(photo, painting, settings)
    for _ in transfer:
        pass
    return transfer.image
