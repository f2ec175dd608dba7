# `make test-gpu`: what CI cannot run. Needs an NVIDIA GPU; says "skipped" without one.
test-gpu:
	BUILD=$(BUILD) PYTHON=$(PYTHON) bash scripts/test_gpu.sh
.PHONY: test-gpu
