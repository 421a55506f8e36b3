"""Test code as steps, each judged alone.

What arrives: the source of asserts, of a test module, and what it leans on. What leaves: `Assertions`: compiled steps
in order, which of them count as tests, and the names that are the program's. Nothing is run here.

A name of the tests belongs to the program where nobody else can have meant it: it is no builtin, no module and no name
that the tests, their setup or their prompt define. So a program that defines its own ``set`` or ``math`` changes
nothing for the tests.
"""

from __future__ import annotations

import ast
import builtins
import functools
import marshal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import InvalidInputError
from rayreward.programs.proxies import IN_PLACE

_MODULES = {"np": "numpy", "numpy": "numpy", "pd": "pandas", "pandas": "pandas"}
"""Modules that tests use without importing them: in-process, the program's import did it for both."""

_IMPORTED = {
    "Counter": "collections", "OrderedDict": "collections", "defaultdict": "collections", "deque": "collections",
    "namedtuple": "collections", "Decimal": "decimal", "Fraction": "fractions", "datetime": "datetime",
    "timedelta": "datetime", "date": "datetime", "deepcopy": "copy", "isclose": "math", "inf": "math", "nan": "math",
    "List": "typing", "Dict": "typing", "Tuple": "typing", "Optional": "typing", "Any": "typing", "Set": "typing",
}  # fmt: skip
"""Names that tests use in the same way; they are these, whatever the program calls so."""

_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of test code.

    Attributes:
        code: compiled, as `marshal` writes it: the judge runs the same interpreter.
        source: the beginning of its text, for reasons.
        is_test: whether it counts; the others prepare, and count only where they fail.
    """

    code: bytes
    source: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class Equation:
    """An assert that a call of the program, with literal arguments, equals a literal."""

    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    expected: Any
    source: str


@dataclass(frozen=True, slots=True)
class Assertions:
    """Tests as code.

    Attributes:
        steps: in order.
        names: what the tests take from the program.
        aliases: other names for these (``candidate``).
        exceptions: those of the names that the tests expect to be raised.
        equations: the same tests as data, where each of them is one: they need no judge.
    """

    steps: tuple[Step, ...]
    names: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    exceptions: tuple[str, ...] = ()
    equations: tuple[Equation, ...] = ()

    @property
    def count(self) -> int:
        """How many tests they are."""
        return sum(step.is_test for step in self.steps)


@functools.lru_cache(maxsize=256)
def split_asserts(
    texts: tuple[str, ...],
    where: str,
    *,
    setup: str = "",
    helpers: str = "",
    entry_point: str | None = None,
    one_module: bool = False,
) -> Assertions:
    """The steps of `texts`; kept, because the samples of a prompt share their tests.

    Args:
        texts: the asserts, or the test module alone.
        where: what the texts are called in errors.
        setup: code that runs before them.
        helpers: the prompt's code; functions of it that the tests use are run as they stand there.
        entry_point: the function under test; ``check(candidate)`` needs it.
        one_module: whether the only text is a module, to be split.

    Raises:
        InvalidInputError: it is no Python, or tests nothing of the program.

    Example:
        >>> split_asserts(("assert add(1, 2) == 3",), "label").names
        ('add',)
    """
    preparing = _parse(setup, "test_setup_code").body
    if one_module:
        module = _without_import(_parse(texts[0], where))
        preparing, testing, parameter = _split_module(module, preparing, where)
        if parameter is not None and entry_point is None:
            raise InvalidInputError(f"code_execution: {where} has check({parameter}) and needs entry_point, found none")
    else:
        testing = [_parse(text, f"{where}[{at}]").body for at, text in enumerate(texts)]
        parameter = None
    preparing = [*_used_helpers(helpers, [*preparing, *_flat(testing)], entry_point), *preparing]
    everything = [*preparing, *_flat(testing)]
    names, imports = _names_of_program(everything, testing, entry_point, parameter, where)
    aliases = () if parameter is None or entry_point is None else ((parameter, entry_point),)
    tainted = {*names, *(alias for alias, _ in aliases)}
    functions = {node.name for node in everything if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    reached = set(tainted)
    for body in (preparing, *testing, preparing, *testing):
        _spread_taint(body, reached)
    _check_judgeable(everything, reached, where)
    asked = frozenset(reached - functions)
    steps = [_step([*imports, *preparing], where, asked, is_test=False)] if imports or preparing else []
    _spread_taint(preparing, tainted)
    for body in testing:
        is_test = _mentions(body, tainted) and _asserts(body, functions)
        _spread_taint(body, tainted)
        steps.append(_step(body, where, asked, is_test=is_test))
    equations = _equations(preparing, testing, dict(aliases), names)
    found = Assertions(tuple(steps), names, aliases, _expected_exceptions(everything, names), equations)
    if not found.count:
        raise InvalidInputError(f"code_execution: {where} holds no assert about the program's functions")
    return found


def _equations(
    preparing: list[ast.stmt], testing: list[list[ast.stmt]], aliases: Mapping[str, str], names: Sequence[str]
) -> tuple[Equation, ...]:
    """All tests as equations, or none: most of HumanEval's and MBPP's are, and their preparation is a docstring."""
    if not all(map(_does_nothing, preparing)):
        return ()
    found = []
    for body in testing:
        statements = [node for node in body if not _does_nothing(node)]
        if not statements:
            continue
        equation = _equation(statements[0], aliases) if len(statements) == 1 else None
        if equation is None or equation.function not in names:
            return ()
        found.append(equation)
    return tuple(found)


def _does_nothing(node: ast.stmt) -> bool:
    """Whether a statement changes nothing for an equation: an import, a constant, a bare name, ``assert True``."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names) or (
            isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in sys.stdlib_module_names
        )
    if isinstance(node, (ast.Expr, ast.Assign)):
        return _is_literal(node.value) or (isinstance(node.value, ast.Name) and node.value.id in _BUILTINS)
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and bool(node.test.value)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _equation(node: ast.stmt, aliases: Mapping[str, str]) -> Equation | None:
    match node:
        case ast.Assert(
            test=ast.Compare(
                left=ast.Call(func=ast.Name(id=name), args=args, keywords=keywords),
                ops=[ast.Eq()],
                comparators=[wanted],
            )
        ):
            pass
        case _:
            return None
    named = {keyword.arg: keyword.value for keyword in keywords if keyword.arg is not None}
    if len(named) != len(keywords) or not all(map(_is_literal, [*args, *named.values(), wanted])):
        return None
    return Equation(
        aliases.get(name, name),
        tuple(map(ast.literal_eval, args)),
        {key: ast.literal_eval(value) for key, value in named.items()},
        ast.literal_eval(wanted),
        _shown([node]),
    )


def _shown(body: Sequence[ast.stmt]) -> str:
    return " ".join(ast.unparse(ast.Module(list(body), type_ignores=[])).split())[:160]


def _parse(source: str, where: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInputError(f"code_execution: {where} is no Python: {error}; found {source!r:.120}") from None


def _flat(bodies: Iterable[Sequence[ast.stmt]]) -> list[ast.stmt]:
    return [statement for body in bodies for statement in body]


def _split_module(
    module: ast.Module, setup: list[ast.stmt], where: str
) -> tuple[list[ast.stmt], list[list[ast.stmt]], str | None]:
    """What prepares, the pieces that test, and what ``check`` calls the function under test."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    check = functions.get("check")
    if check is not None:
        if len(check.args.args) != 1:
            raise InvalidInputError(f"code_execution: {where}: check must take one parameter, the function under test")
        parameter = check.args.args[0].arg
        others = [node for node in module.body if not _calls_check(node)]
        if _is_plain(check):
            rest = [node for node in others if node is not check]
            return [*setup, *rest], [[node] for node in check.body], parameter
        called = ast.parse(f"check({parameter})").body
        return [*setup, *others], [called], parameter
    pieces = [[node] for node in module.body]
    tests = [name for name in functions if name.startswith("test")]
    for name in tests:
        if functions[name].args.args[len(functions[name].args.defaults) :] or functions[name].decorator_list:
            raise InvalidInputError(
                f"code_execution: {where}: {name} takes fixtures or parameters, which are not filled in here; give "
                f"plain functions, or asserts"
            )
    return setup, [*pieces, *(ast.parse(f"{name}()").body for name in tests)], None


def _calls_check(node: ast.stmt) -> bool:
    """Whether a module's statement is ``check(...)``, which the judge does itself."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "check"
    )


def _is_plain(check: ast.FunctionDef) -> bool:
    """Whether the body means the same statement by statement, outside of its function."""
    leaving = (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Nonlocal, ast.Global)
    return not any(isinstance(node, leaving) for body in check.body for node in _own_scope(body))


def _own_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A statement's nodes, those of functions and classes inside it left out."""
    yield node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for child in ast.iter_child_nodes(node):
            yield from _own_scope(child)


def _asserts(body: Sequence[ast.stmt], functions: set[str]) -> bool:
    """Whether a piece tests something: an assert of its own, or the call of a function that tests.

    A call of the program, or ``print`` of one, is none: whatever does not raise would pass it.
    """
    return any(
        isinstance(node, ast.Assert) or (isinstance(statement, ast.Expr) and _is_call_of_test(node, functions))
        for statement in body
        for node in _own_scope(statement)
    )


def _is_call_of_test(node: ast.AST, functions: set[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))
    return name in functions or any(word in name.lower() for word in ("assert", "test", "check"))


_EVALUATING = {
    "eval", "exec", "compile", "__import__", "importlib.import_module", "pickle.loads", "marshal.loads", "os.system",
    "os.popen", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
    "subprocess.Popen", "subprocess.getoutput",
}  # fmt: skip
"""What would run a program's answer in the judge, which is no sandbox."""


def _check_judgeable(everything: list[ast.stmt], reached: set[str], where: str) -> None:
    """Refuse tests that could not be judged.

    Raises:
        InvalidInputError: they run what the program returns, or look at what it prints.
    """
    for node in (node for statement in everything for node in ast.walk(statement)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _EVALUATING and _loaded(_arguments(node)) & reached:
            raise InvalidInputError(
                f"code_execution: {where} runs what the program returns, outside of the sandbox; found "
                f"{ast.unparse(node)[:80]!r}"
            )
        name = getattr(node, "attr", None) or getattr(node, "id", "")
        if name == "redirect_stdout" or (name == "stdout" and isinstance(getattr(node, "ctx", None), ast.Store)):
            raise InvalidInputError(
                f"code_execution: {where} looks at what a function prints, which is not seen here; give standard input "
                f"and output, or compare what it returns"
            )


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _expected_exceptions(everything: list[ast.stmt], names: Sequence[str]) -> tuple[str, ...]:
    """The program's names that stand where an exception's class does."""
    classes: list[ast.expr] = []
    for node in (node for statement in everything for node in ast.walk(statement)):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            classes.append(node.type)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("raises", "assertRaises"):
            classes += node.args[:1]
    return tuple(sorted(_loaded(classes) & {*names}))


_PROGRAMS_MODULES = ("solution", "main", "program", "submission", "your_module")
"""What data sets call the module under test (KodCode: ``from solution import f``)."""


def _without_import(module: ast.Module) -> ast.Module:
    kept = [node for node in module.body if not (isinstance(node, ast.ImportFrom) and node.module in _PROGRAMS_MODULES)]
    return ast.Module(kept, type_ignores=[])


def _mark_in_place(module: ast.Module, asked: frozenset[str]) -> None:
    """Mark the statements that only call the program."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _asks(node, asked):
            call = node.value
            name = ast.copy_location(ast.Name(IN_PLACE, ast.Load()), call)
            node.value = ast.copy_location(ast.Call(name, [call.func, *call.args], call.keywords), call)


def _asks(node: ast.AST, names: Iterable[str]) -> bool:
    """Whether it is a statement that calls one of the names, or a method of what one of them is."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    root: ast.AST = node.value
    while isinstance(root, (ast.Call, ast.Attribute)):
        root = root.func if isinstance(root, ast.Call) else root.value
    return isinstance(root, ast.Name) and root.id in names


def _used_helpers(source: str, using: list[ast.stmt], entry_point: str | None) -> list[ast.stmt]:
    """The prompt's functions that the tests use, with its imports; a prompt that is prose has none.

    HumanEval's tests of ``decode_cyclic`` call ``encode_cyclic``. Were that the program's own, a program could define
    both as ``return s``.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    functions.pop(entry_point or "", None)
    wanted, found = _loaded(using), set[str]()
    while new := (wanted & functions.keys()) - found:
        found |= new
        wanted |= _loaded([functions[name] for name in new])
    if not found:
        return []
    kept = (ast.Import, ast.ImportFrom, ast.Assign)
    return [node for node in tree.body if isinstance(node, kept) or getattr(node, "name", None) in found]


def _loaded(statements: Iterable[ast.AST]) -> set[str]:
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _bound(statements: Iterable[ast.AST]) -> set[str]:
    """Every name that the statements bind, in whatever scope."""
    found: set[str] = set()
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
                found.add(node.name or "")
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def _names_of_program(
    everything: list[ast.stmt],
    testing: list[list[ast.stmt]],
    entry_point: str | None,
    parameter: str | None,
    where: str,
) -> tuple[tuple[str, ...], list[ast.stmt]]:
    """The names that are the program's, and imports of those that only look so."""
    free = _loaded(everything) - _bound(everything) - _BUILTINS - {parameter}
    free.discard(entry_point or "")
    bases = {
        node.value.id
        for statement in everything
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    modules = {name for name in free & bases if name in sys.stdlib_module_names or name in _MODULES}
    imported = {name for name in free - modules if name in _IMPORTED}
    lines = [f"import {_MODULES.get(name, name)} as {name}" for name in sorted(modules)]
    lines += [f"from {_IMPORTED[name]} import {name}" for name in sorted(imported)]
    names = free - modules - imported
    if entry_point is not None:
        names.add(entry_point)
    elif not names:
        names = {_builtin_under_test(testing, where)}
    return tuple(sorted(names)), ast.parse("\n".join(lines)).body


def _builtin_under_test(testing: list[list[ast.stmt]], where: str) -> str:
    """The function under test of tests that call builtins only: MBPP has one that is called ``sum``."""
    called = [
        {
            node.func.id
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for body in testing
    ]
    always = set.intersection(*called) if called else set()
    if len(always) != 1:
        raise InvalidInputError(
            f"code_execution: {where} calls {', '.join(sorted(set().union(*called))) or 'nothing'}: give entry_point, "
            f"the function under test"
        )
    return always.pop()


def _mentions(body: Sequence[ast.stmt], names: set[str]) -> bool:
    return bool(_loaded(body) & names)


def _spread_taint(body: Sequence[ast.stmt], tainted: set[str]) -> None:
    """Add what a piece binds to the names that depend on the program, where it mentions one of them."""
    for statement in body:
        if _mentions([statement], tainted):
            tainted |= _bound([statement])
        for node in ast.walk(statement):
            if _asks(node, tainted) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                tainted |= {argument.id for argument in node.value.args if isinstance(argument, ast.Name)}


def _step(body: Sequence[ast.stmt], where: str, asked: frozenset[str], *, is_test: bool) -> Step:
    module = ast.Module(list(body), type_ignores=[])
    try:
        shown = _shown(body)
        _mark_in_place(module, asked)
        # Neither this process's -O, which would drop the asserts, nor its __future__ imports.
        code = compile(module, "<tests>", "exec", dont_inherit=True, optimize=0)
        return Step(marshal.dumps(code), shown, is_test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInputError(f"code_execution: {where} cannot be compiled: {error}") from None
