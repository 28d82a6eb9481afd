"""Changes the gate and the measures in small ways, one at a time, and counts which changes their tests notice.

    make mutation
    .venv/bin/python tools/mutation.py --only escape.py --workers 2 --json mutation.json

Every mutant is a process of its own, forked from one that has loaded pytest, numpy and the rest, so that it costs
its tests and little else; only tests that go through the changed line are run. Messages and other texts are not
changed, nor are type annotations.

Each result is kept at once in ``.venv/mutation.jsonl``: a run that was stopped goes on where it was, and a later one
leaves out the mutants whose file and whose tests' files are the same. It does not look at other files of the package:
``--fresh`` forgets all results.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import json
import linecache
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
from typing import Any

from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("perception_platform/safety", "perception_platform/risk/measures.py")
TESTS = ("test/unit/safety", "test/unit/risk/test_measures.py")
PYTEST = [
    "-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile", "brief", "--hypothesis-seed", "0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # hypothesis was loaded before
]  # fmt: skip
LOG = ROOT / ".venv" / "mutation.log"  # what the tests of the newest process said
RESULTS = ROOT / ".venv" / "mutation.jsonl"
EQUIVALENT = ROOT / "tools" / "mutation_equivalent.txt"
LONGEST_S = 120.0  # a mutant whose tests never end was noticed
TIMED_OUT = 99  # exit code of a process that was ended

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


@dataclass(frozen=True)
class Child:
    """A forked process and the time by which it has to end."""

    pid: int
    deadline_s: float

    @classmethod
    def fork(cls, work: Callable[[], int], longest_s: float) -> Child:
        """Begin; the process ends with what ``work`` returns, 98 if that raises."""
        pid = os.fork()
        if pid:
            return cls(pid, time.monotonic() + longest_s)
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

    def poll(self) -> int | None:
        """Its exit code, None while it runs, ``TIMED_OUT`` after it was ended because its time was over."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() < self.deadline_s:
            return None
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return TIMED_OUT

    def wait(self) -> int:
        """Its exit code."""
        while (code := self.poll()) is None:
            time.sleep(0.005)
        return code


def coverage_map(tests: Sequence[str], data_file: Path) -> dict[str, dict[int, list[str]]]:
    """Tests that go through each line of each file; those that fail by themselves end it.

    Found out anew only when a file of the package or of the unit tests has changed.

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

    key_file, key = data_file.with_suffix(".key"), _coverage_key()
    if not (data_file.exists() and key_file.exists() and key_file.read_text(encoding="utf-8") == key):
        key_file.unlink(missing_ok=True)
        if code := Child.fork(run, 900.0).wait():
            print(LOG.read_text(encoding="utf-8", errors="replace")[-4000:])
            raise SystemExit(f"the tests fail without any change (exit code {code})")
        key_file.write_text(key, encoding="utf-8")
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


def _coverage_key() -> str:
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "perception_platform").rglob("*.py"), *(ROOT / "test").rglob("*.py")]):
        digest.update(str(path.relative_to(ROOT)).encode() + _digest(path))
    return digest.hexdigest()


def begin(mutant: Mutant, tests: Sequence[str]) -> Child:
    """Run these tests on the mutant: an exit code of nought says that none of them noticed it."""

    def run() -> int:
        import pytest

        sys.meta_path.insert(0, _Changed(mutant))
        return int(pytest.main([*PYTEST, *tests]))

    return Child.fork(run, LONGEST_S)


def check_rig(path: Path) -> None:
    """See that a module which is not changed at all is not noticed: otherwise every figure would be worth nothing.

    Raises:
        SystemExit: if it is.
    """
    text = path.read_text(encoding="utf-8")
    if begin(Mutant(path, 1, "", "", compile(text, str(path), "exec")), TESTS).wait():
        print(LOG.read_text(encoding="utf-8", errors="replace")[-4000:])
        raise SystemExit("the tests fail on a mutant that is none")


def preload() -> None:
    """Load what all mutants share: everything but the code that is changed and what imports it."""
    for name in ("pytest", "hypothesis", "numba", "scipy.spatial", "perception_platform.robot.load"):
        importlib.import_module(name)


def key_of(mutant: Mutant, number: int, tests: Sequence[str]) -> str:
    """Changes when the mutant, its file, one of its tests' files or what tests share changes."""
    shared = [p for p in (ROOT / "test" / "unit").rglob("*.py") if not p.name.startswith("test_")]
    files = {ROOT / test.partition("::")[0] for test in tests}
    tested = [p for f in files for p in (f.rglob("test_*.py") if f.is_dir() else [f])]
    digest = hashlib.sha256(f"{number} {mutant}".encode())
    for path in sorted({mutant.path, *shared, *tested}):
        digest.update(_digest(path))
    return digest.hexdigest()


@functools.cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def known_results() -> dict[str, int]:
    """Exit code by key, of this and earlier runs; a line that was cut off is left out."""
    found: dict[str, int] = {}
    for line in RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []:
        with contextlib.suppress(json.JSONDecodeError, KeyError):
            told = json.loads(line)
            found[told["key"]] = told["code"]
    return found


def run_all(todo: dict[str, tuple[Mutant, Sequence[str]]], workers: int) -> dict[str, int]:
    """Exit code by key of each of these mutants, so many at a time; every one is written down as it comes."""
    waiting, running, found = list(todo)[::-1], dict[str, Child](), dict[str, int]()
    # No thread draws the bar: a process with threads is not safely forked.
    with RESULTS.open("a", encoding="utf-8") as file, Progress(auto_refresh=False) as bar:
        task = bar.add_task("mutants", total=len(todo))
        while waiting or running:
            while waiting and len(running) < workers:
                key = waiting.pop()
                running[key] = begin(*todo[key])
            ended = {k: code for k, child in running.items() if (code := child.poll()) is not None}
            for key, code in ended.items():
                del running[key]
                found[key] = code
                mutant = str(todo[key][0])
                file.write(json.dumps({"key": key, "mutant": mutant, "code": code}) + "\n")
                file.flush()
                if code in (0, TIMED_OUT):
                    what = "not noticed" if code == 0 else "timed out"
                    bar.console.print(f"{what}  {mutant}", markup=False, highlight=False, soft_wrap=True)
                bar.update(task, advance=1, refresh=True)
            if not ended:
                time.sleep(0.005)
    return found


def equivalents() -> set[str]:
    """Changes that make no difference at all, as ``in_its_line`` tells them; ``#`` begins the reason before each."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line for line in lines if line and not line.startswith("#")}


def in_its_line(mutant: Mutant) -> str:
    """The mutant told by the text of its line in place of its number: other lines may come and go."""
    text = linecache.getline(str(mutant.path), mutant.line).strip()
    return f"{mutant.path.relative_to(ROOT)}: {text}: {mutant.was}  →  {mutant.now}"


def report(codes: list[tuple[Mutant, int]]) -> dict[str, Any]:
    """Print scores by file and in all, and give them back."""
    equivalent = equivalents()
    left = [m for m, code in codes if code == 0]
    same = [m for m in left if in_its_line(m) in equivalent]
    for path in dict.fromkeys(m.path for m, _ in codes):
        of_file = [code for m, code in codes if m.path == path]
        noticed = sum(code != 0 for code in of_file)
        share = 100 * noticed / len(of_file)
        print(f"{share:6.1f} %  {noticed:4} of {len(of_file):4}  {path.relative_to(ROOT)}")
    score = 100.0 * (1 - len(left) / max(len(codes), 1))
    without = 100.0 * (1 - (len(left) - len(same)) / max(len(codes) - len(same), 1))
    timed_out = [str(m) for m, code in codes if code == TIMED_OUT]
    print(f"{score:.1f} % of {len(codes)} mutants noticed, {len(timed_out)} of them by running out of time")
    print(f"{without:.1f} % without the {len(same)} that are equivalent")
    return {
        "mutants": len(codes),
        "score_percent": score,
        "score_without_equivalent_percent": without,
        "not_noticed": [str(m) for m in left],
        "equivalent": [str(m) for m in same],
        "timed_out": timed_out,
    }


def main() -> None:
    """Mutate, count, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", nargs="+", default=[""], help="only files whose path contains one of these")
    parser.add_argument("--every", type=int, default=1, help="only each n-th mutant: a sample")
    parser.add_argument("--least", type=float, default=0.0, help="fail below this score, percent")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    options = parser.parse_args()
    if options.workers < 1 or options.every < 1:
        parser.error("--workers and --every are at least 1")
    begun_s = time.monotonic()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = False  # tests are compiled once and not once a mutant
    files = [
        f for s in SOURCES for f in ([ROOT / s] if s.endswith(".py") else sorted((ROOT / s).glob("*.py")))
    ]
    asked = [f for f in files if any(part in str(f) for part in options.only)]
    wanted = [(n, m) for f in asked for n, m in enumerate(mutants(f))][:: options.every]
    print(f"{len(wanted)} mutants; which tests go through which line …", flush=True)
    covered = coverage_map(TESTS, ROOT / ".venv" / "mutation.coverage")
    preload()
    check_rig(files[-1])
    if options.fresh:
        RESULTS.unlink(missing_ok=True)
    tests = [covered.get(str(m.path), {}).get(m.line) or list(TESTS) for _, m in wanted]
    keys = [key_of(m, n, by) for (n, m), by in zip(wanted, tests, strict=True)]
    codes = known_results()
    todo: dict[str, tuple[Mutant, Sequence[str]]] = {
        k: (m, by) for k, (_, m), by in zip(keys, wanted, tests, strict=True) if k not in codes
    }
    codes |= run_all(todo, options.workers)
    told = report([(m, codes[k]) for k, (_, m) in zip(keys, wanted, strict=True)])
    took_s = told["seconds"] = time.monotonic() - begun_s
    print(f"{took_s:.0f} s with {options.workers} workers; {len(wanted) - len(todo)} results were known")
    if options.json:
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if told["score_percent"] < options.least:
        raise SystemExit(f"below {options.least:g} %")


if __name__ == "__main__":
    main()
