"""The web site as make site has built it, which is the only one to run this."""

import pkgutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pages import browse

import nst_helpers

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
PAGES = [p for p in sorted(SITE.rglob("*.html")) if "_static" not in p.parts]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


class Page(HTMLParser):
    """What a page offers to be jumped to, and what it leads to."""

    def __init__(self, file):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append((tag, attributes[name]))


read = cache(Page)


@pytest.mark.parametrize("file", PAGES, ids=lambda f: str(f.relative_to(SITE)))
def test_every_link_leads_somewhere(file):
    broken = []
    for tag, link in read(file).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if tag != "a" and parts.scheme != "data":
                broken.append(link)  # what the page itself needs comes along
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        if not target.is_file():
            broken.append(link)
        elif parts.fragment and unquote(parts.fragment) not in read(target).ids:
            broken.append(link)
    assert not broken


def test_lessons_are_there_in_order_each_with_its_notebook_and_solutions():
    links = [link for _, link in read(SITE / "docs/index.html").links]
    places = [links.index(f"../notebooks/{p.stem}.html") for p in LESSONS]
    assert len(places) >= 9 and places == sorted(places)
    for lesson in LESSONS:
        links = [x for _, x in read(SITE / f"notebooks/{lesson.stem}.html").links]
        assert f"../_sources/notebooks/{lesson.name}" in links
        if (ROOT / "notebooks/solutions" / lesson.name).exists():
            assert [x for x in links if x.endswith(f"/{lesson.name}") and "_down" in x]
    assert not [p for p in PAGES if {"solutions", "exam"} & set(p.parts)]


def test_everything_for_everyone_is_explained():
    ids = read(SITE / "docs/module.html").ids
    for name, thing in vars(nst_helpers).items():
        if getattr(thing, "__module__", "").startswith("nst_helpers."):
            assert f"{thing.__module__}.{name}" in ids
    for module in pkgutil.iter_modules(nst_helpers.__path__):
        if module.name != "__main__":  # which cli explains
            assert f"module-nst_helpers.{module.name}" in ids


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_whole_without_a_network_and_fit_the_screen(width, scheme):
    asked = []

    def answer(route):
        if route.request.url.startswith("file:"):
            return route.continue_()
        asked.append(route.request.url)
        route.abort()

    with browse("about:blank") as page:
        page.route("**/*", answer)
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        for file in PAGES:
            page.goto(file.as_uri(), wait_until="load")
            if page.locator(".math").count():
                page.wait_for_function("window.MathJax.startup?.promise")
                page.evaluate("MathJax.startup.promise")
            found = page.evaluate(LOOK)
            found["too wide"] = max(0, found["too wide"] - width)
            assert not any(found.values()), (file.name, found)
        assert not asked


# What must not be: formulas not drawn or wrong, pictures that do not load.
LOOK = """() => ({
    "not drawn": [...document.querySelectorAll("article .math")]
        .filter(e => !e.querySelector("mjx-container")).map(e => e.textContent),
    "wrong": document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    "no picture": [...document.images]
        .filter(e => e.complete && !e.naturalWidth).map(e => e.src),
    "too wide": document.documentElement.scrollWidth,
})"""


@pytest.mark.browser
def test_what_is_folded_opens_by_a_click_code_is_copied_and_words_are_found():
    with browse((SITE / "notebooks" / f"{LESSONS[2].stem}.html").as_uri()) as page:
        for kind in ("details.hide.below-input", "details:not(.hide)"):
            fold = page.locator(f"article {kind}").first
            inside = fold.locator("img, p").last
            assert not inside.is_visible()
            fold.locator("summary").click()
            assert inside.is_visible()
        assert page.locator("article button.copybtn").count() > 5
        page.goto((SITE / "search.html").as_uri() + "?q=receptive")
        page.locator("#search-results li", has_text="VGG19").first.wait_for()
