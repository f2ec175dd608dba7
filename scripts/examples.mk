# `make examples`: builds the C examples against the shared library and runs each.
EXAMPLES := $(sort $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c)))

$(BUILD)/examples/%: examples/%.c $(BUILD)/libtaper.so
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(OPT) $(WARN) -Iinclude -o $@ $< -L$(BUILD) -ltaper -lm -Wl,-rpath,$(abspath $(BUILD))

examples: $(EXAMPLES)
	@set -e; for e in $^; do echo "== $$e"; $$e; done

.PHONY: examples
