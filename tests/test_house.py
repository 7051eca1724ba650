"""The layout that keeps the program readable: sizes, and imports one way."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "nst_helpers"
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
METHOD = ("vgg", "losses", "spectrum", "transfer")
LIMIT = 4640  # lines of all but studio and lessons
APART = ("studio", "lessons")  # nobody needs them but who opens them
SCREEN = ("__main__", "cli")  # may print


def lines(name):
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def is_in(name, folders):
    return name.split(".")[0] in folders


def tree(name):
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def imports(name):
    """List the modules that a module imports, by their whole names."""
    found = []
    package = ["nst_helpers", *name.split(".")[:-1]]  # __init__ lies in its folder
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def our_imports(name):
    """List those of them that are files of ours; a name in a module is the module."""
    found = set()
    for imported in imports(name):
        parts = imported.split(".")
        if parts[0] != "nst_helpers":
            continue
        for count in range(len(parts), 0, -1):
            module = ".".join(parts[1:count])
            inside = f"{module}.__init__" if module else "__init__"
            if module in FILES or inside in FILES:
                found.add(module if module in FILES else inside)
                break
    return found - {name}


GRAPH = {name: our_imports(name) for name in FILES}


def test_the_graph_is_read_right():
    assert {"terms", "losses", "device", "settings"} < GRAPH["transfer"]
    assert "vgg" in GRAPH["fast.__init__"]
    assert {"fast.convolution", "fast.winograd"} <= FILES.keys()
    assert "fast.winograd" in GRAPH["fast.convolution"]
    assert "transfer" in GRAPH["__init__"]
    assert {"run", "transfer"} < GRAPH["cli.paint"] and "files" in GRAPH["settings"]
    assert set().union(*GRAPH.values()) <= FILES.keys()


def test_no_file_is_too_long():
    long = {name: lines(name) for name in FILES if lines(name) > 300}
    assert not long


def test_the_method_is_read_in_an_afternoon():
    assert sum(map(lines, METHOD)) <= 650
    rest = {name: lines(name) for name in FILES if not is_in(name, APART)}
    assert sum(rest.values()) <= LIMIT, rest


def test_imports_point_one_way():
    # The package's own __init__ collects what is for everyone, from modules that do
    # not look at it.
    graph = {name: set(found) for name, found in GRAPH.items()}
    while ready := [name for name, found in graph.items() if not found]:
        for name in ready:
            del graph[name]
        for found in graph.values():
            found.difference_update(ready)
    assert not graph  # these import each other


def test_studio_and_lessons_are_imported_by_nothing_else():
    for name, found in GRAPH.items():
        for module in found:
            for folder in APART:
                assert not is_in(module, [folder]) or is_in(name, [folder]), name


def test_the_library_does_not_look_at_what_shows_it():
    assert GRAPH["settings"] <= {"files", "layers"}
    assert GRAPH["files"] == set() and GRAPH["layers"] <= {"files"}
    for name in (*METHOD, "settings", "terms", "fast.__init__", "images"):
        assert not GRAPH[name] & {"plots", "__main__", "checkpoint", "__init__"}


def test_only_the_studio_knows_widgets():
    for name in FILES:
        heads = {module.split(".")[0] for module in imports(name)}
        if not is_in(name, ["studio"]):
            assert not heads & {"anywidget", "ipywidgets", "traitlets", "IPython"}, name


def test_one_module_knows_of_what_is_faster():
    """And operators with private names stay behind its door."""
    for name in FILES:
        if is_in(name, ["fast"]):
            continue
        knows = any(is_in(module, ["fast"]) for module in GRAPH[name])
        assert knows == (name == "device"), name
        text = FILES[name].read_text(encoding="utf-8")
        assert "torch.ops" not in text and "mkldnn" not in text, name


def test_only_the_command_line_prints():
    for name in FILES:
        calls = [
            node.lineno
            for node in ast.walk(tree(name))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not calls or is_in(name, SCREEN), (name, calls)
