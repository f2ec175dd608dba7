"""What help() says of operators comes from their rows; the committed stubs are current; paths named in the documents exist."""
import ast
import os
import re
import subprocess
import sys
import unittest

from which import REAL, main, torch

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DOCUMENTS = ["README.md", "README.zh.md", "python/README.md", "docs/architecture.md", "docs/operators.md", "docs/python-extension.md"]
PATH = re.compile(r"`([A-Za-z0-9_.*<>/-]+(?:/|\.(?:c|h|cu|cuh|py|def|sh|mk|md|tsv|json|txt)))`")
# Not paths of this tree: other projects' programs, files that a user makes, and the modules of a Python package.
FOREIGN = re.compile(r"^(train|sample|prepare|script|bench|file|data|model|x|setup|run|FILE)\.(py|pt|txt|c|json)$|^(torch|build|/)")


@unittest.skipIf(REAL, "taper's documents")
class Docs(unittest.TestCase):
    def test_functions_and_methods(self):
        for f in (torch.add, torch.Tensor.add):
            self.assertIn("add(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", f.__doc__)
            self.assertIn("self + alpha * other", f.__doc__)
        self.assertIn("In place", torch.Tensor.add_.__doc__)
        self.assertNotIn("In place", torch.Tensor.add.__doc__)
        for form in ("max(Tensor self) -> Tensor", "max.dim(Tensor self, int dim", "max.other(Tensor self, Tensor other)"):
            self.assertIn(form, torch.max.__doc__)

    def test_help(self):
        import pydoc

        text = pydoc.plain(pydoc.render_doc(torch.add))
        self.assertIn("self + alpha * other", text)
        self.assertIn("softmax(Tensor self, int dim", pydoc.plain(pydoc.render_doc(torch.Tensor.softmax)))

    def test_every_operator_says_something(self):
        silent = []
        for name, f in vars(torch._C.ops).items():
            if type(f) is type(torch.add) and hasattr(f, "__doc__") and isinstance(f.__doc__, str) and "->" in f.__doc__:
                if not re.search(r"\n\n\S.", f.__doc__):
                    silent.append(name)
        self.assertEqual(silent, [])

    def test_stubs_are_current(self):
        p = subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "python_stubs.py"), "--check"], capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout + p.stderr), (0, ""))

    def test_stubs_name_what_is_there(self):
        with open(os.path.join(ROOT, "python", "taper", "__init__.pyi")) as f:
            tree = ast.parse(f.read())
        tensor = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor")
        methods = {n.name for n in tensor.body if isinstance(n, ast.FunctionDef)}
        functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        self.assertGreater(len(functions), 350)
        self.assertEqual([n for n in methods if not hasattr(torch.Tensor, n) and n != "__getattr__"], [])
        self.assertEqual([n for n in functions if not hasattr(torch, n)], [])

    def test_paths_in_documents(self):
        missing, seen = [], 0
        for document in DOCUMENTS:
            with open(os.path.join(ROOT, document), encoding="utf-8") as f:
                text = f.read()
            for path in PATH.findall(text):
                if FOREIGN.match(path) or "<" in path:
                    continue
                seen += 1
                import glob

                if not any(glob.glob(os.path.join(ROOT, base, path)) for base in ("", os.path.dirname(document), "python", "python/taper", "src", "include")):
                    missing.append("%s: %s" % (document, path))
        self.assertEqual(missing, [])
        self.assertGreater(seen, 30)

    def test_operator_guide_covers_the_descriptor(self):
        with open(os.path.join(ROOT, "include", "taper", "op.h")) as f:
            body = re.search(r"typedef struct taper_op \{(.*?)\n\} taper_op;|struct taper_op \{(.*?)\n\};", f.read(), re.S)
        fields = set(re.findall(r"[ *(](\w+)(?:\[\w+\])?(?:\)\([^;]*\))?;", body.group(1) or body.group(2)))
        self.assertIn("infer", fields)
        self.assertIn("saves_when", fields)
        with open(os.path.join(ROOT, "docs", "operators.md")) as f:
            guide = f.read()
        self.assertEqual(sorted(name for name in fields if not re.search(r"\b%s\b" % name, guide)), [])


if __name__ == "__main__":
    main()
