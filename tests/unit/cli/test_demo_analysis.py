"""`analyse_source`: what is counted, and that any input gives figures or an error of its own."""

from __future__ import annotations

import ast
import pickle
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.cli.demo.analysis import MOST_COMPLEX_KEPT, FileFigures, analyse_source, branch_points

FAULTS_OF_A_FILE = (SyntaxError, ValueError, RecursionError, MemoryError)


def figures_of(source: str) -> FileFigures:
    return analyse_source(source.encode(), "some.py")


def complexity(body: str, head: str = "def f(x):") -> int:
    """The complexity of a function made of `body`'s lines."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (function,) = figures_of(f"{head}\n{lines}\n").most_complex
    return function.complexity


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 1),
        ("if x: pass", 2),
        ("if x: pass\nelse: pass", 2),
        ("if x: pass\nelif y: pass\nelse: pass", 3),
        ("return 1 if x else 2", 2),
        ("for y in x: pass", 2),
        ("for y in x: pass\nelse: pass", 2),
        ("while x: pass", 2),
        ("try: x()\nexcept ValueError: pass\nexcept OSError: pass\nfinally: pass", 3),
        ("try: x()\nexcept* ValueError: pass", 2),
        ("with x: pass", 1),
        ("assert x", 2),
        ("return x and y", 2),
        ("return x and y and z or w", 4),
        ("return [y for y in x]", 2),
        ("return {y for y in x if y if z}", 4),
        ("return {y: z for y in x for z in y}", 3),
        ("return sum(y for y in x if y or z)", 4),
        ("return lambda y: 1 if y else 2", 2),
        ("match x:\n    case 1: pass\n    case [2, _]: pass\n    case _: pass", 3),
        ("match x:\n    case 1: pass\n    case y: pass", 2),
        ("match x:\n    case _ if x > 1: pass", 2),
    ],
)
def test_complexity_counts_where_paths_part(body: str, expected: int) -> None:
    assert complexity(body) == expected


def test_async_forms_count_like_the_others() -> None:
    assert complexity("async for y in x: pass\nreturn [z async for z in x]", "async def f(x):") == 3


def test_a_nested_function_counts_by_itself() -> None:
    figures = figures_of(
        "def outer(a=1 if c else 2):\n"
        "    if a: pass\n"
        "    def inner(b=a or 3):\n"
        "        while b: pass\n"
        "        if b: pass\n"
    )
    by_name = {function.name: function.complexity for function in figures.most_complex}
    # The default of `inner` is evaluated by `outer`; the default of `outer` by the module.
    assert by_name == {"outer": 3, "outer.inner": 3}
    assert figures.branch_points == 5


def test_names_tell_where_a_function_stands() -> None:
    figures = figures_of(
        "class A:\n"
        "    flag = x if y else z\n"
        "    class B:\n"
        "        @decorate\n"
        "        def method(self):\n"
        "            class C:\n"
        "                async def deep(self): pass\n"
    )
    assert [(f.name, f.line) for f in figures.most_complex] == [
        ("A.B.method", 5),
        ("A.B.method.C.deep", 7),
    ]
    assert (figures.functions, figures.classes, figures.branch_points) == (2, 3, 1)


def test_a_class_inside_a_function_counts_for_it_but_its_methods_do_not() -> None:
    figures = figures_of("def f():\n    class A:\n        if x: y = 1\n        def g(self): return x or y\n")
    assert {f.name: f.complexity for f in figures.most_complex} == {"f": 2, "f.A.g": 2}


def test_imports_are_counted_and_absolute_ones_named_by_their_top_level() -> None:
    figures = figures_of(
        "import os, os.path, sys as system\n"
        "from collections.abc import Iterator, Callable\n"
        "from . import sibling\n"
        "from ..above import thing\n"
        "def f():\n"
        "    import json\n"
    )
    assert figures.imports == 7
    assert figures.modules == ("collections", "json", "os", "sys")


@pytest.mark.parametrize(
    ("source", "lines"), [(b"", 0), (b"x", 1), (b"x\n", 1), (b"x\n\ny", 3), (b"x\r\ny\r\n", 2), (b"\n\n", 2)]
)
def test_lines_are_all_lines(source: bytes, lines: int) -> None:
    assert analyse_source(source, "some.py").lines == lines


def test_only_the_most_complex_functions_are_reported() -> None:
    source = "".join(f"def f{n}():\n" + "    if x: pass\n" * (n % 20 + 1) for n in range(40))
    figures = figures_of(source)
    assert figures.functions == 40
    assert len(figures.most_complex) == MOST_COMPLEX_KEPT
    ranked = [(f.complexity, f.name) for f in figures.most_complex]
    assert ranked[:3] == [(21, "f19"), (21, "f39"), (20, "f18")]


def test_a_syntax_error_names_file_and_line() -> None:
    with pytest.raises(SyntaxError) as caught:
        analyse_source(b"x = 1\ny = = 2\n", "package/wrong.py")
    assert (caught.value.filename, caught.value.lineno) == ("package/wrong.py", 2)


@pytest.mark.parametrize(
    "source", [b"x = '\xff'\n", b"# coding: klingon\n", b"\xef\xbb\xbf# coding: latin-1\n"], ids=repr
)
def test_what_cannot_be_decoded_is_a_syntax_error(source: bytes) -> None:
    with pytest.raises(SyntaxError):
        analyse_source(source, "some.py")


def test_the_coding_cookie_is_honoured() -> None:
    assert analyse_source("# coding: latin-1\nimport é\n".encode("latin-1"), "x.py").modules == ("é",)


@pytest.mark.parametrize(
    "source",
    [b"(" * 500 + b")" * 500, b"-" * 100_000 + b"1", b"x" + b".a" * 50_000, b"[" * 150 + b"]" * 150],
    ids=["brackets", "signs", "attributes", "lists"],
)
def test_deep_nesting_gives_figures_or_an_error_of_the_file(source: bytes) -> None:
    try:
        figures = analyse_source(source, "deep.py")
    except FAULTS_OF_A_FILE:
        return
    assert figures.lines == 1


def test_a_tree_deeper_than_the_recursion_limit_is_walked() -> None:
    source = "def f():\n    return " + "+".join(["x"] * int(sys.getrecursionlimit() * 1.5))
    try:
        ast.parse(source)
    except (RecursionError, MemoryError):
        pytest.skip("the parser of this Python does not take it in the first place")
    assert figures_of(source).functions == 1


def test_parsing_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figures_of("x = '\\d'\ny = x is 1\nz = 0x1for x in y\n").lines == 3


def test_figures_survive_the_way_home() -> None:
    figures = figures_of("import os\nclass A:\n    def f(self): return 1 if x else 2\n")
    assert pickle.loads(pickle.dumps(figures, protocol=5)) == figures


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_give_figures_or_an_error_of_the_file(source: bytes) -> None:
    try:
        figures = analyse_source(source, "some.py")
    except FAULTS_OF_A_FILE:
        return
    assert figures.lines == len(source.splitlines())


def block(head: str, body: list[str]) -> str:
    return "\n".join([head, *("    " + line for statement in body for line in statement.splitlines())])


HEADS = [
    "if x:",
    "for i in x:",
    "while x:",
    "def f(a=1 if b else c):",
    "class A:",
    "async def g():",
    "with x:",
]
STATEMENTS = st.recursive(
    st.sampled_from(["pass", "x = a and b or c", "import os", "y = [i for i in z if i]", "assert q"]),
    lambda inner: st.builds(block, st.sampled_from(HEADS), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=12,
)


@given(st.lists(STATEMENTS, max_size=5))
def test_each_branch_point_counts_for_at_most_one_function(statements: list[str]) -> None:
    """The sum over functions is the file's, less what stands outside of functions."""
    source = "\n".join(statements)
    figures, tree = figures_of(source), ast.parse(source)
    nodes = list(ast.walk(tree))
    assert figures.branch_points == sum(map(branch_points, nodes))
    assert figures.functions == sum(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes
    )
    assert figures.classes == sum(isinstance(node, ast.ClassDef) for node in nodes)
    if figures.functions <= MOST_COMPLEX_KEPT:
        in_functions = sum(function.complexity - 1 for function in figures.most_complex)
        assert in_functions == figures.branch_points - points_outside_of_functions(tree)


def points_outside_of_functions(node: ast.AST) -> int:
    """The same by recursion, a second way."""
    points = branch_points(node)
    inside = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    return points + sum(
        points_outside_of_functions(child) for child in ast.iter_child_nodes(node) if child not in inside
    )
