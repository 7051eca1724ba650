"""Draw the picture of the whole, once for each lesson, with its part lit: images/loop/.

python notebooks/draw_loop.py
"""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "images" / "loop"
BOXES = {  # name: x, y, width, lines
    "photo": (20, 20, 110, ["photo"]),
    "picture": (20, 95, 110, ["picture,", "our pixels"]),
    "painting": (20, 170, 110, ["painting"]),
    "features": (180, 95, 120, ["VGG19:", "features"]),
    "content": (350, 20, 150, ["content loss"]),
    "style": (350, 95, 150, ["Gram matrices:", "style loss"]),
    "tv": (350, 170, 150, ["total variation"]),
    "sum": (550, 95, 110, ["weighted", "sum"]),
    "optimiser": (710, 95, 130, ["L-BFGS moves", "the pixels"]),
}
HEIGHT = 50
ARROWS = [  # through these points
    [(130, 45), (155, 45), (155, 110), (180, 110)],
    [(130, 120), (180, 120)],
    [(130, 195), (155, 195), (155, 130), (180, 130)],
    [(300, 110), (325, 110), (325, 45), (350, 45)],
    [(300, 120), (350, 120)],
    [(75, 145), (75, 157), (325, 157), (325, 195), (350, 195)],
    [(500, 45), (525, 45), (525, 110), (550, 110)],
    [(500, 120), (550, 120)],
    [(500, 195), (525, 195), (525, 130), (550, 130)],
    [(660, 120), (710, 120)],
    [(775, 145), (775, 250), (10, 250), (10, 120), (20, 120)],
]
LIT = {  # by lesson
    "00": list(BOXES),
    "01": ["features"],
    "02": ["style"],
    "03": ["photo", "content"],
    "04": ["painting", "style"],
    "05": ["tv"],
    "06": ["sum", "optimiser"],
    "07": ["content", "style", "tv", "sum"],
    "08": ["photo", "painting", "style"],
    "09": ["style"],
    "10": ["picture"],
    "11": list(BOXES),
}


def draw(lit):
    """Return the drawing as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 270" width="860" '
        'height="270" font-family="sans-serif" font-size="16" text-anchor="middle">',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker>',
        '<rect width="860" height="270" rx="12" fill="#fff"/>',
    ]
    for points in ARROWS:
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="#555" stroke-width="1.5" '
            'marker-end="url(#tip)"/>'
        )
    for name, (x, y, width, lines) in BOXES.items():
        fill, line = ("#ffd35c", "#7a5200") if name in lit else ("#eef1f4", "#9aa3ab")
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="8" '
            f'fill="{fill}" stroke="{line}" stroke-width="2"/>'
        )
        for k, text in enumerate(lines):
            place = y + HEIGHT / 2 + 6 + 20 * (k - (len(lines) - 1) / 2)
            parts.append(f'<text x="{x + width / 2:g}" y="{place:g}">{text}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for lesson, lit in LIT.items():
        (FOLDER / f"{lesson}.svg").write_text(draw(lit), encoding="utf-8")
