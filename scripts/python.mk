# `make python`: the extension and the package, ready to import from $(BUILD)/python (PYTHONPATH=$(BUILD)/python).
# PYTHON= chooses the interpreter, 3.9 or newer; builds for several interpreters live side by side.
PY_SRC     := $(wildcard python/ext/*.c)
PY_HEAD    := $(wildcard python/ext/*.h)
PY_PACKAGE := $(sort $(notdir $(wildcard python/taper/*)))
# One question to the interpreter, and only when a Python target is asked for.
PY_ASK      = $(shell $(PYTHON) -c 'import sys, sysconfig as c; v = c.get_config_vars(); print("cpython-%d%d" % sys.version_info[:2], c.get_paths()["include"], v["EXT_SUFFIX"])')
ifneq ($(filter python bench test test-python test-scripts demo all pip-build $(BUILD)/python/%,$(or $(MAKECMDGOALS),all)),)
PY_FACTS   := $(PY_ASK)
endif
PY_TAG     := $(word 1,$(PY_FACTS))
PY_INCLUDE := $(word 2,$(PY_FACTS))
PY_SUFFIX  := $(word 3,$(PY_FACTS))
PY_HOME    := $(BUILD)/python/taper
PY_OBJ     := $(PY_SRC:%.c=$(BUILD)/obj-$(PY_TAG)/%.o)
PY_EXT     := $(PY_HOME)/_C$(PY_SUFFIX)
# Python's own headers are not pedantic C11: they are system headers here.
PY_CFLAGS  := $(ALL_CFLAGS) -isystem $(PY_INCLUDE)

python: $(PY_EXT) $(PY_HOME)/.linked

$(BUILD)/obj-$(PY_TAG)/%.o: %.c VERSION
	@mkdir -p $(@D)
	$(Q)$(CC) $(PY_CFLAGS) -MMD -MP -c -o $@ $<

# The library is inside the extension: one file, nothing to find at run time. Only PyInit__C is visible.
$(PY_EXT): $(PY_OBJ) $(BUILD)/libtaper.a
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -Wl,--exclude-libs,ALL -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $(PY_OBJ) $(BUILD)/libtaper.a $(LIBS)

# Python files are linked, not copied: an edit is seen at once. The stamp depends on their names only.
$(PY_HOME)/.linked: FORCE_PY_LINK
	@mkdir -p $(PY_HOME)
	@for f in $(filter-out __pycache__,$(PY_PACKAGE)); do ln -sfn $(abspath python/taper)/$$f $(PY_HOME)/$$f; done
	@for f in $(PY_HOME)/*; do [ -e "$$f" ] || rm -f "$$f"; done
	@touch $@

# A copy without links, stripped, for wheels: make pip-build PY_DEST=folder
pip-build: $(PY_EXT)
	install -d $(PY_DEST)/taper
	cp -RL python/taper/. $(PY_DEST)/taper
	find $(PY_DEST)/taper -name __pycache__ -prune -exec rm -rf {} +
	install -m 755 $(PY_EXT) $(PY_DEST)/taper/
	strip --strip-unneeded $(PY_DEST)/taper/_C$(PY_SUFFIX)

test-python: python
	@mkdir -p $(BUILD)/tests/python; bad=0; for t in tests/python/test_*.py tests/scripts/test_*.py; do \
	log=$(BUILD)/tests/python/$$(basename $$t .py).log; \
	if PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) $$t > $$log 2>&1; then printf '%-18s %5d ok\n' $$(basename $$t .py) $$(grep -c '^ok' $$log); \
	else bad=1; echo "== $$t failed:"; grep -v '^ok' $$log | tail -n 40; fi; done; exit $$bad

# Comparisons with a real PyTorch, where TORCH_PYTHON (an interpreter, 3.9 or newer) has one.
TORCH_PYTHON ?= $(PYTHON)
test-torch:
	@if $(TORCH_PYTHON) -c 'import torch' 2>/dev/null; then $(MAKE) python $(BUILD)/libtaper.so PYTHON=$(TORCH_PYTHON) && \
	$(MAKE) run-test-torch PYTHON=$(TORCH_PYTHON); else echo "skipped: comparisons with PyTorch (TORCH_PYTHON= names an interpreter that has it)"; fi

run-test-torch:
	@mkdir -p $(BUILD)/tests/torch; bad=0; for t in tests/torch/test_*.py; do log=$(BUILD)/tests/torch/$$(basename $$t .py).log; \
	if PYTHONPATH=$(abspath $(BUILD))/python TAPER_LIB=$(abspath $(BUILD))/libtaper.so $(PYTHON) $$t > $$log 2>&1; then \
	printf 'torch/%-18s %5d ok\n' $$(basename $$t .py) $$(grep -c '^ok' $$log); \
	else bad=1; echo "== $$t failed:"; grep -v '^ok' $$log | tail -n 40; fi; done; exit $$bad

-include $(PY_OBJ:.o=.d)
FORCE_PY_LINK:
.PHONY: python pip-build test-python test-torch run-test-torch FORCE_PY_LINK
