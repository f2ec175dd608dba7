# `make test`: builds everything and runs the unit tests, the operator driver, the Python tests and, for a short time, the
# fuzzers. Test programs are found by pattern; they link the static library, so that they see internal functions too.
UNIT_SRC  := $(sort $(wildcard tests/unit/test_*.c))
UNIT      := $(UNIT_SRC:tests/%.c=$(BUILD)/tests/%)
OPS_OBJ   := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/ops/*.c)))
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ      := $(FUZZ_SRC:tests/%.c=$(BUILD)/tests/%)
FUZZ_SECONDS ?= 3

$(BUILD)/test-ops: $(OPS_OBJ) $(BUILD)/libtaper.a
	$(CC) $(LDFLAGS) -pthread -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libtaper.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -pthread -o $@ $^ $(LIBS)

-include $(OPS_OBJ:.o=.d) $(UNIT_SRC:%.c=$(BUILD)/obj/%.d) $(FUZZ_SRC:%.c=$(BUILD)/obj/%.d)

# Unit tests that stand alone; those that need a GPU say "skipped" without one.
test-unit: $(UNIT)
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t > $$t.log 2>&1 || { grep -v '^ok' $$t.log | tail -n 40; exit 1; }; grep -c '^ok' $$t.log || true; done

test-ops: $(BUILD)/test-ops
	$(BUILD)/test-ops

test:
	sh scripts/setup.sh
	$(MAKE) all
	$(MAKE) test-unit test-ops
	$(MAKE) test-python

.PHONY: test test-unit test-ops
