"""How the notebooks become a web site; make site builds it into site/."""

import json
import re
from pathlib import Path

import tomllib
from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref

import nst_helpers

ROOT = Path(__file__).parent.parent
ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = ABOUT.get("urls", {}).get("Repository")

project = html_title = "Neural style transfer"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton"]
extensions += ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/[0-9]*.ipynb", "notebooks/README.md"]
include_patterns += ["README.md", "CHANGELOG.md", "images/CREDITS.md"]
include_patterns += ["tests/bench/README.md", "tests/bench/looks/README.md"]
exclude_patterns = [".*", "build", "site", "kit", "packages"]  # not even searched
nb_execution_mode = "off"  # the outputs are stored
myst_enable_extensions = ["colon_fence", "dollarmath", "html_image", "substitution"]
autodoc_member_order, autodoc_preserve_defaults = "bysource", True
napoleon_use_ivar = True
add_module_names, maximum_signature_line_length = False, 70
default_role, nitpicky = "code", True
nitpick_ignore_regex = [("py:.*", r"(?!nst_helpers).*")]  # types of other packages
mathjax_path = "mathjax/es5/tex-svg-full.js"
mathjax3_config = {"svg": {"fontCache": "global"}}  # 3: one file with its letters
html_theme, html_context = "sphinx_book_theme", {"default_mode": "auto"}
html_theme_options = {"navbar_persistent": [], "use_fullscreen_button": False}
html_theme_options |= {"extra_footer": "Text: CC BY 4.0. Code: MIT."}
html_theme_options |= {"footer_content_items": ["extra-footer.html"]}
html_static_path, html_css_files = ["static", "../build/static"], ["site.css"]
if REPOSITORY:  # notebooks are launched from there
    html_theme_options |= {"repository_url": REPOSITORY, "repository_branch": "main"}
    html_theme_options["launch_buttons"] = {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    }


def card(notebook):
    """Show a lesson by its title and its picture."""
    first = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"])
    title = re.match("# (.*)", first)[1]
    picture = re.search(r"images/results/[\w.-]+", first)[0]
    return f"""
:::{{grid-item-card}} {notebook.name[:2]} {title}
:link: ../notebooks/{notebook.stem}
:link-type: doc
:img-top: ../{picture}
:img-alt: {title}
:::"""


cards = map(card, sorted(ROOT.glob("notebooks/[0-9]*.ipynb")))
myst_substitutions = {"lessons": "\n".join(cards)}


def change(app, doctree):
    """Number the lessons, and lead to what is no page: solutions are downloads."""
    here = app.env.docname
    if re.match(r"notebooks/\d", here):
        next(doctree.findall(nodes.title)).insert(0, nodes.Text(f"{here[10:12]} "))
    for node in [*doctree.findall(pending_xref)]:
        target, inside = node["reftarget"], ("", "", *node[0].children)
        if node["reftype"] != "myst" or target in app.env.found_docs:
            continue
        path = ((ROOT / here).parent / target).resolve()
        if node["refdomain"] == "doc":  # a name from the root, without its ending
            path = next(ROOT.glob(f"{target}.*"))
        file = path.relative_to(ROOT).as_posix()
        if file.startswith("notebooks/solutions/"):
            way = download_reference(*inside, reftarget=f"/{file}", refdoc=here)
        elif REPOSITORY:
            way = nodes.reference(*inside, refuri=f"{REPOSITORY}/blob/main/{file}")
        else:
            way = nodes.inline(*inside)
        if path.exists():  # else Sphinx warns of it
            node.replace_self(way)


def is_left_out(app, what, name, *_):
    """Leave out what a module has but nst_helpers does not offer."""
    return (what == "module" and not hasattr(nst_helpers, name)) or None


def setup(app):
    """Connect what is above."""
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("doctree-read", change, priority=400)  # before titles are noted
