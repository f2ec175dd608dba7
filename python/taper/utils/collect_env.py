"""python -m torch.utils.collect_env."""
import platform
import sys


def get_pretty_env_info():
    from .. import __version__, cuda

    lines = ["PyTorch version: %s" % __version__, "OS: %s" % platform.platform(), "Python version: %s" % sys.version.replace("\n", " "),
             "Is CUDA available: %s" % cuda.is_available()]
    lines += ["GPU %d: %s" % (i, cuda.get_device_name(i)) for i in range(cuda.device_count())]
    return "\n".join(lines)


def main():
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
