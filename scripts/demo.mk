# `make demo`: trains a small GPT on this checkout's own text with the C tool, in about a minute and a half.
DEMO_ARGS ?=
demo:
	sh scripts/setup.sh
	$(MAKE) $(BUILD)/taper
	$(BUILD)/taper demo --out $(BUILD)/demo.safetensors $(DEMO_ARGS)
.PHONY: demo
