/* taper_verify: the list of checks, the children that run them, the verdict. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <taper/cuda.h>
#include <taper/threads.h>

#include "verify/verify.h"

/* By order of the report. Without a function: told by the parent, about the machine. */
const verify_check verify_checks[] = {
    {"devices", "are there GPUs, and as many as wanted", "有没有 GPU, 数量对不对", false, false, verify_devices},
    {"properties", "what the GPU is", "GPU 的型号与参数", false, true, verify_properties},
    {"matmul", "a matrix product against float64 on the CPU", "矩阵乘与 CPU float64 对比", true, true, verify_matmul},
    {"speed", "matrix products by size and dtype, against what the part should do", "各尺寸各类型矩阵乘的速度, 与标称对比", true, true, verify_speed},
    {"tf32", "TF32 off and on: speed and error", "TF32 开关: 速度与误差", false, true, verify_tf32},
    {"training", "a small network learns, on a GPU as on the CPU", "小网络训练, GPU 与 CPU 一致", true, true, verify_training},
    {"amp", "mixed precision with gradient scaling", "混合精度与梯度缩放", true, true, verify_amp},
    {"loader", "workers make batches while the device computes", "多线程数据加载与计算重叠", true, true, verify_loader},
    {"copies", "copies to, from and within the GPU", "主机与显存之间及卡内的拷贝", false, true, verify_copies},
    {"checkpoint", ".pt and safetensors written and read, bit for bit", ".pt 与 safetensors 存取, 逐位一致", true, true, verify_checkpoint},
    {"graph", "a captured graph replays what eager steps do", "CUDA Graph 重放与逐步执行一致", false, true, verify_graph},
    {"determinism", "two runs, the same bits", "两次运行逐位一致", true, true, verify_determinism},
    {"memory", "memory is given back, out of memory does no harm", "显存归还, 显存不足可恢复", false, true, verify_memory},
    {"links", "NVLink and peer access between GPUs", "GPU 之间的 NVLink 与直接访问", false, false, NULL},
    {"all_reduce", "sums over the GPUs of the machine", "多 GPU 求和", false, false, NULL},
    {"data_parallel", "a data-parallel step over the GPUs of the machine", "多 GPU 数据并行训练一步", false, false, NULL},
};
const int verify_check_count = TAPER_COUNT(verify_checks);

enum { VERIFY_HANGS = 2 }; /* then the other checks of the device are not tried */

static bool verify_listed(const char *list, const char *name) {
    size_t n = strlen(name);
    for (; list && *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == n && !strncmp(list, name, n)) return true;
    return !list;
}

static bool verify_applies(const verify_check *c, const taper_verify_options *o, taper_device device) {
    bool cpu = device.type == TAPER_CPU;
    return c->run && verify_listed(o->check, c->name) && (cpu ? c->cpu || !c->gpu : c->gpu) && !(o->cpu_only && !c->cpu);
}

/* ---- the child ---- */

typedef struct verify_job {
    const taper_verify_options *options;
    taper_device device;
    int from;
    bool no_driver; /* it hangs or crashes: leave it alone */
} verify_job;

static void verify_machine(doctor_out *o, bool no_driver) {
    char text[4096], key[32], line[128] = "";
    struct utsname system;
    int n = 0;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "model name", 10)) line[0] = 0;
    if (f) fclose(f);
    char *model = strchr(line, ':');
    doctor_say(o, "machine.0", "CPU %.*s, %d threads, %s", model ? (int)strcspn(model + 2, "\n") : 1, model ? model + 2 : "?", taper_num_threads(), taper__isa_name(taper__isa()));
    if (!uname(&system)) doctor_say(o, "machine.1", "%s %s %s", system.sysname, system.release, system.machine);
    if (no_driver) return;
    taper_cuda_describe_providers(text, sizeof text);
    bool driver = taper_cuda_device_count(NULL) > 0; /* without one the others all say that */
    for (char *at = text; *at && (driver || !n); at += strcspn(at, "\n"), at += *at == '\n', n++) {
        snprintf(key, sizeof key, "machine.%d", n + 2);
        doctor_say(o, key, "%.*s", (int)strcspn(at, "\n"), at);
    }
}

static void verify_child(doctor_out *o, void *ctx) {
    const verify_job *job = ctx;
    verify_run run = {.out = o, .options = job->options, .device = job->device};
        if (job->device.type == TAPER_CUDA) taper_cuda_set_device(job->device.index);
    for (int i = job->from; i < verify_check_count; i++) {
        if (!verify_applies(&verify_checks[i], job->options, job->device)) continue;
        double begin = verify_now();
        verify_begin(&run, i);
        taper_status st = verify_checks[i].run(&run);
        if (st != TAPER_OK) {
            run.state = VERIFY_PASS;
            verify_set(&run, st == TAPER_MEMORY ? VERIFY_UNKNOWN : VERIFY_FAIL); /* others may hold the memory */
            verify_say(&run, "%s", "%s", taper_error_message());
        }
        verify_end(&run, verify_now() - begin);
        taper_memory_release_cached(job->device); /* the next one has all of it */
        taper_error_clear();
    }
    if (job->device.type != TAPER_CPU) return;
    if (!job->options->cpu_only && !job->no_driver) {
        int count = taper_cuda_device_count(NULL);
        doctor_say(o, "gpus", "%d", count > 0 ? count : 0);
    }
    verify_machine(o, job->no_driver);
}

/* ---- the parent ---- */

static verify_row *verify_add(verify_report *report, const char *where, const char *name) {
    if (report->rows >= VERIFY_ROWS) return NULL;
    verify_row *row = &report->row[report->rows++];
    char plain[16];
    size_t n = 0;
    for (const char *c = where; *c && n < sizeof plain - 1; c++)
        if (*c != ' ') plain[n++] = *c;
    plain[n] = 0;
    snprintf(row->where, sizeof row->where, "%s", where);
    snprintf(row->id, sizeof row->id, "%s.%s", plain, name);
    return row;
}

static void verify_tell(verify_report *report, bool chinese, const char *where, const char *name, verify_state state, const char *en, const char *zh) {
    verify_row *row = verify_add(report, where, name);
    if (!row) return;
    row->state = state;
    row->en = en;
    row->text = chinese ? zh : en;
}

/* All checks of a device, in one child; a check that ends its child is a failure, and the others go on in a new one. */
static int verify_device(verify_report *report, const taper_verify_options *o, taper_device device) {
    doctor *d = report->owner;
    char where[16] = "cpu";
    int gpus = 0, limit = (o->limit_seconds > 0 ? o->limit_seconds : 120) * 1000;
    verify_job job = {o, device, 0, false};
    int hangs = 0;
    bool hung = false;
    if (device.type == TAPER_CUDA) snprintf(where, sizeof where, "gpu %d", device.index);
    while (job.from < verify_check_count && !hung) { /* each round is at least one check */
        const doctor_facts *f = doctor_probe(d, doctor_text(d, "verify.%d.%s.%d", report->runs, where, job.from), verify_child, &job, limit);
        const char *end = doctor_facts_end(f), *line;
        int i = job.from;
        gpus = (int)doctor_fact_int(f, gpus, "gpus");
        for (int k = report->machines; k < VERIFY_MACHINE && (line = doctor_fact(f, "machine.%d", k)); k++) report->machine[report->machines++] = line;
        hangs += end && strstr(end, "timed out");
        hung = hangs >= VERIFY_HANGS;
        for (; i < verify_check_count; i++) {
            const verify_check *c = &verify_checks[i];
            verify_row row = {.state = VERIFY_FAIL};
            if (!verify_applies(c, o, device)) continue;
            bool read = verify_read_row(d, f, i, o->chinese, &row);
            bool blamed = !read && (doctor_fact(f, "row.%d.begin", i) || (end && !hung)); /* the first that is not there */
            if (!read && !blamed && !hung) break;
            verify_row *kept = verify_add(report, c->gpu || c->cpu ? where : "machine", c->name);
            if (!kept) return gpus;
            memcpy(row.id, kept->id, sizeof row.id);
            memcpy(row.where, kept->where, sizeof row.where);
            job.no_driver |= blamed && c->run == verify_devices;
            if (blamed) {
                row.en = doctor_text(d, "the check did not come to its end: %s", end ? end : "no answer");
                row.text = o->chinese ? doctor_text(d, "检查没有完成: %s", end ? end : "没有回答") : row.en;
            } else if (!read) {
                row.state = VERIFY_UNKNOWN;
                row.en = "not run: the checks before hang";
                row.text = o->chinese ? "未运行: 前面的检查卡住" : row.en;
            }
            *kept = row;
            if (!read && !hung) {
                i++;
                break;
            }
        }
        if (!end) break;
        verify_checkpoint_clean(o);
        job.from = i > job.from ? i : job.from + 1;
    }
    return gpus;
}

/* What NVML tells of links and peers. */
static void verify_links(verify_report *report, bool chinese) {
    doctor *d = report->owner;
    const doctor_facts *f = doctor_nvml(d);
    int count = (int)doctor_fact_int(f, 0, "count"), up = 0, all = 0, peers = 0, direct = 0;
    if (count < 1) {
        verify_tell(report, chinese, "machine", "links", VERIFY_SKIP, "no GPU that NVML tells of", "NVML 没有列出 GPU");
        return;
    }
    const char *seen = "";
    for (int i = 0; i < count && i < 16; i++) { /* not told: 0 */
        int links = (int)doctor_fact_int(f, 0, "gpu.%d.nvlinks", i), active = (int)doctor_fact_int(f, 0, "gpu.%d.nvlinks_active", i);
        const char *to = doctor_fact(f, "gpu.%d.nvlinks_to", i);
        up += active, all += links;
        if (links) seen = doctor_text(d, "%s%sGPU %d: %d/%d%s%s", seen, *seen ? "; " : "", i, active, links, to && *to ? " -> " : "", to ? to : "");
        for (int k = 0; k < count; k++) {
            const char *p = doctor_fact(f, "gpu.%d.p2p.%d", i, k);
            peers += p != NULL;
            direct += p && !strncmp(p, "0 0", 3);
        }
    }
    const char *pairs = peers ? doctor_text(d, "; peer access %d/%d", direct, peers) : "", *pairs_zh = peers ? doctor_text(d, "; 直接访问 %d/%d", direct, peers) : "";
    verify_state state = count > 1 && all && !up ? VERIFY_SLOW : VERIFY_PASS;
    if (count == 1 && !up) verify_tell(report, chinese, "machine", "links", state, "one GPU, which needs no link", "只有一个 GPU, 不需要互连");
    else if (all) verify_tell(report, chinese, "machine", "links", state, doctor_text(d, "NVLinks up: %s%s", seen, pairs), doctor_text(d, "NVLink 已连接: %s%s", seen, pairs_zh));
    else verify_tell(report, chinese, "machine", "links", state, doctor_text(d, "no NVLink: GPUs talk over PCIe%s", pairs), doctor_text(d, "没有 NVLink: GPU 之间走 PCIe%s", pairs_zh));
}

static void verify_run_all(verify_report *report, const taper_verify_options *o) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(report->when, sizeof report->when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    gethostname(report->host, sizeof report->host - 1);
    snprintf(report->version, sizeof report->version, "%s", TAPER_VERSION);
    bool links = verify_listed(o->check, "links") && !o->cpu_only;
    if (links) doctor_nvml(report->owner); /* before any GPU is busy */
    int gpus = verify_device(report, o, taper_cpu());
    for (int i = 0; i < gpus && i < 127 && !o->cpu_only; i++) verify_device(report, o, taper_cuda(i));
    if (links) verify_links(report, o->chinese);
    /* The collectives join here once the library has them. */
    for (int i = 0; i < verify_check_count; i++)
        if (!verify_checks[i].run && strcmp(verify_checks[i].name, "links") && verify_listed(o->check, verify_checks[i].name) && !o->cpu_only)
            verify_tell(report, o->chinese, "machine", verify_checks[i].name, VERIFY_SKIP, "not built yet", "尚未实现");
    report->code = verify_exit_code(report);
}

int verify_exit_code(const verify_report *r) {
    int seen[VERIFY_STATES] = {0};
    for (int i = 0; i < r->rows; i++) seen[r->row[i].state]++;
    return seen[VERIFY_FAIL] ? 2 : seen[VERIFY_SLOW] ? 1 : seen[VERIFY_UNKNOWN] || !seen[VERIFY_PASS] ? 3 : 0;
}

static taper_status verify_file(const char *path, const doctor_buffer *b) {
    FILE *f = fopen(path, "w");
    if (!f) return TAPER_FAIL(TAPER_OS, "verify: %s cannot be written", path);
    bool whole = fwrite(b->data ? b->data : "", 1, b->size, f) == b->size;
    return fclose(f) || !whole ? TAPER_FAIL(TAPER_OS, "verify: %s cannot be written whole", path) : TAPER_OK;
}

/* At most 8 MiB. */
static taper_status verify_load(verify_report *out, const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) return TAPER_FAIL(TAPER_OS, "verify: %s cannot be read", path);
    size_t room = 8 << 20, size = 0;
    char *text = taper__alloc(room);
    if (text) size = fread(text, 1, room, f);
    fclose(f);
    taper_status st = !text ? TAPER_FAIL(TAPER_MEMORY, "verify: no memory") : size == room ? TAPER_FAIL(TAPER_FORMAT, "verify: %s is larger than a report is", path) : verify_parse(out, text, size, path);
    taper__free(text);
    return st;
}

static taper_status verify_both(const taper_verify_options *o, doctor *d, doctor_buffer *text, doctor_buffer *html, int *code) {
    enum { ROOM = VERIFY_ROWS * VERIFY_FIGURES };
    verify_report *r[2] = {doctor_keep(d, sizeof *r[0]), doctor_keep(d, sizeof *r[1])};
    verify_change *changes = doctor_keep(d, sizeof *changes * ROOM);
    if (!r[0] || !r[1] || !changes) return TAPER_FAIL(TAPER_MEMORY, "verify: no memory");
    for (int i = 0; i < 2; i++) {
        r[i]->owner = d;
        TAPER_TRY(verify_load(r[i], o->compare[i]));
    }
    const verify_report *both[2] = {r[0], r[1]};
    int count = verify_compare(r[0], r[1], changes, ROOM);
    if (o->format == TAPER_DOCTOR_JSON) verify_compare_json(text, both, o->compare, changes, count);
    else verify_compare_text(text, both, o->compare, changes, count, o);
    if (o->html) verify_compare_html(html, both, o->compare, changes, count, o->chinese);
    *code = verify_compare_code(changes, count);
    return TAPER_OK;
}

static void verify_list(doctor_buffer *b, bool chinese) {
    for (int i = 0; i < verify_check_count; i++) {
        const verify_check *c = &verify_checks[i];
        doctor_print(b, "%-14s %-8s %s\n", c->name, c->cpu && c->gpu ? "cpu gpu" : c->gpu ? "gpu" : "machine", chinese ? c->asks_zh : c->asks);
    }
}

static taper_status verify_names(const char *list) {
    for (; list && *list; list += strcspn(list, ","), list += *list == ',') {
        bool known = false;
        for (int i = 0; i < verify_check_count; i++) known |= strlen(verify_checks[i].name) == strcspn(list, ",") && !strncmp(list, verify_checks[i].name, strcspn(list, ","));
        if (!known) return TAPER_FAIL(TAPER_VALUE, "verify: there is no check called %.*s; --list shows them", (int)strcspn(list, ","), list);
    }
    return TAPER_OK;
}

taper_status taper_verify(const taper_verify_options *o, int *exit_code, taper_text_fn write, void *ctx) {
    taper_doctor_options plain = {.chinese = o->chinese};
    doctor_buffer text = {NULL, 0, 0}, html = {NULL, 0, 0};
    taper_error_clear();
    TAPER_TRY(verify_names(o->check));
    doctor *d = doctor_new(&plain);
    if (!d) return TAPER_FAIL(TAPER_MEMORY, "verify: no memory");
    verify_report *report = doctor_keep(d, sizeof *report);
    taper_status st = report ? TAPER_OK : TAPER_FAIL(TAPER_MEMORY, "verify: no memory");
    *exit_code = 0;
    if (st == TAPER_OK && o->format == TAPER_DOCTOR_LIST) {
        verify_list(&text, o->chinese);
    } else if (st == TAPER_OK && o->compare[0]) {
        st = verify_both(o, d, &text, &html, exit_code);
    } else if (st == TAPER_OK) {
        int runs = o->runs < 1 ? 1 : o->runs < VERIFY_RUNS ? o->runs : VERIFY_RUNS;
        verify_report *all[VERIFY_RUNS] = {report};
        for (int i = 0; i < runs; i++) {
            if (!all[i] && !(all[i] = doctor_keep(d, sizeof *report))) break; /* fewer runs then */
            all[i]->owner = d;
            all[i]->runs = i;
            verify_run_all(all[i], o);
            report->runs = i + 1;
        }
        verify_merge(all, report->runs);
        *exit_code = report->code;
        if (o->format == TAPER_DOCTOR_JSON) verify_json(&text, report);
        else verify_text(&text, report, o);
        if (o->html) verify_html(&html, report, o->chinese);
    }
    if (st == TAPER_OK && o->html && o->format != TAPER_DOCTOR_LIST) st = verify_file(o->html, &html);
    if (st == TAPER_OK || text.size) write(ctx, text.data ? text.data : "", text.size);
    taper__free(text.data);
    taper__free(html.data);
    doctor_free(d);
    return st;
}
