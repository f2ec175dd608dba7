"""python -m taper script.py args...   runs a PyTorch script on taper. Also: -m module args..., -c code args..."""
import os
import sys

USAGE = """usage: python -m taper [script.py | -m module | -c code] [arguments...]

Runs the program with `import torch` meaning taper, in it and in the processes it starts."""


def main(argv=None):
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if argv and argv[0] in ("-V", "--version"):
        import taper

        print("taper", taper.__version__.partition("taper")[2] or taper.__version__)
        return 0
    from taper import _alias

    _alias.install()
    if not argv:
        import code

        sys.path[0] = ""
        namespace = {"__name__": "__main__"}
        code.interact(banner="Python %s, torch is taper" % sys.version.split()[0], local=namespace, exitmsg="")
        return 0
    if argv[0] == "-c":
        if len(argv) < 2:
            print(USAGE, file=sys.stderr)
            return 2
        sys.argv[:] = ["-c"] + argv[2:]
        sys.path[0] = ""
        module = _fresh_main()
        exec(compile(argv[1], "<string>", "exec"), module.__dict__)
        return 0
    if argv[0] == "-m":
        import runpy

        if len(argv) < 2:
            print(USAGE, file=sys.stderr)
            return 2
        sys.argv[:] = argv[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        return 0
    _run_script(argv)
    return 0


def _fresh_main():
    """A new, empty __main__ in place of this module; the old one stays alive so that its globals do."""
    import builtins
    import types

    module = types.ModuleType("__main__")
    module.__builtins__ = builtins
    module.__taper_main__ = sys.modules.get("__main__")
    sys.modules["__main__"] = module
    return module


def _run_script(argv):
    path = argv[0]
    sys.argv[:] = argv
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    try:
        with open(path, "rb") as f:
            source = f.read()
    except OSError as error:
        print("%s: can't open file %r: [Errno %d] %s" % (sys.executable, os.path.abspath(path), error.errno, error.strerror),
              file=sys.stderr)
        sys.exit(2)
    module = _fresh_main()
    # As python does: multiprocessing's spawn reads __file__ and finds no __spec__, so the child runs the file again.
    module.__file__ = os.path.abspath(path)
    module.__cached__ = None
    module.__spec__ = None
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        # The traceback starts at the script, as it would under python.
        error = error.with_traceback(error.__traceback__.tb_next)
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
