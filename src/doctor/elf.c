/* Reader of 64-bit little-endian ELF files. Every offset comes from the file: doctor_pread refuses what lies outside, counts are bounded. */
#include "doctor/elf.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ELF_SEGMENTS = 64, ELF_SECTIONS = 4096, ELF_DYNAMIC = 1024, ELF_LIST = 8192, ELF_SYMBOLS = 1 << 20, ELF_STRINGS = 48 << 20,
    ELF_STRING = 4096, ELF_FATBINS = 128, ELF_ENTRIES = 64, ELF_GAPS = 4096, ELF_CHAIN = 1 << 16, ELF_BLOCK = 512
};
#define ELF_FATBIN_MAGIC 0xba55ed50u

typedef struct elf_view {
    const doctor_file *file;
    Elf64_Ehdr head;
    Elf64_Phdr load[ELF_SEGMENTS];
    int loads;
    uint64_t strings, string_bytes, symbols, gnu_hash, hash, wants, offers; /* file offsets; 0 for none */
    uint64_t want_count, offer_count;
} elf_view;

typedef struct elf_list {
    const char **item;
    int n, room;
} elf_list;

static void elf_add(elf_list *l, const char *text) {
    if (l->n >= ELF_LIST) return;
    if (l->n + 1 >= l->room) {
        const char **more = taper__realloc((void *)l->item, sizeof *more * (size_t)(l->room = l->room ? 2 * l->room : 32));
        if (!more) {
            l->room /= 2;
            return;
        }
        l->item = more;
    }
    l->item[l->n++] = text;
}

/* Hands the list over to the doctor, behind what was there. */
static const char *const *elf_kept(doctor *d, elf_list *l) {
    static const char *const none[] = {NULL};
    const char **kept = l->n ? doctor_keep(d, sizeof *kept * ((size_t)l->n + 1)) : NULL;
    if (kept) memcpy((void *)kept, (const void *)l->item, sizeof *kept * (size_t)l->n);
    taper__free((void *)l->item);
    *l = (elf_list){0};
    return kept ? kept : none;
}

/* File offset of an address; 0 for none (nothing that is asked for stands at offset 0). */
static uint64_t elf_offset(const elf_view *v, uint64_t address) {
    for (int i = 0; i < v->loads; i++)
        if (address >= v->load[i].p_vaddr && address - v->load[i].p_vaddr < v->load[i].p_filesz) return v->load[i].p_offset + (address - v->load[i].p_vaddr);
    return 0;
}

static const char *elf_string(doctor *d, const elf_view *v, uint64_t at) {
    char text[ELF_STRING];
    if (!v->strings || at >= v->string_bytes) return NULL;
    uint64_t start = v->strings + at, end = (uint64_t)v->file->size;
    if (start < v->strings || start >= end) return NULL;
    for (size_t n = 0; n < sizeof text - 1;) { /* most names are short */
        size_t step = n ? sizeof text - 1 - n : 96;
        if (step > end - start - n) step = (size_t)(end - start - n);
        if (!step || !doctor_pread(v->file, text + n, step, start + n)) return NULL;
        if (memchr(text + n, 0, step)) return doctor_text(d, "%s", text);
        n += step;
    }
    text[sizeof text - 1] = 0;
    return doctor_text(d, "%s", text);
}

static const char *elf_open(elf_view *v, const doctor_file *file) {
    *v = (elf_view){.file = file};
    if (!doctor_pread(file, &v->head, sizeof v->head, 0) || memcmp(v->head.e_ident, ELFMAG, SELFMAG)) return "not an ELF file";
    if (v->head.e_ident[EI_CLASS] != ELFCLASS64 || v->head.e_ident[EI_DATA] != ELFDATA2LSB) return "not a 64-bit little-endian ELF file";
    if (v->head.e_phentsize != sizeof(Elf64_Phdr)) return "unknown size of program headers";
    uint64_t dynamic = 0, bytes = 0;
    for (int i = 0; i < v->head.e_phnum && i < ELF_SEGMENTS; i++) {
        Elf64_Phdr p;
        if (v->head.e_phoff > (uint64_t)file->size || !doctor_pread(file, &p, sizeof p, v->head.e_phoff + (uint64_t)i * sizeof p)) return "program headers cut off";
        if (p.p_type == PT_LOAD) v->load[v->loads++] = p;
        if (p.p_type == PT_DYNAMIC) dynamic = p.p_offset, bytes = p.p_filesz;
    }
    Elf64_Dyn item;
    for (uint64_t i = 0; dynamic && i < ELF_DYNAMIC && i < bytes / sizeof item; i++) {
        if (!doctor_pread(file, &item, sizeof item, dynamic + i * sizeof item) || item.d_tag == DT_NULL) break;
        uint64_t value = item.d_un.d_val;
        switch (item.d_tag) {
        case DT_STRTAB: v->strings = elf_offset(v, value); break;
        case DT_STRSZ: v->string_bytes = value; break;
        case DT_SYMTAB: v->symbols = elf_offset(v, value); break;
        case DT_GNU_HASH: v->gnu_hash = elf_offset(v, value); break;
        case DT_HASH: v->hash = elf_offset(v, value); break;
        case DT_VERNEED: v->wants = elf_offset(v, value); break;
        case DT_VERNEEDNUM: v->want_count = value; break;
        case DT_VERDEF: v->offers = elf_offset(v, value); break;
        case DT_VERDEFNUM: v->offer_count = value; break;
        default: break;
        }
    }
    return NULL;
}

static void elf_dynamic(doctor *d, doctor_elf *out, const elf_view *v) {
    elf_list needed = {0};
    for (int i = 0; i < v->head.e_phnum && i < ELF_SEGMENTS; i++) {
        Elf64_Phdr p;
        Elf64_Dyn item;
        if (!doctor_pread(v->file, &p, sizeof p, v->head.e_phoff + (uint64_t)i * sizeof p)) break;
        for (uint64_t k = 0; p.p_type == PT_DYNAMIC && k < ELF_DYNAMIC && k < p.p_filesz / sizeof item; k++) {
            if (!doctor_pread(v->file, &item, sizeof item, p.p_offset + k * sizeof item) || item.d_tag == DT_NULL) break;
            if (item.d_tag != DT_NEEDED && item.d_tag != DT_SONAME && item.d_tag != DT_RPATH && item.d_tag != DT_RUNPATH) continue;
            const char *text = elf_string(d, v, item.d_un.d_val);
            if (!text) continue;
            if (item.d_tag == DT_NEEDED) elf_add(&needed, text);
            else *(item.d_tag == DT_SONAME ? &out->soname : item.d_tag == DT_RPATH ? &out->rpath : &out->runpath) = text;
        }
    }
    out->needed = elf_kept(d, &needed);
}

static void elf_versions(doctor *d, doctor_elf *out, const elf_view *v) {
    elf_list wants = {0}, offers = {0};
    uint64_t at = v->wants;
    for (uint64_t i = 0; at && i < v->want_count && i < ELF_BLOCK; i++) {
        Elf64_Verneed need;
        if (!doctor_pread(v->file, &need, sizeof need, at)) break;
        const char *file = elf_string(d, v, need.vn_file);
        uint64_t aux = at + need.vn_aux;
        for (int k = 0; file && k < need.vn_cnt && k < ELF_BLOCK; k++) {
            Elf64_Vernaux a;
            if (!doctor_pread(v->file, &a, sizeof a, aux)) break;
            const char *name = elf_string(d, v, a.vna_name);
            if (name && !(a.vna_flags & VER_FLG_WEAK)) elf_add(&wants, doctor_text(d, "%s %s", file, name));
            if (!a.vna_next) break;
            aux += a.vna_next;
        }
        if (!need.vn_next) break;
        at += need.vn_next;
    }
    at = v->offers;
    for (uint64_t i = 0; at && i < v->offer_count && i < ELF_BLOCK; i++) {
        Elf64_Verdef def;
        Elf64_Verdaux a;
        if (!doctor_pread(v->file, &def, sizeof def, at) || !doctor_pread(v->file, &a, sizeof a, at + def.vd_aux)) break;
        const char *name = elf_string(d, v, a.vda_name);
        if (name) elf_add(&offers, name);
        if (!def.vd_next) break;
        at += def.vd_next;
    }
    out->wants = elf_kept(d, &wants);
    out->offers = elf_kept(d, &offers);
}

static bool elf_section(const elf_view *v, uint64_t i, Elf64_Shdr *s) {
    return v->head.e_shentsize == sizeof *s && v->head.e_shoff && v->head.e_shoff < (uint64_t)v->file->size &&
           doctor_pread(v->file, s, sizeof *s, v->head.e_shoff + i * sizeof *s);
}

static uint64_t elf_symbol_count(const elf_view *v) {
    uint32_t head[2];
    Elf64_Shdr s;
    for (uint64_t i = 0; i < v->head.e_shnum && i < ELF_SECTIONS && elf_section(v, i, &s); i++)
        if (s.sh_type == SHT_DYNSYM) return s.sh_size / sizeof(Elf64_Sym);
    return v->hash && doctor_pread(v->file, head, sizeof head, v->hash) ? head[1] : 0;
}

/* A name of PyTorch's libraries, as the C++ ABI writes it: _ZN3c10..., _ZNK2at..., _ZTVN3c10...; or one of nvJitLink's. */
static bool elf_interesting(const char *name, size_t room) {
    static const char *const spaces[] = {"3c10", "2at", "5torch"};
    size_t i = 2;
    if (room >= 11 && !memcmp(name, "__nvJitLink", 11)) return true;
    if (room < 8 || name[0] != '_' || name[1] != 'Z') return false;
    while (i < 8 && i < room && name[i] >= 'A' && name[i] <= 'Z') i++;
    for (int k = 0; k < TAPER_COUNT(spaces); k++) {
        size_t n = strlen(spaces[k]);
        if (i < room && room - i >= n && !memcmp(name + i, spaces[k], n)) return true;
    }
    return false;
}

static void elf_undefined(doctor *d, doctor_elf *out, const elf_view *v) {
    uint64_t count = elf_symbol_count(v), size = (uint64_t)v->file->size, bytes = v->string_bytes;
    if (count > ELF_SYMBOLS) count = ELF_SYMBOLS;
    if (!v->symbols || !v->strings || v->strings >= size) return;
    if (bytes > size - v->strings) bytes = size - v->strings;
    if (!bytes || bytes > ELF_STRINGS) return;
    char *strings = taper__alloc_zero((size_t)bytes + 1);
    Elf64_Sym block[ELF_BLOCK];
    elf_list found = {0};
    for (uint64_t i = 0; strings && doctor_pread(v->file, strings, i ? 0 : (size_t)bytes, v->strings) && i < count; i += ELF_BLOCK) {
        uint64_t n = count - i < ELF_BLOCK ? count - i : ELF_BLOCK;
        if (!doctor_pread(v->file, block, (size_t)n * sizeof *block, v->symbols + i * sizeof *block)) break;
        for (uint64_t k = 0; k < n; k++) {
            if (block[k].st_shndx != SHN_UNDEF || ELF64_ST_BIND(block[k].st_info) != STB_GLOBAL || block[k].st_name >= bytes) continue;
            const char *name = strings + block[k].st_name;
            if (elf_interesting(name, strnlen(name, (size_t)(bytes - block[k].st_name)))) elf_add(&found, doctor_text(d, "%s", name));
        }
    }
    taper__free(strings);
    out->undefined = elf_kept(d, &found);
}

static uint64_t elf_number(const unsigned char *p, int bytes) {
    uint64_t n = 0;
    for (int i = bytes; i-- > 0;) n = n << 8 | p[i];
    return n;
}

/* A fatbin: magic, version (2 bytes), size of this head (2), bytes that follow (8); entries: kind (2: 1 PTX, 2 machine code), two bytes, size of the
 * entry's head (4), of its payload (8), ..., the architecture at byte 28. */
static void elf_fatbins(doctor_elf *out, const elf_view *v, uint64_t at, uint64_t bytes) {
    unsigned char head[16], entry[32];
    uint64_t end = at + bytes;
    int gaps = 0;
    while (at < end && end - at >= sizeof head && out->fatbins < ELF_FATBINS && gaps < ELF_GAPS) {
        if (!doctor_pread(v->file, head, sizeof head, at)) return;
        uint64_t first = elf_number(head + 6, 2), follow = elf_number(head + 8, 8);
        if (elf_number(head, 4) != ELF_FATBIN_MAGIC || first < 16 || first > 256 || follow > end - at || first > end - at - follow) {
            at += 8, gaps++;
            continue;
        }
        uint64_t p = at + first, stop = p + follow;
        for (int i = 0; i < ELF_ENTRIES && stop - p >= sizeof entry && doctor_pread(v->file, entry, sizeof entry, p); i++) {
            uint64_t kind = elf_number(entry, 2), skip = elf_number(entry + 4, 4), payload = elf_number(entry + 8, 8), arch = elf_number(entry + 28, 4);
            if (skip < 32 || skip > 4096 || payload > stop - p || skip > stop - p - payload) break;
            if ((kind == 1 || kind == 2) && arch >= 20 && arch < DOCTOR_ELF_ARCHS) (kind == 1 ? out->ptx : out->sass)[arch] = true;
            p += skip + payload;
        }
        out->fatbins++;
        at = (stop + 7) & ~(uint64_t)7;
    }
}

static void elf_kernels(doctor_elf *out, const elf_view *v) {
    Elf64_Shdr names, s;
    if (v->head.e_shstrndx >= ELF_SECTIONS || !elf_section(v, v->head.e_shstrndx, &names)) return;
    for (uint64_t i = 0; i < v->head.e_shnum && i < ELF_SECTIONS && elf_section(v, i, &s); i++) {
        char name[16] = "";
        if (s.sh_type == SHT_NOBITS || s.sh_offset > (uint64_t)v->file->size || s.sh_size > (uint64_t)v->file->size - s.sh_offset) continue;
        if (names.sh_offset > (uint64_t)v->file->size || !doctor_pread(v->file, name, sizeof name, names.sh_offset + s.sh_name)) continue;
        if (!strncmp(name, ".nv_fatbin", 11) || !strncmp(name, "__nv_relfatbin", 15)) elf_fatbins(out, v, s.sh_offset, s.sh_size);
    }
}

void doctor_elf_parse(doctor *d, doctor_elf *out, const doctor_file *file, int parts) {
    static const char *const none[] = {NULL};
    elf_view v;
    if (!out->needed) out->needed = out->wants = out->offers = out->undefined = out->has = none;
    if ((out->error = elf_open(&v, file))) return;
    if (!out->parts) {
        elf_dynamic(d, out, &v);
        elf_versions(d, out, &v);
    }
    if (parts & ~out->parts & DOCTOR_ELF_UNDEFINED) elf_undefined(d, out, &v);
    if (parts & ~out->parts & DOCTOR_ELF_KERNELS) elf_kernels(out, &v);
    out->parts |= parts | 1 << 8; /* the head */
}

/* Symbol `index` is `name`, defined here. */
static bool elf_is(const elf_view *v, uint32_t index, const char *name, size_t n) {
    char text[ELF_STRING];
    Elf64_Sym s;
    return n <= sizeof text && doctor_pread(v->file, &s, sizeof s, v->symbols + (uint64_t)index * sizeof s) && s.st_shndx != SHN_UNDEF &&
           doctor_pread(v->file, text, n, v->strings + s.st_name) && !memcmp(text, name, n);
}

/* head: buckets, first hashed symbol, words of the filter, shift. */
static bool elf_defines_gnu(const elf_view *v, const uint32_t head[4], const char *name) {
    uint32_t h = 5381, index, value;
    for (const char *p = name; *p; p++) h = h * 33 + (unsigned char)*p;
    uint64_t buckets = v->gnu_hash + 16 + (uint64_t)head[2] * 8, chains = buckets + (uint64_t)head[0] * 4;
    if (!head[0] || !doctor_pread(v->file, &index, 4, buckets + (uint64_t)(h % head[0]) * 4) || index < head[1]) return false;
    for (int step = 0; step < ELF_CHAIN; step++, index++) {
        if (!doctor_pread(v->file, &value, 4, chains + ((uint64_t)index - head[1]) * 4)) return false;
        if ((value | 1) == (h | 1) && elf_is(v, index, name, strlen(name) + 1)) return true;
        if (value & 1) return false;
    }
    return false;
}

/* head: buckets, symbols. */
static bool elf_defines_sysv(const elf_view *v, const uint32_t head[2], const char *name) {
    uint32_t h = 0, index;
    for (const char *p = name; *p; p++) {
        h = (h << 4) + (unsigned char)*p;
        h = (h ^ (h >> 24 & 0xf0)) & 0x0fffffff;
    }
    uint64_t at = v->hash + 8 + (head[0] ? (uint64_t)(h % head[0]) * 4 : 0);
    for (int step = 0; head[0] && step < ELF_CHAIN; step++) {
        if (!doctor_pread(v->file, &index, 4, at) || !index) return false;
        if (elf_is(v, index, name, strlen(name) + 1)) return true;
        at = v->hash + 8 + (uint64_t)head[0] * 4 + (uint64_t)index * 4;
    }
    return false;
}

int doctor_elf_drop_in(const doctor_file *file, const char **symbols) {
    elf_view v;
    uint32_t head[4];
    int left = 0;
    bool usable = !elf_open(&v, file) && v.symbols && v.strings, gnu = usable && v.gnu_hash && doctor_pread(file, head, 16, v.gnu_hash);
    if (!gnu && !(usable && v.hash && doctor_pread(file, head, 8, v.hash))) return -1;
    for (int i = 0; symbols[i]; i++)
        if (!(gnu ? elf_defines_gnu : elf_defines_sysv)(&v, head, symbols[i])) symbols[left++] = symbols[i];
    symbols[left] = NULL;
    return left;
}
