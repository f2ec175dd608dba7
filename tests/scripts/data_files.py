"""Small data sets in the formats that scripts read: MNIST's idx files, a text of sentences."""
import os
import random
import struct


def mnist(folder, train=1280, test=320):
    """MNIST/raw under folder: ten patterns of blocks with noise, so that a net can learn them in one pass."""
    r = random.Random(7)
    raw = os.path.join(folder, "MNIST", "raw")
    os.makedirs(raw)
    patterns = [[200 if r.random() < 0.4 else 0 for _ in range(49)] for _ in range(10)]
    for name, count in (("train", train), ("t10k", test)):
        labels = bytes(r.randrange(10) for _ in range(count))
        images = bytearray()
        for label in labels:
            pattern = patterns[label]
            for y in range(28):
                row = pattern[y // 4 * 7 : y // 4 * 7 + 7]
                images += bytes(row[x // 4] + r.randrange(50) for x in range(28))
        with open(os.path.join(raw, name + "-images-idx3-ubyte"), "wb") as f:
            f.write(struct.pack(">4I", 2051, count, 28, 28) + images)
        with open(os.path.join(raw, name + "-labels-idx1-ubyte"), "wb") as f:
            f.write(struct.pack(">2I", 2049, count) + labels)


def sentences(folder, lines=1200):
    """train.txt, valid.txt, test.txt: sentences of a tiny grammar."""
    r = random.Random(3)
    nouns, verbs = "river stone child lamp harbour engine window garden letter winter".split(), "sees finds keeps loses paints follows".split()
    os.makedirs(folder)
    for name, count in (("train", lines), ("valid", lines // 6), ("test", lines // 6)):
        with open(os.path.join(folder, name + ".txt"), "w", encoding="utf8") as f:
            for _ in range(count):
                a, v, b = r.choice(nouns), r.choice(verbs), r.choice(nouns)
                f.write("the %s %s the %s when the %s %s it .\n" % (a, v, b, r.choice(nouns), r.choice(verbs)))
