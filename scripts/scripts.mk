# `make test-scripts`: unmodified PyTorch programs under taper. EXAMPLES= a checkout (or bare repository) of pytorch/examples,
# SNIPPETS= a folder of snippets, TORCH= an interpreter with real PyTorch to compare with; what is missing is skipped.
test-scripts: python
	TAPER_EXAMPLES=$(EXAMPLES) TAPER_SNIPPETS=$(SNIPPETS) TAPER_TORCH=$(TORCH) PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) tests/scripts/run_scripts.py $(ONLY)

.PHONY: test-scripts
