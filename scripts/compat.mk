# The tables of data/compat/ stand in the library as they are; src/doctor/tables.c reads them.
COMPAT_TSV := $(sort $(wildcard data/compat/*.tsv))
COMPAT_OBJ := $(BUILD)/compat/embed.o
OBJ        += $(COMPAT_OBJ)

$(BUILD)/compat/embed.S: $(COMPAT_TSV) scripts/embed.sh scripts/compat.mk
	@mkdir -p $(@D)
	$(Q)TABLE=taper__compat_texts sh scripts/embed.sh $(COMPAT_TSV) > $@

$(COMPAT_OBJ): $(BUILD)/compat/embed.S $(COMPAT_TSV)
	$(Q)$(CC) -c -o $@ $<
