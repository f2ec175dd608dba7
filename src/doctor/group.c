/* Control groups, containers and lists of CPUs. */
#include "doctor/state.h"

#include <stdlib.h>
#include <string.h>

/* The group of a process, 0 for this one, in the hierarchy of `controller`, or in the unified one for NULL. "" is the root; NULL: none. */
static const char *group_of(doctor *d, int pid, const char *controller) {
    const char *text = doctor_read(d, pid ? doctor_text(d, "/proc/%d/cgroup", pid) : "/proc/self/cgroup", NULL, NULL);
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *names = memchr(text, ':', strcspn(text, "\n")), *path = names ? memchr(names + 1, ':', strcspn(names + 1, "\n")) : NULL;
        if (!path) continue;
        int count = (int)(path - names - 1), length = (int)strcspn(path + 1, "\n");
        if (!controller ? count != 0 : !strstr(doctor_text(d, ",%.*s,", count, names + 1), doctor_text(d, ",%s,", controller))) continue;
        return length == 1 ? "" : doctor_text(d, "%.*s", length, path + 1);
    }
    return NULL;
}

/* The file in the group or the nearest one above that has it: inside a container the path may be the host's. */
static const char *group_file(doctor *d, const char *mount, const char *group, const char *name) {
    char *path = (char *)doctor_text(d, "%s", group);
    for (;;) {
        const char *file = doctor_text(d, "%s%s/%s", mount, path, name);
        if (doctor_exists(d, "%s", file)) return file;
        char *slash = strrchr(path, '/');
        if (!slash) return NULL;
        *slash = 0;
    }
}

const char *doctor_cgroup(doctor *d, const char *two, const char *controller, const char *one) { return doctor_cgroup_of(d, 0, two, controller, one); }

const char *doctor_cgroup_of(doctor *d, int pid, const char *two, const char *controller, const char *one) {
    const char *group = two ? group_of(d, pid, NULL) : NULL, *file = group ? group_file(d, "/sys/fs/cgroup", group, two) : NULL;
    if (file || !one) return file;
    group = group_of(d, pid, controller);
    return group ? group_file(d, doctor_text(d, "/sys/fs/cgroup/%s", controller), group, one) : NULL;
}

double doctor_cpu_quota(doctor *d) {
    double least = 0;
    for (int unified = 1; unified >= 0; unified--) {
        const char *group = group_of(d, 0, unified ? NULL : "cpu");
        if (!group) continue;
        for (char *path = (char *)doctor_text(d, "%s", group);;) {
            double quota = 0, period = 0;
            int64_t q, p;
            const char *line = unified ? doctor_line(d, "/sys/fs/cgroup%s/cpu.max", path) : NULL;
            if (line && *line != 'm') {
                char *end;
                quota = strtod(line, &end);
                period = strtod(end, NULL);
            } else if (!unified && doctor_number(d, &q, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", path) &&
                       doctor_number(d, &p, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", path)) {
                quota = (double)q;
                period = (double)p;
            }
            if (quota > 0 && period > 0 && (!least || quota / period < least)) least = quota / period;
            char *slash = strrchr(path, '/');
            if (!slash) break;
            *slash = 0;
        }
    }
    return least;
}

const char *doctor_container(doctor *d) {
    const char *named = doctor_env(d, "container"), *groups = doctor_read(d, "/proc/1/cgroup", NULL, NULL);
    if (doctor_env(d, "KUBERNETES_SERVICE_HOST") || doctor_exists(d, "/var/run/secrets/kubernetes.io") || (groups && strstr(groups, "kubepods")))
        return "kubernetes";
    if (doctor_exists(d, "/run/.containerenv") || (named && !strcmp(named, "podman"))) return "podman";
    if (doctor_exists(d, "/.dockerenv") || (groups && strstr(groups, "/docker"))) return "docker";
    if (doctor_exists(d, "/.singularity.d") || doctor_env(d, "APPTAINER_CONTAINER") || doctor_env(d, "SINGULARITY_CONTAINER")) return "apptainer";
    if ((named && !strcmp(named, "lxc")) || (groups && strstr(groups, "/lxc"))) return "lxc";
    if (named && *named) return "container";
    const char *mounts = doctor_read(d, "/proc/self/mountinfo", NULL, NULL);
    for (; mounts && *mounts; mounts += strcspn(mounts, "\n"), mounts += *mounts == '\n') {
        const char *line = doctor_text(d, "%.*s", (int)strcspn(mounts, "\n"), mounts);
        if (strstr(line, " / / ") && strstr(line, " - overlay ")) return "container";
    }
    return NULL;
}

/* Steps through "0-3,8": the next range, or NULL at the end or where the text is none. */
static const char *group_range(const char *list, int *low, int *high) {
    char *end;
    list += strspn(list, ", \t");
    *low = (int)strtol(list, &end, 10);
    if (end == list) return NULL;
    *high = *low;
    if (*end == '-') *high = (int)strtol(end + 1, &end, 10);
    return end;
}

int doctor_list_count(const char *list) {
    int n = 0, low, high;
    while (list && (list = group_range(list, &low, &high))) n += high >= low ? high - low + 1 : 0;
    return n;
}

bool doctor_list_has(const char *list, int number) {
    int low, high;
    while (list && (list = group_range(list, &low, &high)))
        if (number >= low && number <= high) return true;
    return false;
}
