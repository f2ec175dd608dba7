"""SummaryWriter: the records of the event file, read back by an independent reader (checksums, protocol buffers, PNG)."""
import os
import re
import struct
import sys
import tempfile
import unittest
import warnings
import zlib

from which import REAL, main, torch

if REAL:
    print("ok test_tensorboard # skip PyTorch needs the tensorboard package")
    sys.exit(0)
import importlib

SummaryWriter = importlib.import_module(torch.utils.__name__ + ".tensorboard").SummaryWriter


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def mask(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data):
    """Protocol buffer -> {number: [values]}; varints as int, others as bytes."""
    out, i = {}, 0

    def varint():
        nonlocal i
        value = shift = 0
        while True:
            b = data[i]
            i += 1
            value |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                return value

    while i < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            v = varint()
        else:
            n = {1: 8, 5: 4}.get(kind) or varint()
            v, i = bytes(data[i : i + n]), i + n
        out.setdefault(key >> 3, []).append(v)
    return out


def events(path):
    with open(path, "rb") as f:
        data = f.read()
    i, out = 0, []
    while i < len(data):
        head = data[i : i + 8]
        (n,) = struct.unpack("<Q", head)
        assert struct.unpack("<I", data[i + 8 : i + 12])[0] == mask(crc32c(head)), "checksum of a length"
        body = data[i + 12 : i + 12 + n]
        assert struct.unpack("<I", data[i + 12 + n : i + 16 + n])[0] == mask(crc32c(body)), "checksum of a record"
        out.append(fields(body))
        i += 16 + n
    return out


def values(folder):
    """tag -> (step, fields of the Value)."""
    out = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            continue
        assert re.match(r"events\.out\.tfevents\.\d+\.", name), name
        all_events = events(path)
        assert all_events[0][3] == [b"brain.Event:2"]
        for e in all_events[1:]:
            for summary in e.get(5, []):
                v = fields(fields(summary)[1][0])
                out[v[1][0].decode()] = (e.get(2, [0])[0], v)
    return out


class Writer(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()

    def test_scalars(self):
        with SummaryWriter(self.folder) as w:
            w.add_scalar("loss", torch.tensor(1.5), 3, walltime=1000.25)
            w.add_scalars("pair", {"a": 1, "b": 2.0}, 7)
        step, v = values(self.folder)["loss"]
        self.assertEqual((step, struct.unpack("<f", v[2][0])[0]), (3, 1.5))
        name = next(n for n in os.listdir(self.folder) if n.startswith("events"))
        self.assertEqual(struct.unpack("<d", events(os.path.join(self.folder, name))[1][1][0])[0], 1000.25)
        for tag, number in (("a", 1.0), ("b", 2.0)):
            step, v = values(os.path.join(self.folder, "pair_" + tag))["pair"]
            self.assertEqual((step, struct.unpack("<f", v[2][0])[0]), (7, number))

    def test_histogram(self):
        with SummaryWriter(self.folder) as w:
            w.add_histogram("h", torch.tensor([-1.0, 0.0, 0.5, 2.0]), 1)
        h = fields(values(self.folder)["h"][1][5][0])
        low, high, n, total, squares = (struct.unpack("<d", h[k][0])[0] for k in range(1, 6))
        self.assertEqual((low, high, n, total, squares), (-1.0, 2.0, 4.0, 1.5, 5.25))
        counts = struct.unpack("<%dd" % (len(h[7][0]) // 8), h[7][0])
        limits = struct.unpack("<%dd" % (len(h[6][0]) // 8), h[6][0])
        self.assertEqual((len(counts), sum(counts)), (len(limits), 4.0))
        self.assertEqual(sorted(limits), list(limits))

    def test_image(self):
        with SummaryWriter(self.folder) as w:
            w.add_image("i", torch.linspace(0, 1, 3 * 4 * 5).reshape(3, 4, 5), 2)
            w.add_images("n", torch.zeros(5, 1, 4, 4))
        image = fields(values(self.folder)["i"][1][4][0])
        self.assertEqual((image[1], image[2], image[3]), ([4], [5], [3]))
        png = image[4][0]
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        i, data = 8, b""
        while i < len(png):
            n, kind = struct.unpack(">I4s", png[i : i + 8])
            self.assertEqual(struct.unpack(">I", png[i + 8 + n : i + 12 + n])[0], zlib.crc32(png[i + 4 : i + 8 + n]))
            data += png[i + 8 : i + 8 + n] if kind == b"IDAT" else b""
            i += 12 + n
        raw = zlib.decompress(data)
        self.assertEqual(len(raw), 4 * (1 + 15))
        grid = fields(values(self.folder)["n"][1][4][0])
        self.assertEqual((grid[1], grid[2]), ([8], [12]))

    def test_text_and_hparams(self):
        with SummaryWriter(self.folder) as w:
            w.add_text("note", "hello", 4)
            w.add_hparams({"lr": 0.1, "kind": "sgd", "flag": True}, {"accuracy": 0.5}, run_name="run")
        step, v = values(self.folder)["note/text_summary"]
        self.assertEqual((step, fields(v[8][0])[8]), (4, [b"hello"]))
        self.assertEqual(fields(fields(v[9][0])[1][0])[1], [b"text"])
        got = values(os.path.join(self.folder, "run"))
        self.assertEqual(struct.unpack("<f", got["accuracy"][1][2][0])[0], 0.5)
        self.assertIn("_hparams_/session_start_info", got)
        self.assertIn("_hparams_/experiment", got)

    def test_default_folder(self):
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            w = SummaryWriter(comment="X")
            w.add_scalar("Loss", 1.0, 1)
            w.close()
        finally:
            os.chdir(before)
        (name,) = os.listdir(os.path.join(self.folder, "runs"))
        self.assertRegex(name, r"^[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_.*X$")

    def test_graph_warns(self):
        with SummaryWriter(self.folder) as w:
            with self.assertWarnsRegex(UserWarning, "nothing was written"):
                w.add_graph(torch.nn.Linear(1, 1))


if __name__ == "__main__":
    main()
