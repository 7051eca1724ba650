"""The studio: a picture is painted in the notebook while sliders steer it.

The only place that knows widgets. `app` is the studio, `controls` its widgets,
`gallery` the pictures to choose from, `curves` its drawings, and `worker` the thread
that paints. `ranking` judges pictures blind, and `judgements` counts what was answered.
"""

from .app import Studio
from .judgements import bradley_terry, count_wins, read_answers
from .ranking import Ranking
from .wall import Wall

__all__ = [
    "Ranking",
    "Studio",
    "Wall",
    "bradley_terry",
    "count_wins",
    "read_answers",
]
