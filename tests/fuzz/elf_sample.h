/* Writes a small shared library, with all that doctor/elf.c reads: names, symbols, versions, a fatbin. */
#ifndef TAPER_FUZZ_ELF_SAMPLE_H
#define TAPER_FUZZ_ELF_SAMPLE_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct elf_sample {
    uint8_t *data;
    size_t size, room, strings, string_bytes;
    char names[1024];
} elf_sample;

static size_t sample_put(elf_sample *s, const void *data, size_t size) {
    size_t at = (s->size + 7) & ~(size_t)7;
    if (at + size > s->room) return 0;
    memset(s->data + s->size, 0, at - s->size);
    memcpy(s->data + at, data, size);
    s->size = at + size;
    return at;
}

static uint32_t sample_name(elf_sample *s, const char *name) {
    size_t at = s->string_bytes, n = strlen(name) + 1;
    if (at + n > sizeof s->names) return 0;
    memcpy(s->names + at, name, n);
    s->string_bytes += n;
    return (uint32_t)at;
}

static size_t sample_fatbin(elf_sample *s) {
    static const struct { uint16_t kind; uint32_t arch, payload; } entries[] = {{2, 80, 24}, {2, 90, 8}, {1, 90, 40}};
    uint8_t fat[256] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    size_t n = 16;
    for (int i = 0; i < 3; i++) {
        uint16_t kind = entries[i].kind;
        uint32_t head = 48;
        memcpy(fat + n, &kind, 2);
        memcpy(fat + n + 4, &head, 4);
        memcpy(fat + n + 8, &entries[i].payload, 4);
        memcpy(fat + n + 28, &entries[i].arch, 4);
        n += head + entries[i].payload;
    }
    uint64_t bytes = n - 16;
    memcpy(fat + 8, &bytes, 8);
    return sample_put(s, fat, n);
}

/* gnu: the symbols stand in a GNU hash table, else in the old one. Bytes written. */
static size_t elf_sample_write(uint8_t *out, size_t room, bool gnu) {
    static const char section_names[] = "\0.nv_fatbin\0.dynsym";
    elf_sample s = {out, 0, room, 0, 1, ""};
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = ET_DYN, .e_machine = EM_X86_64,
                       .e_phoff = sizeof head, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 4, .e_shstrndx = 2};
    Elf64_Phdr segments[2] = {{.p_type = PT_LOAD}, {.p_type = PT_DYNAMIC}};
    sample_put(&s, &head, sizeof head);
    size_t at_segments = sample_put(&s, segments, sizeof segments);
    Elf64_Sym symbols[6] = {0};
    symbols[1] = (Elf64_Sym){.st_name = sample_name(&s, "_ZNK3c104Type4nameEv"), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)};
    symbols[2] = (Elf64_Sym){.st_name = sample_name(&s, "__nvJitLinkComplete_12_4"), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)};
    symbols[3] = (Elf64_Sym){.st_name = sample_name(&s, "_ZN3c104weakEv"), .st_info = ELF64_ST_INFO(STB_WEAK, STT_FUNC)};
    symbols[4] = (Elf64_Sym){.st_name = sample_name(&s, "offered"), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1};
    symbols[5] = (Elf64_Sym){.st_name = sample_name(&s, "also_offered"), .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1};
    size_t at_symbols = sample_put(&s, symbols, sizeof symbols), at_hash;
    if (gnu) { /* one bucket: first 4, then both hashes, the last marked */
        uint32_t table[9] = {1, 4, 1, 6, ~0u, ~0u, 4, 0, 0};
        for (int i = 0; i < 2; i++) {
            table[7 + i] = 5381;
            for (const char *p = s.names + symbols[4 + i].st_name; *p; p++) table[7 + i] = table[7 + i] * 33 + (unsigned char)*p;
        }
        table[7] &= ~1u, table[8] |= 1;
        at_hash = sample_put(&s, table, sizeof table);
    } else { /* one bucket that begins with 4, which leads to 5 */
        static const uint32_t table[9] = {1, 6, 4, 0, 0, 0, 0, 5, 0};
        at_hash = sample_put(&s, table, sizeof table);
    }
    struct { Elf64_Verneed need; Elf64_Vernaux aux; } wants = {{1, 1, sample_name(&s, "libstdc++.so.6"), sizeof(Elf64_Verneed), 0},
                                                              {.vna_name = sample_name(&s, "GLIBCXX_3.4.30")}};
    struct { Elf64_Verdef def; Elf64_Verdaux aux; } offers = {{.vd_version = 1, .vd_cnt = 1, .vd_aux = sizeof(Elf64_Verdef)}, {.vda_name = sample_name(&s, "VERSION_1")}};
    size_t at_wants = sample_put(&s, &wants, sizeof wants), at_offers = sample_put(&s, &offers, sizeof offers), at_fatbin = sample_fatbin(&s), fatbin_bytes = s.size - at_fatbin;
    Elf64_Dyn dynamic[] = {{DT_NEEDED, {sample_name(&s, "libc10.so")}}, {DT_NEEDED, {sample_name(&s, "libstdc++.so.6")}}, {DT_SONAME, {sample_name(&s, "libsample.so")}},
                           {DT_RUNPATH, {sample_name(&s, "$ORIGIN/../lib")}}, {DT_SYMTAB, {at_symbols}}, {gnu ? DT_GNU_HASH : DT_HASH, {at_hash}},
                           {DT_VERNEED, {at_wants}}, {DT_VERNEEDNUM, {1}}, {DT_VERDEF, {at_offers}}, {DT_VERDEFNUM, {1}},
                           {DT_STRSZ, {s.string_bytes}}, {DT_STRTAB, {sample_put(&s, s.names, s.string_bytes)}}, {DT_NULL, {0}}};
    size_t at_dynamic = sample_put(&s, dynamic, sizeof dynamic), at_names = sample_put(&s, section_names, sizeof section_names);
    Elf64_Shdr sections[4] = {{0},
                              {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = at_fatbin, .sh_size = fatbin_bytes},
                              {.sh_type = SHT_STRTAB, .sh_offset = at_names, .sh_size = sizeof section_names},
                              {.sh_name = 12, .sh_type = SHT_DYNSYM, .sh_offset = at_symbols, .sh_size = sizeof symbols}};
    head.e_shoff = sample_put(&s, sections, sizeof sections);
    segments[0].p_filesz = s.size;
    segments[1].p_offset = segments[1].p_vaddr = at_dynamic;
    segments[1].p_filesz = sizeof dynamic;
    memcpy(out, &head, sizeof head);
    memcpy(out + at_segments, segments, sizeof segments);
    return s.size;
}

#endif
