"""The studio: a picture is painted in the notebook while sliders steer it.

The only place that knows widgets. `app` is the studio, `controls` its widgets,
`gallery` the pictures to choose from, `curves` its drawings, and `worker` the thread
that paints.
"""

from .app import Studio
from .wall import Wall

__all__ = ["Studio", "Wall"]
