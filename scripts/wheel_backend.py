"""pip's door (PEP 517): `make pip-build`, then a zip with the metadata that pip expects. Needs nothing but Python, make and a compiler."""
import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _version():
    with open(os.path.join(ROOT, "VERSION")) as f:
        return f.read().strip()


def _tag():
    python = "cp%d%d" % sys.version_info[:2]
    return "%s-%s-%s" % (python, python, sysconfig.get_platform().replace("-", "_").replace(".", "_"))


def _metadata():
    readme = os.path.join(ROOT, "README.md")
    text = open(readme, encoding="utf-8").read() if os.path.exists(readme) else ""
    return ("Metadata-Version: 2.1\nName: taper\nVersion: %s\nSummary: PyTorch's Python surface over one small C library\nLicense: MIT\n"
            "Requires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n%s" % (_version(), text))


def _write(directory, fill, editable=False):
    """The wheel: files that fill(put) gives, dist-info, RECORD."""
    name = "taper-%s-%s.whl" % (_version(), _tag())
    info = "taper-%s.dist-info" % _version()
    record = []
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as z:
        def put(path, data, mode=0o644):
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append("%s,sha256=%s,%d" % (path, digest, len(data)))

        fill(put)
        put(info + "/METADATA", _metadata().encode())
        put(info + "/WHEEL", ("Wheel-Version: 1.0\nGenerator: taper\nRoot-Is-Purelib: false\nTag: %s\n" % _tag()).encode())
        put(info + "/LICENSE", open(os.path.join(ROOT, "LICENSE"), "rb").read())
        z.writestr(info + "/RECORD", "\n".join(record + [info + "/RECORD,,", ""]))
    return name


def _make(*arguments):
    jobs = [] if "MAKEFLAGS" in os.environ else ["-j%d" % len(os.sched_getaffinity(0))]
    subprocess.check_call(["make", "-C", ROOT, *jobs, "PYTHON=" + sys.executable, *arguments], stdout=sys.stderr)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with tempfile.TemporaryDirectory() as place:
        _make("pip-build", "PY_DEST=" + place)

        def fill(put):
            for folder, _, names in sorted(os.walk(os.path.join(place, "taper"))):
                for n in sorted(names):
                    path = os.path.join(folder, n)
                    with open(path, "rb") as f:
                        put(os.path.relpath(path, place), f.read(), 0o755 if n.endswith(".so") else 0o644)

        return _write(wheel_directory, fill)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """pip install -e: a path file to build/python, where the package is linked."""
    _make("python")
    return _write(wheel_directory, lambda put: put("taper.pth", (os.path.join(ROOT, "build", "python") + "\n").encode()))


def build_sdist(sdist_directory, config_settings=None):
    import tarfile

    stem = "taper-" + _version()
    files = subprocess.check_output(["git", "-C", ROOT, "ls-files", "-z"]).decode().split("\0")[:-1]
    with tarfile.open(os.path.join(sdist_directory, stem + ".tar.gz"), "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for path in files:
            tar.add(os.path.join(ROOT, path), stem + "/" + path)
        import io

        data = _metadata().encode()
        entry = tarfile.TarInfo(stem + "/PKG-INFO")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return stem + ".tar.gz"
