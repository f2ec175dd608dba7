/* Looks for Python environments and the packages in them. */
#include "doctor/python.h"
#include "doctor/state.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PYTHON_ENVS = 24, PYTHON_FOLDERS = 12, PYTHON_LINKS = 16, PYTHON_PACKAGES = 4000 };

typedef struct python_search {
    doctor *d;
    doctor_python *list;
    int n;
} python_search;

static const char *python_parent(doctor *d, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash != path ? doctor_text(d, "%.*s", (int)(slash - path), path) : "/";
}

static void python_path(python_search *s, doctor_python *p, const char *folder) {
    const char *real = folder[0] == '/' && doctor_exists(s->d, "%s", folder) ? doctor_real(s->d, folder) : NULL;
    if (!real || p->path_count >= DOCTOR_PYTHON_PATHS) return;
    for (int i = 0; i < p->path_count; i++)
        if (!strcmp(p->paths[i], real)) return;
    p->paths[p->path_count++] = real;
}

/* "3.11" of the newest PREFIX/lib/python3.N that has packages; NULL. */
static const char *python_version_in(doctor *d, const char *prefix) {
    const char *const *names, *best = NULL;
    static const char *const libs[] = {"lib", "lib64"};
    for (int k = 0; k < 2 && !best; k++) {
        int n = doctor_names(d, doctor_text(d, "%s/%s", prefix, libs[k]), &names), newest = -1;
        for (int i = 0; i < n; i++) {
            if (strncmp(names[i], "python3.", 8) || !isdigit((unsigned char)names[i][8])) continue;
            int minor = atoi(names[i] + 8);
            bool full = doctor_exists(d, "%s/%s/%s/site-packages", prefix, libs[k], names[i]) || doctor_exists(d, "%s/%s/%s/dist-packages", prefix, libs[k], names[i]);
            if (full && minor > newest) newest = minor, best = doctor_text(d, "3.%d", minor);
        }
    }
    return best;
}

static void python_prefix_paths(python_search *s, doctor_python *p, const char *prefix) {
    doctor *d = s->d;
    bool system = !strcmp(prefix, "/usr");
    if (system) python_path(s, p, doctor_text(d, "/usr/local/lib/python%s/dist-packages", p->version));
    if (system) python_path(s, p, doctor_text(d, "/usr/local/lib64/python%s/site-packages", p->version));
    if (system) python_path(s, p, doctor_text(d, "/usr/local/lib/python%s/site-packages", p->version));
    python_path(s, p, doctor_text(d, "%s/lib64/python%s/site-packages", prefix, p->version));
    python_path(s, p, doctor_text(d, "%s/lib/python%s/site-packages", prefix, p->version));
    python_path(s, p, doctor_text(d, "%s/lib/python%s/dist-packages", prefix, p->version));
    if (system) python_path(s, p, "/usr/lib/python3/dist-packages");
}

/* The order of sys.path: PYTHONPATH, the user's own packages (not in a virtual environment), the prefix's. */
static void python_paths(python_search *s, doctor_python *p) {
    doctor *d = s->d;
    const char *config = doctor_read(d, doctor_text(d, "%s/pyvenv.cfg", p->prefix), NULL, NULL), *home = doctor_env(d, "HOME");
    const char *list = p->active ? doctor_env(d, "PYTHONPATH") : NULL, *base = config ? doctor_field(d, config, "home") : NULL;
    const char *shared = config ? doctor_field(d, config, "include-system-site-packages") : NULL;
    bool all = shared && !strncmp(shared, "true", 4);
    p->venv = config != NULL;
    p->base = base && base[0] == '/' ? python_parent(d, base) : p->prefix;
    for (; list && *list; list += strcspn(list, ":"), list += *list == ':')
        if (*list == '/') python_path(s, p, doctor_text(d, "%.*s", (int)strcspn(list, ":"), list));
    if (p->venv) python_prefix_paths(s, p, p->prefix);
    if (home && (!p->venv || all) && !doctor_env(d, "PYTHONNOUSERSITE")) python_path(s, p, doctor_text(d, "%s/.local/lib/python%s/site-packages", home, p->version));
    if (!p->venv || all) python_prefix_paths(s, p, p->base);
}

/* version.py has lines such as  cuda: Optional[str] = '12.4'  and  hip = None. */
static const char *python_assigned(doctor *d, const char *text, const char *name) {
    size_t n = strlen(name);
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        if (strncmp(text, name, n) || (text[n] != ' ' && text[n] != ':' && text[n] != '=')) continue;
        size_t end = strcspn(text, "\n"), at = strcspn(text, "='\"\n");
        while (at < end && text[at] != '\'' && text[at] != '"') at++;
        if (at >= end) return NULL;
        size_t size = strcspn(text + at + 1, "'\"\n");
        return size ? doctor_text(d, "%.*s", (int)size, text + at + 1) : NULL;
    }
    return NULL;
}

static void python_torch(doctor *d, doctor_python *p) {
    for (int i = 0; i < p->path_count && !p->torch; i++) {
        const char *folder = doctor_text(d, "%s/torch", p->paths[i]), *text = doctor_read(d, doctor_text(d, "%s/version.py", folder), NULL, NULL);
        const char *version = text ? python_assigned(d, text, "__version__") : NULL;
        if (!version) continue;
        p->torch = folder;
        p->torch_version = version;
        p->cuda = python_assigned(d, text, "cuda");
        p->hip = python_assigned(d, text, "hip");
    }
}

/* NAME-VERSION.dist-info, NAME-VERSION-py3.11.egg-info */
static void python_packages(doctor *d, doctor_python *p) {
    doctor_package *list = NULL;
    int n = 0, room = 0;
    for (int i = 0; i < p->path_count; i++) {
        const char *const *names;
        int count = doctor_names(d, p->paths[i], &names);
        for (int k = 0; k < count && n < PYTHON_PACKAGES; k++) {
            const char *end = strstr(names[k], ".dist-info"), *dash = strchr(names[k], '-');
            if (!end) end = strstr(names[k], ".egg-info");
            if (!end || !dash || dash > end) continue;
            if (n >= room) {
                doctor_package *more = taper__realloc(list, sizeof *more * (size_t)(room = room ? 2 * room : 64));
                if (!more) break;
                list = more;
            }
            char *name = (char *)doctor_text(d, "%.*s", (int)(dash - names[k]), names[k]);
            for (char *c = name; *c; c++) *c = *c == '_' || *c == '.' ? '-' : (char)tolower((unsigned char)*c);
            size_t version = strcspn(dash + 1, "-");
            if (version > (size_t)(end - dash - 1)) version = (size_t)(end - dash - 1);
            list[n++] = (doctor_package){name, doctor_text(d, "%.*s", (int)version, dash + 1), p->paths[i], doctor_text(d, "%s/%s", p->paths[i], names[k])};
        }
    }
    doctor_package *kept = n ? doctor_keep(d, sizeof *kept * (size_t)n) : NULL;
    if (kept) memcpy(kept, list, sizeof *kept * (size_t)n);
    taper__free(list);
    p->packages = kept;
    p->package_count = kept ? n : 0;
}

static void python_add(python_search *s, const char *prefix, const char *program, const char *how) {
    doctor *d = s->d;
    const char *real = prefix[0] == '/' && s->n < PYTHON_ENVS && doctor_exists(d, "%s", prefix) ? doctor_real(d, prefix) : NULL;
    if (!real) return;
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->list[i].prefix, real)) return;
    doctor_python *p = &s->list[s->n];
    *p = (doctor_python){.prefix = real, .how = how, .program = program, .active = *how && !s->n};
    for (int k = 0; !p->program && k < 2; k++)
        if (doctor_exists(d, "%s/bin/%s", real, k ? "python3" : "python")) p->program = doctor_real(d, doctor_text(d, "%s/bin/%s", real, k ? "python3" : "python"));
    const char *name = p->program ? strrchr(p->program, '/') + 1 : "";
    if (!strncmp(name, "python3.", 8) && isdigit((unsigned char)name[8])) p->version = doctor_text(d, "3.%d", atoi(name + 8));
    if (!p->version || !doctor_exists(d, "%s/lib/python%s", real, p->version)) {
        const char *seen = python_version_in(d, real);
        p->version = seen ? seen : p->version;
    }
    if (!p->version) return;
    python_paths(s, p);
    python_torch(d, p);
    if (!p->torch && !p->active) return;
    if (p->torch) python_packages(d, p);
    s->n++;
}

/* The prefix of a program on the PATH: links are followed one at a time, since a virtual environment's python is itself a link. */
static void python_add_program(python_search *s, const char *path) {
    doctor *d = s->d;
    const char *at = path;
    for (int i = 0; i < PYTHON_LINKS; i++) {
        const char *prefix = python_parent(d, python_parent(d, at)), *to = doctor_link(d, at);
        if (doctor_exists(d, "%s/pyvenv.cfg", prefix)) {
            python_add(s, prefix, doctor_real(d, at), "PATH");
            return;
        }
        if (!to) break;
        at = to[0] == '/' ? to : doctor_text(d, "%s/%s", python_parent(d, at), to);
    }
    const char *real = doctor_real(d, path);
    if (real) python_add(s, python_parent(d, python_parent(d, real)), real, "PATH");
}

/* pyenv puts scripts on the PATH; which Python they run stands in a variable or a file. */
static void python_add_pyenv(python_search *s, const char *shims) {
    doctor *d = s->d;
    const char *root = python_parent(d, shims), *name = doctor_env(d, "PYENV_VERSION");
    if (!name) name = doctor_line(d, "%s/version", root);
    if (name) python_add(s, doctor_text(d, "%s/versions/%.*s", root, (int)strcspn(name, ": \n"), name), NULL, "PATH");
}

static void python_on_path(python_search *s) {
    static const char *const names[] = {"python", "python3"};
    doctor *d = s->d;
    for (int k = 0; k < TAPER_COUNT(names); k++) {
        const char *list = doctor_env(d, "PATH");
        for (; list && *list; list += strcspn(list, ":"), list += *list == ':') {
            const char *folder = doctor_text(d, "%.*s", (int)strcspn(list, ":"), list), *path = doctor_text(d, "%s/%s", folder, names[k]);
            if (folder[0] != '/' || !doctor_exists(d, "%s", path)) continue;
            size_t n = strlen(folder);
            if (n > 6 && !strcmp(folder + n - 6, "/shims")) python_add_pyenv(s, folder);
            else python_add_program(s, path);
            break;
        }
    }
}

static void python_conda(python_search *s, const char *root) {
    doctor *d = s->d;
    const char *const *names;
    if (!doctor_exists(d, "%s/conda-meta", root) && !doctor_exists(d, "%s/envs", root)) return;
    python_add(s, root, NULL, "");
    int n = doctor_names(d, doctor_text(d, "%s/envs", root), &names);
    for (int i = 0; i < n && i < PYTHON_FOLDERS; i++) python_add(s, doctor_text(d, "%s/envs/%s", root, names[i]), NULL, "");
}

int doctor_pythons(doctor *d, const doctor_python **list) {
    static const char *const near[] = {".venv", "venv"}, *const homes[] = {"miniconda3", "anaconda3", "miniforge3", "mambaforge"};
    static const char *const others[] = {"/opt/venv", "/venv", "/usr/local", "/usr"};
    python_search s = {.d = d};
    if (!d->python && (s.list = doctor_keep(d, sizeof *s.list * (PYTHON_ENVS + 1)))) {
        const char *venv = doctor_env(d, "VIRTUAL_ENV"), *conda = doctor_env(d, "CONDA_PREFIX"), *here = doctor_env(d, "PWD"), *home = doctor_env(d, "HOME");
        if (venv) python_add(&s, venv, NULL, "VIRTUAL_ENV");
        python_on_path(&s);
        if (conda) python_add(&s, conda, NULL, "CONDA_PREFIX");
        for (int i = 0; here && i < TAPER_COUNT(near); i++)
            if (doctor_exists(d, "%s/%s/pyvenv.cfg", here, near[i])) python_add(&s, doctor_text(d, "%s/%s", here, near[i]), NULL, "");
        python_conda(&s, "/opt/conda");
        python_conda(&s, "/opt/miniconda3");
        for (int i = 0; home && i < TAPER_COUNT(homes); i++) python_conda(&s, doctor_text(d, "%s/%s", home, homes[i]));
        for (int i = 0; i < TAPER_COUNT(others); i++) python_add(&s, others[i], NULL, "");
        d->python = s.list;
        d->python_count = s.n;
    }
    *list = d->python;
    return d->python_count;
}

const doctor_python *doctor_torch_env(doctor *d) {
    const doctor_python *list;
    const doctor_python *only = NULL;
    int n = doctor_pythons(d, &list), count = 0;
    for (int i = 0; i < n; i++) {
        if (!list[i].torch) continue;
        if (list[i].active) return &list[i];
        only = &list[i];
        count++;
    }
    return count == 1 ? only : NULL;
}

const doctor_python *doctor_cuda_torch(doctor *d) {
    const doctor_python *p = doctor_torch_env(d);
    return p && p->cuda && !p->hip ? p : NULL;
}

const doctor_package *doctor_python_package(const doctor_python *p, const char *name) {
    for (int i = 0; p && i < p->package_count; i++)
        if (!strcmp(p->packages[i].name, name)) return &p->packages[i];
    return NULL;
}
