# GPU kernels: every src/**/X.cu becomes one fatbin (sm_80, sm_90, PTX) embedded in the library; X.sm90a.cu is built for
# sm_90a alone. Without nvcc the table is empty and the library says so when a GPU is asked for.
NVCC ?= $(shell command -v nvcc 2>/dev/null || ls -1 /usr/local/cuda*/bin/nvcc 2>/dev/null | tail -n 1)
CUDA_TARGETS ?= -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=compute_80
CUDA_TARGETS_sm90a := -gencode arch=compute_90a,code=sm_90a
NVCC_FLAGS := -std=c++17 -O3 -Iinclude -Isrc --compress-mode=size -Werror all-warnings
CU := $(shell find src -name '*.cu' | sort)
ifneq ($(NVCC),)
FATBIN := $(CU:%.cu=$(BUILD)/cuda/%.fatbin)
endif
CUDA_OBJ := $(BUILD)/cuda/embed.o

$(BUILD)/cuda/%.sm90a.fatbin: %.sm90a.cu
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(CUDA_TARGETS_sm90a) -MD -MF $(@:.fatbin=.d) -MT $@ -fatbin -o $@ $<

$(BUILD)/cuda/%.fatbin: %.cu
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(CUDA_TARGETS) -MD -MF $(@:.fatbin=.d) -MT $@ -fatbin -o $@ $<

$(BUILD)/cuda/embed.S: $(FATBIN) scripts/embed.sh
	@mkdir -p $(@D)
	sh scripts/embed.sh $(FATBIN) > $@

$(CUDA_OBJ): $(BUILD)/cuda/embed.S $(FATBIN)
	$(Q)$(CC) -c -o $@ $<

-include $(FATBIN:.fatbin=.d)
