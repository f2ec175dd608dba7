# taper: `make` builds the library and tool, `make test` tests them, `make demo` trains a model.
# Sources are found by pattern: a new file needs no line here.
CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
VERSION := $(shell cat VERSION)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
PYTHON  ?= python3
# Without -j all processors are used; make -j1 asks for one.
ifeq ($(findstring jobserver,$(MAKEFLAGS))$(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
# make V=1 shows the whole commands.
ifeq ($(V),)
Q = @printf '  %s\n' '$@';
endif

# A row that leaves its last fields out means zero there: that is what the tables of samples and kernels rely on.
WARN    := -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers
# A loop that clang cannot vectorise is slower, not wrong.
ifneq (,$(findstring clang,$(CC)))
WARN    += -Wno-pass-failed
endif
# No trapping maths and no errno let loops with comparisons vectorise; values are those of IEEE 754 all the same.
# fp-contract off: a result must not depend on which multiply the compiler chose to fuse; kernels say fma where they want it.
FP      := -fno-math-errno -fno-trapping-math -ffp-contract=off
OPT     ?= -O2
CFLAGS  ?=
ALL_CFLAGS := -std=c11 $(OPT) -g $(WARN) $(FP) -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE \
              -DTAPER_VERSION='"$(VERSION)"' -Iinclude -Isrc $(CFLAGS)
LIBS    := -lm -ldl -lpthread

SRC     := $(filter-out %.simd.c,$(shell find src -name '*.c' -not -path 'src/cli/*' | sort))
SIMD    := $(shell find src -name '*.simd.c' | sort)
CLI     := $(shell find src/cli -name '*.c' | sort)
ARCH    := $(shell uname -m)
ifeq ($(ARCH),x86_64)
LEVELS  := base v3 v4
else
LEVELS  := base
endif
MARCH_v3 := -march=x86-64-v3
MARCH_v4 := -march=x86-64-v4 -mprefer-vector-width=512

OBJ     := $(SRC:%.c=$(BUILD)/obj/%.o) $(foreach l,$(LEVELS),$(SIMD:%.c=$(BUILD)/obj/%.$(l).o))
CLI_OBJ := $(CLI:%.c=$(BUILD)/obj/%.o)

all: $(BUILD)/libtaper.so $(BUILD)/libtaper.a $(BUILD)/taper

include scripts/cuda.mk
include scripts/compat.mk
include scripts/python.mk
include scripts/test.mk
include scripts/scripts.mk
include scripts/demo.mk
include scripts/examples.mk
include scripts/bench.mk
include scripts/gpu.mk

$(BUILD)/libtaper.so: $(OBJ) $(CUDA_OBJ)
	$(Q)$(CC) -shared -Wl,-soname,libtaper.so.$(SOVERSION) -Wl,-z,defs $(LDFLAGS) -o $@ $^ $(LIBS)
	@ln -sf libtaper.so $(BUILD)/libtaper.so.$(SOVERSION)

$(BUILD)/libtaper.a: $(OBJ) $(CUDA_OBJ)
	@rm -f $@
	$(Q)ar qcs $@ $^

# The tool finds the library beside it (a build folder) or in ../lib (an installation): the kernels are on disk once.
$(BUILD)/taper: $(CLI_OBJ) $(BUILD)/libtaper.so
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CLI_OBJ) -L$(BUILD) -ltaper -lm -lpthread -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib'

$(BUILD)/obj/%.o: %.c VERSION
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define simd_rule
$(BUILD)/obj/%.$(1).o: %.c
	@mkdir -p $$(@D)
	$$(Q)$(CC) $(ALL_CFLAGS) -O3 $(MARCH_$(1)) -DTAPER_SIMD_LEVEL=$(1) -DTAPER_SIMD_$(1)=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call simd_rule,$(l))))

-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d)

install: all
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/taper $(DESTDIR)$(PREFIX)/bin
	install -m 644 include/taper/*.h include/taper/*.def $(DESTDIR)$(PREFIX)/include/taper
	install -m 755 -s $(BUILD)/libtaper.so $(DESTDIR)$(PREFIX)/lib/libtaper.so.$(VERSION)
	ln -sf libtaper.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libtaper.so.$(SOVERSION)
	ln -sf libtaper.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libtaper.so
	install -m 755 -s $(BUILD)/taper $(DESTDIR)$(PREFIX)/bin/taper
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' scripts/taper.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/taper.pc

clean:
	rm -rf $(BUILD)

.PHONY: all install clean
.DELETE_ON_ERROR:
