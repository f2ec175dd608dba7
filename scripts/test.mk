# `make test`: builds everything and runs the unit tests, the operator driver, the Python tests and, for a short time, the
# fuzzers. Test programs are found by pattern; they link the static library, so that they see internal functions too.
UNIT_SRC  := $(sort $(wildcard tests/unit/test_*.c))
UNIT      := $(UNIT_SRC:tests/%.c=$(BUILD)/tests/%)
OPS_OBJ   := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/ops/*.c)))
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ      := $(FUZZ_SRC:tests/%.c=$(BUILD)/tests/%)
FUZZ_ROUNDS ?= 3000
TEST_JOBS ?= 2

$(BUILD)/test-ops: $(OPS_OBJ) $(BUILD)/libtaper.a
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libtaper.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(LIBS)

# Kept: they are intermediate files to make, but rebuilding them at every run helps nobody.
.SECONDARY: $(UNIT_SRC:%.c=$(BUILD)/obj/%.o) $(FUZZ_SRC:%.c=$(BUILD)/obj/%.o)
-include $(OPS_OBJ:.o=.d) $(UNIT_SRC:%.c=$(BUILD)/obj/%.d) $(FUZZ_SRC:%.c=$(BUILD)/obj/%.d)

# Each prints lines "ok NAME" and "not ok NAME: why"; the whole log stays beside the program. What needs a GPU says so.
RUN_TEST = name=$$(basename $$t); if $$t $$args > $$t.log 2>&1; then printf '%-18s %5d ok\n' $$name $$(grep -c '^ok' $$t.log); \
	else bad=1; echo "== $$name failed:"; grep -v '^ok' $$t.log | tail -n 40; fi

test-unit: $(UNIT)
	@bad=0; args=; for t in $(UNIT); do $(RUN_TEST); done; exit $$bad

test-fuzz: $(FUZZ)
	@bad=0; args=$(FUZZ_ROUNDS); for t in $(FUZZ); do $(RUN_TEST); done; exit $$bad

test-ops: $(BUILD)/test-ops
	$(BUILD)/test-ops -j $(TEST_JOBS)

test-style:
	sh scripts/style.sh
	sh scripts/arrows.sh

test:
	sh scripts/setup.sh
	$(MAKE) all
	$(MAKE) test-style test-unit test-ops test-fuzz
	@if sh scripts/setup.sh --python; then $(MAKE) test-python test-torch; else echo "skipped: the Python tests (see the line above)"; fi

.PHONY: test test-unit test-ops test-fuzz test-style
