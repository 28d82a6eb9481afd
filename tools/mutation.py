"""Changes the gate and the measures in small ways, one at a time, and counts which changes their tests notice.

    make mutation
    .venv/bin/python tools/mutation.py --only escape.py --json mutation.json

Every mutant is a process of its own, forked from one that has loaded pytest, numpy and the rest, so that it costs
its tests and little else; only tests that go through the changed line are run. Messages and other texts are not
changed, nor are type annotations.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("perception_platform/safety", "perception_platform/risk/measures.py")
TESTS = ("test/unit/safety", "test/unit/risk/test_measures.py")
PYTEST = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile", "brief", "--hypothesis-seed", "0"]
LOG = ROOT / ".venv" / "mutation.log"  # what the tests of the newest mutant said
LONGEST_S = 120.0  # a mutant whose tests never end was noticed

_COMPARE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.MatMult: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_NAMES = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "all": "any", "any": "all",
    "cos": "sin", "sin": "cos", "argmin": "argmax", "floor": "ceil", "ceil": "floor",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the file, the line, what it was and what it is, and the code of the changed module."""

    path: Path
    line: int
    was: str
    now: str
    code: CodeType

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.was}  →  {self.now}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of a file, in its order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for i, node in enumerate(_changeable(tree)):
        for change in _changes(node):
            changed = copy.deepcopy(tree)
            target = list(_changeable(changed))[i]
            was = ast.unparse(target)
            change(target)
            ast.fix_missing_locations(changed)
            yield Mutant(path, target.lineno, was, ast.unparse(target), compile(changed, str(path), "exec"))


def _changeable(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Expressions and statements in order, without annotations and texts."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr) or not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child
            yield from _changeable(child)


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    """Functions that change a node of this kind in place."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARE:
            yield lambda n: setattr(n, "ops", [_COMPARE[type(op)]()])
            if isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
                yield lambda n: setattr(
                    n, "ops", [ast.GtE() if isinstance(op, (ast.Lt, ast.LtE)) else ast.LtE()]
                )
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield lambda n: setattr(n, "op", _ARITHMETIC[type(op)]())
        case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield lambda n: setattr(n, "op", _ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield lambda n: setattr(n, "op", ast.And() if isinstance(op, ast.Or) else ast.Or())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield lambda n: setattr(n, "op", ast.UAdd() if isinstance(node.op, ast.USub) else _same(n))
        case ast.Constant(value=bool(value)):
            yield lambda n: setattr(n, "value", not value)
        case ast.Constant(value=int() | float() as number):
            yield lambda n: setattr(n, "value", number + 1)
        case ast.Name(id=name) if name in _NAMES:
            yield lambda n: setattr(n, "id", _NAMES[name])
        case ast.Attribute(attr=name) if name in _NAMES:
            yield lambda n: setattr(n, "attr", _NAMES[name])
        case ast.IfExp():
            yield lambda n: n.__dict__.update(body=n.__dict__["orelse"], orelse=n.__dict__["body"])
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield lambda n: setattr(n, "value", ast.Constant(None))


def _same(node: ast.AST) -> ast.unaryop:
    """``not x`` and ``~x`` become ``x``: twice the same is the nearest that keeps one node."""
    node.__dict__["operand"] = ast.UnaryOp(op=node.__dict__["op"], operand=node.__dict__["operand"])
    op: ast.unaryop = node.__dict__["op"]
    return op


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        relative = mutant.path.relative_to(ROOT).with_suffix("")
        self._name = ".".join(p for p in relative.parts if p != "__init__")

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._mutant.path))

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code, module.__dict__)  # noqa: S102, our own code


def in_child(work: Callable[[], int], longest_s: float) -> int:
    """What a forked process returns; 99 if it took too long or died."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 98
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline_s = time.monotonic() + longest_s
    while time.monotonic() < deadline_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 99
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 99


def coverage_map(tests: Sequence[str], data_file: Path) -> dict[str, dict[int, list[str]]]:
    """Tests that go through each line of each file; those that fail by themselves end it.

    Raises:
        SystemExit: if the tests fail without any change.
    """
    options = [
        "--cov=perception_platform.safety", "--cov=perception_platform.risk", "--cov-context=test", "--cov-report=",
    ]  # fmt: skip
    os.environ["COVERAGE_FILE"] = str(data_file)

    def run() -> int:
        import pytest

        return int(pytest.main([*PYTEST, *options, *tests]))

    if code := in_child(run, 900.0):
        print(LOG.read_text(encoding="utf-8", errors="replace")[-4000:])
        raise SystemExit(f"the tests fail without any change (exit code {code})")
    from coverage import CoverageData

    data = CoverageData(str(data_file))
    data.read()
    found: dict[str, dict[int, list[str]]] = {}
    for name in data.measured_files():
        lines = data.contexts_by_lineno(name)
        # A line that is run on import, outside any test, matters to all of them.
        found[name] = {
            n: sorted({c.split("|")[0] for c in by if c}) for n, by in lines.items() if "" not in by
        }
    return found


def is_noticed(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Whether one of these tests fails on the mutant."""

    def run() -> int:
        import pytest

        sys.meta_path.insert(0, _Changed(mutant))
        return int(pytest.main([*PYTEST, *tests]))

    return in_child(run, LONGEST_S) != 0


def check_rig(path: Path) -> None:
    """See that a module which is not changed at all is not noticed: otherwise every figure would be worth nothing.

    Raises:
        SystemExit: if it is.
    """
    text = path.read_text(encoding="utf-8")
    if is_noticed(Mutant(path, 1, "", "", compile(text, str(path), "exec")), TESTS):
        print(LOG.read_text(encoding="utf-8", errors="replace")[-4000:])
        raise SystemExit("the tests fail on a mutant that is none")


def preload() -> None:
    """Load what all mutants share: everything but the code that is changed and what imports it."""
    for name in (
        "pytest",
        "scipy.spatial",
        "perception_platform.robot.load",
    ):  # not hypothesis: pytest rewrites it
        importlib.import_module(name)


def main() -> None:
    """Mutate, count, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", help="only files whose path contains this")
    parser.add_argument("--every", type=int, default=1, help="only each n-th mutant: a sample")
    parser.add_argument("--least", type=float, default=0.0, help="fail below this score, percent")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    files = [
        f for s in SOURCES for f in ([ROOT / s] if s.endswith(".py") else sorted((ROOT / s).glob("*.py")))
    ]
    wanted = [m for f in files for m in mutants(f) if not options.only or options.only in str(m.path)]
    wanted = wanted[:: options.every]
    print(f"{len(wanted)} mutants; which tests go through which line …", flush=True)
    covered = coverage_map(TESTS, ROOT / ".venv" / "mutation.coverage")
    preload()
    check_rig(files[-1])
    survivors: list[Mutant] = []
    for n, mutant in enumerate(wanted, start=1):
        tests = covered.get(str(mutant.path), {}).get(mutant.line) or list(TESTS)
        if not is_noticed(mutant, tests):
            survivors.append(mutant)
            print(f"not noticed  {mutant}", flush=True)
        if n % 50 == 0:
            print(f"{n} of {len(wanted)}, {len(survivors)} not noticed", flush=True)
    score = 100.0 * (1 - len(survivors) / max(len(wanted), 1))
    print(f"{score:.1f} % of {len(wanted)} mutants noticed")
    if options.json:
        told = {"mutants": len(wanted), "score_percent": score, "not_noticed": [str(m) for m in survivors]}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if score < options.least:
        raise SystemExit(f"below {options.least:g} %")


if __name__ == "__main__":
    main()
