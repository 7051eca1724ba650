"""Kind checks of what a learner wrote in a notebook, a file or two for each lesson.

Each takes the learner's function and returns one sentence: "Right. …", or what is
wrong. To know what is wrong, it compares with the answers of likely mistakes.
"""

from .lesson_00 import check_paint_bold, check_to_image
from .lesson_01 import check_first_layer, check_halve
from .lesson_02 import check_gram, check_shuffle_each
from .lesson_03 import check_content_gradient, check_relative
from .lesson_04 import check_shifted_gram, check_style
from .lesson_05 import check_isotropic, check_total_variation
from .lesson_06 import check_evaluate, check_goes_down, check_paint, check_picture
from .lesson_07 import check_diagnosis, check_shares, check_total_loss
from .lesson_08 import check_brightness, check_colours_back, check_guided_gram
from .lesson_09 import check_mean_and_variance, check_sliced, check_three_moments
from .lesson_10 import check_chance, check_count_wins, check_mm_step
from .total import check_painting_loss

__all__ = [
    "check_brightness",
    "check_chance",
    "check_colours_back",
    "check_content_gradient",
    "check_count_wins",
    "check_diagnosis",
    "check_evaluate",
    "check_first_layer",
    "check_goes_down",
    "check_gram",
    "check_guided_gram",
    "check_halve",
    "check_isotropic",
    "check_mean_and_variance",
    "check_mm_step",
    "check_paint",
    "check_paint_bold",
    "check_painting_loss",
    "check_picture",
    "check_relative",
    "check_shares",
    "check_shifted_gram",
    "check_shuffle_each",
    "check_sliced",
    "check_style",
    "check_three_moments",
    "check_to_image",
    "check_total_loss",
    "check_total_variation",
]
