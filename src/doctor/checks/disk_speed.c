/* Cold reads below the data folder: in a row, here and there, and of many small files. */
#include "doctor/probes/deep.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK_READ_LEAST 200.0    /* MB/s; a rotating disk gives 100 to 250, an SSD 500 and more */
#define DISK_RANDOM_LEAST 1000.0 /* a second, one at a time; a rotating disk gives 100 to 200 */
#define DISK_FILES_LEAST 300.0   /* a second, one at a time */

const doctor_facts *doctor_disk(doctor *d, char *folder);

static void disk_cure(doctor *d, doctor_finding *p) {
    doctor_cure(d, p, "copy the data to a local SSD before training, or pack it into shards of 100 MB or more read in a row; more loader workers hide part of it",
                "训练前把数据复制到本地 SSD, 或打包成 100 MB 以上、顺序读取的分片; 增加 DataLoader 进程可掩盖一部分");
}

static void disk_run(doctor *d) {
    const char *given = doctor_settings(d)->data, *real = given ? doctor_real(d, given) : NULL;
    char here[4096], folder[4096] = "";
    if (given && !real) return; /* the check data has said it */
    if (!real) real = doctor_is_recorded(d) ? "/" : getcwd(here, sizeof here);
    if (!real || strlen(real) >= sizeof folder) return;
    memcpy(folder, real, strlen(real) + 1);
    const doctor_facts *f = doctor_disk(d, folder);
    double read = doctor_fact_real(f, 0, "read_mbs"), writes = doctor_fact_real(f, 0, "write_mbs"), random = doctor_fact_real(f, 0, "random_reads"), files = doctor_fact_real(f, 0, "files_s");
    const char *path = doctor_fact(f, "folder"), *error = doctor_fact(f, "error"), *text = doctor_text(d, "%s:", path ? path : folder);
    bool warm = doctor_fact_real(f, 0, "resident") > 50;
    if (read > 0) text = doctor_text(d, "%s %.0f MB/s read in a row%s", text, read, warm ? " (from memory: this file system keeps it there)" : "");
    if (writes > 0) text = doctor_text(d, "%s, %.0f written", text, writes);
    if (random > 0) text = doctor_text(d, "%s; %.0f reads of 16 KiB a second, each %.2f ms", text, random, doctor_fact_real(f, 0, "random_ms"));
    if (files > 0)
        text = doctor_text(d, "%s; %.0f small files a second (%lld of %.0f KB)", text, files, (long long)doctor_fact_int(f, 0, "files"), doctor_fact_real(f, 0, "files_bytes") * 1e-3);
    if (read <= 0 && files <= 0) {
        doctor_unknown(d, "%s nothing to read: %s", text, doctor_facts_end(f) ? doctor_facts_end(f) : error ? error : "no room for a file of 256 MiB, and none there");
        return;
    }
    bool slow = !warm && ((read > 0 && read < DISK_READ_LEAST) || (random > 0 && random < DISK_RANDOM_LEAST)), few = files > 0 && files < DISK_FILES_LEAST;
    if (!given || (!slow && !few)) {
        doctor_fine(d, "%s%s", text, !given && (slow || few) ? "; --data FOLDER judges a data folder" : "");
        return;
    }
    if (slow) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-disk-slow", "https://github.com/horovod/horovod/issues/824");
        doctor_evidence(d, p, "%s", text);
        if (read > 0 && read < DISK_READ_LEAST) doctor_cause(d, p, "Data is read at %.0f MB/s when it is not in memory; a local SSD gives 500 and more.", "数据不在内存中时只能以 %.0f MB/s 读取; 本地 SSD 在 500 以上。", read);
        else doctor_cause(d, p, "Reads here and there reach %.0f a second; a local SSD gives 5000 and more: shuffled samples wait for the disk.", "随机读取每秒只有 %.0f 次, 本地 SSD 在 5000 以上: 打乱的样本都在等磁盘。", random);
        disk_cure(d, p);
        return; /* small files are slow for the same reason */
    }
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-files-slow", "https://github.com/ZikangZhou/HiVT/issues/33");
    doctor_evidence(d, p, "%s", text);
    doctor_cause(d, p, "Opening and reading small files reaches %.0f a second: each costs round trips to a server or the disk's directory.", "小文件每秒只能打开读取 %.0f 个: 每个文件都要与服务器往返或查目录。", files);
    disk_cure(d, p);
}

DOCTOR_CHECK(disk_speed, .code = 1505, .layer = DOCTOR_MEASURED, .reads = "timed cold reads below --data or the working folder; a file of 256 MiB there, at once removed", .asks = "how fast is the data read when it is not in memory?",
             .finds = {"deep-disk-slow", "deep-files-slow"}, .deep = true, .run = disk_run);
