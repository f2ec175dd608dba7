# `make bench`: the figures of bench/RESULTS.md, beside PyTorch's where it is installed (TORCH_PYTHON=its interpreter).
# DEVICE=cuda: the rows of a GPU. BENCH_ARGS: workloads, --quick, --record (append to bench/RESULTS.md).
DEVICE ?= cpu

bench: $(BUILD)/taper $(PY_EXT) $(PY_HOME)/.linked
	$(PYTHON) bench/run.py --build $(BUILD) --device $(DEVICE) $(BENCH_ARGS)

.PHONY: bench
